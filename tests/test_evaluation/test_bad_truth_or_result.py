"""Input that cannot be compared: every problem in one message, never a wrong number."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from made_movies import Movie

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.tracks import Tracks
from celltrail.data.running import console
from celltrail.evaluation import evaluate_dataset, evaluate_sequence, segmentation_scores

Write = Callable[..., tuple[Path, Path]]


def problems(gt: Path, res: Path, **options: object) -> list[str]:
    with pytest.raises(InputError) as caught:
        evaluate_sequence(gt, res, **options)  # type: ignore[arg-type]
    return list(caught.value.problems)


def spoil(folder: Path, frame: int, labels: np.ndarray) -> None:
    tifffile.imwrite(folder / f"mask{frame:03d}.tif", labels)


def test_negative_labels(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    for frame, labels in two_tracks.masks.items():
        spoil(res, frame, labels.astype(np.int16) * (-1 if frame == 2 else 1))
    found = problems(gt, res)
    assert len(found) == 1
    assert "mask002.tif" in found[0]
    assert "negative" in found[0]


def test_float_masks(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    spoil(res, 1, 0.9 * two_tracks.masks[1].astype(np.float32))
    (found,) = problems(gt, res)
    assert "mask001.tif" in found
    assert "float32" in found


def test_tracks_and_masks_disagree(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (res / "res_track.txt").write_text("1 0 4 0\n7 2 3 0\n")
    found = problems(gt, res)
    assert len(found) == 3
    assert any("label 1 in frame 5" in text for text in found)
    assert any("track 7 should be in frames 2 to 3" in text for text in found)
    assert any("label 2 in frames 0-5" in text and "does not list" in text for text in found)


def test_truth_and_masks_disagree(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (gt / "TRA" / "man_track.txt").write_text("1 0 5 0\n2 1 5 0\n")
    (found,) = problems(gt, res)
    assert "man_track.txt" in found
    assert "label 2 in frame 0" in found


def test_truth_without_tracks(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    for path in (gt / "TRA").iterdir():
        path.unlink()
    (gt / "TRA").rmdir()
    (found,) = problems(gt, res)
    assert "no TRA folder" in found
    assert evaluate_sequence(gt, res, only_masks=True).measures["SEG"] == 1.0


def test_truth_without_its_track_file(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (gt / "TRA" / "man_track.txt").unlink()
    (found,) = problems(gt, res)
    assert "man_track.txt" in found


def test_result_without_frames(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    for path in res.glob("*.tif"):
        path.unlink()
    (found,) = problems(gt, res)
    assert str(res) in found


def test_five_columns(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (res / "res_track.txt").write_text("1 0 5 0 0\n2 0 5 0 0\n")
    found = problems(gt, res)
    assert len(found) == 2
    assert all("5 columns" in text for text in found)


def test_other_frame_numbers(sequence: Write, two_tracks: Movie) -> None:
    shifted = Movie(
        {frame + 1: labels for frame, labels in two_tracks.masks.items()},
        Tracks.from_rows([(1, 1, 6, 0), (2, 1, 6, 0)]),
    )
    gt, res = sequence(two_tracks, shifted)
    found = problems(gt, res)
    assert any("lacks frame 0" in text for text in found)
    assert any("has frame 6" in text for text in found)
    assert evaluate_sequence(gt, res, frames=range(1, 6)).measures["DET"] is not None


def test_other_shape(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, Movie({f: m[:, :-1] for f, m in two_tracks.masks.items()}, two_tracks.tracks))
    found = problems(gt, res)
    assert all("(12, 20)" in text and "(12, 19)" in text for text in found[:6])


def test_all_problems_at_once(sequence: Write, two_tracks: Movie) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (res / "mask005.tif").unlink()
    (res / "res_track.txt").write_text("1 0 5 0\n2 0 4 9\n")
    (gt / "TRA" / "man_track.txt").write_text("1 0 5 0\n2 0 5 0\n3 0 5 0\n")
    found = "\n".join(problems(gt, res))
    assert "lacks frame 5" in found
    assert "parent 9" in found
    assert "track 3 should be in frames 0 to 5" in found


def test_missing_folders(tmp_path: Path, two_tracks: Movie, sequence: Write) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    assert str(tmp_path / "02_GT") in problems(tmp_path / "02_GT", res)[0]
    assert str(tmp_path / "02_RES") in problems(gt, tmp_path / "02_RES")[0]
    assert "silver truth" in problems(gt, res, truth="ST")[0]
    with pytest.raises(InputError, match="holds no sequence"):
        evaluate_dataset(gt)


def test_masks_for_a_missing_frame() -> None:
    labels = np.ones((3, 3), dtype=int)
    with pytest.raises(InputError, match="frame 1"):
        segmentation_scores({0: labels, 1: labels}, {0: labels})


def test_the_command_exits_with_2_and_writes_nothing(
    sequence: Write, two_tracks: Movie, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gt, res = sequence(two_tracks, two_tracks)
    (res / "res_track.txt").write_text("1 0 4 0\n2 0 5 0\n")
    out = tmp_path / "evaluation.json"
    assert console.run(celltrail.cli.app, ["evaluate", str(gt), str(res), "--json", str(out)]) == 2
    said = capsys.readouterr()
    assert "label 1 in frame 5" in said.err
    assert "Traceback" not in said.err
    assert said.out == ""
    assert not out.exists()
    assert console.run(celltrail.cli.app, ["evaluate", str(gt)]) == 2
    assert "name the folder of the result" in capsys.readouterr().err


def scattered(numbers: list[int], *, frames: int = 5, every: int = 1) -> Movie:
    """A piece of 5 × 5 pixels for each of the numbers, in every so many frames; the first one is there in all."""
    masks = {}
    for frame in range(frames):
        masks[frame] = np.zeros((10, 50), dtype=np.uint16)
        for place, number in enumerate(numbers[: None if frame % every == 0 else 1]):
            masks[frame][2:7, 8 * place + 1 : 8 * place + 6] = number
    return Movie(masks, Tracks.from_rows([(number, 0, frames - 1, 0) for number in set(numbers)]))


@pytest.mark.parametrize("numbers", [[255, 255, 255], [1, 1, 1, 1], [65535] * 4, [1, 1, 1, 2, 2, 2]])
@pytest.mark.parametrize("seg", [True, False])
def test_a_truth_of_classes_is_refused(sequence: Write, numbers: list[int], seg: bool) -> None:
    gt, res = sequence(scattered(numbers), scattered([1, 2, 3, 4, 5, 6][: len(numbers)]))
    found = problems(gt, res, only_masks=seg)
    assert "these are binary masks or a map of classes" in found[0]


@pytest.mark.parametrize(
    "truth",
    [
        scattered([255]),  # one cell, as people write it
        scattered([1, 1]),  # one cell in two pieces
        scattered([1, 1, 1, 1], every=3),  # that falls to pieces now and then
        scattered([1, 2]),
        scattered([1, 1, 1, 2, 3]),  # three cells; one in pieces
    ],
)
def test_a_truth_with_cells_in_pieces_is_taken_as_it_is(sequence: Write, truth: Movie) -> None:
    gt, res = sequence(truth, truth)
    assert evaluate_sequence(gt, res).measures["TRA"] == 1
