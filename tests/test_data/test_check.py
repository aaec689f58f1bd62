"""Every problem is found, all at once, with the frame and the label."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.check import Problem, Section, find_problems
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks

#          frame 0   1   2   3
# track 1        ■   ■             mother of 2 and 3
# track 2                ■   ■
# track 3                ■   ■
TRACKS = Tracks.from_rows([(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 3, 1)])


def masks() -> dict[int, np.ndarray]:
    movie = {}
    for frame in range(4):
        mask = np.zeros((8, 12), dtype=np.uint16)
        for label, column in {1: 1}.items() if frame < 2 else {2: 1, 3: 6}.items():
            mask[2 : 4 + frame, column : column + 3] = label
        movie[frame] = mask
    return movie


def write_result(folder: Path) -> Path:
    folder.mkdir(parents=True)
    write_masks(folder, masks().items())
    write_track_file(folder / "res_track.txt", TRACKS)
    return folder


def write_images(folder: Path) -> Path:
    folder.mkdir(parents=True)
    for frame in range(4):
        noise = np.random.default_rng(frame).integers(0, 1000, (8, 12), dtype=np.uint16)
        write_array(folder / f"t{frame:03d}.tif", noise)
    return folder


def edit_tracks(old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / "res_track.txt").read_text()
        assert old in text
        (folder / "res_track.txt").write_text(text.replace(old, new))

    return edit


def paint(frame: int, old: int, new: int) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        mask = masks()[frame]
        mask[mask == old] = new
        write_masks(folder, [(frame, mask)])

    return edit


def test_a_sound_result_has_no_problem(tmp_path: Path) -> None:
    assert find_problems(write_result(tmp_path / "01_RES")) == []
    assert find_problems(write_images(tmp_path / "01")) == []
    assert find_problems(tmp_path) == []


@pytest.mark.parametrize(
    ("break_it", "frame", "label", "what"),
    [
        (lambda f: (f / "mask001.tif").unlink(), 1, None, "lacks frames 1"),
        (lambda f: write_array(f / "mask003.tif", np.ones((9, 9), np.uint16)), 3, None, "has the shape (9, 9)"),
        (lambda f: write_array(f / "mask000.tif", np.full((8, 12), 0.5, np.float32)), 0, None, "no whole numbers"),
        (lambda f: (f / "mask002.tif").write_text("no image"), 2, None, "is not a TIFF image"),
        (paint(1, 1, 0), 1, None, "Frame 1 has no cell"),
        (paint(3, 3, 0), 3, 3, "track 3 is in frames 2–3, but the masks lack it in 3"),
        (paint(0, 0, 9), 0, 9, "Label 9"),
        (edit_tracks("3 2 3 1\n", ""), 2, 3, "Label 3"),
        (edit_tracks("3 2 3 1", "3 2 2 1"), 3, 3, "is outside its begin and end"),
        (edit_tracks("3 2 3 1", "3 2 9 1"), 9, 3, "no readable frame 9"),
        (edit_tracks("1 0 1 0", "1 0 2 0"), 2, 2, "its parent 1 ends in frame 2"),
        (edit_tracks("3 2 3 1", "3 2 3 8"), 2, 3, "names parent 8"),
        (edit_tracks("1 0 1 0", "1 0 1 2"), None, 1, "Tracks 1 → 2 → 1 descend from each other"),
        (edit_tracks("1 0 1 0", "1 0 1 0 4"), None, None, "5 columns, expected 4"),
        (lambda f: write_masks(f, [(3, masks()[2])]), 3, None, "Frame 3 is an exact copy"),
    ],
)
def test_one_problem_each(
    tmp_path: Path, break_it: Callable[[Path], None], frame: int | None, label: int | None, what: str
) -> None:
    folder = write_result(tmp_path / "result")
    break_it(folder)
    problems = find_problems(folder)
    found = [p for p in problems if what in p.what]
    assert found, problems
    assert (found[0].frame, found[0].label) == (frame, label)
    assert found[0].remedy
    assert str(folder) in found[0].path


@pytest.mark.parametrize(
    ("break_it", "frame", "what"),
    [
        (lambda f: write_array(f / "t001.tif", np.full((8, 12), 7, np.uint16)), 1, "every pixel is 7"),
        (lambda f: (f / "t002.tif").write_bytes((f / "t001.tif").read_bytes()), 2, "exact copy"),
        (lambda f: (f / "t001.tif").unlink(), 1, "lacks frames 1"),
        (lambda f: write_array(f / "t003.tif", np.zeros((8, 12, 3), np.uint8)), 3, "has the shape"),
        (lambda f: write_array(f / "t003.tif", np.full((8, 12), np.nan, np.float32)), 3, "not finite"),
    ],
)
def test_problems_of_images(tmp_path: Path, break_it: Callable[[Path], None], frame: int, what: str) -> None:
    folder = write_images(tmp_path / "movie")
    break_it(folder)
    (problem,) = find_problems(folder)
    assert what in problem.what
    assert problem.frame == frame


def test_all_problems_at_once(tmp_path: Path) -> None:
    folder = write_result(tmp_path / "result")
    (folder / "mask001.tif").unlink()
    paint(0, 0, 9)(folder)
    edit_tracks("3 2 3 1", "3 2 3 8")(folder)
    text = " ".join(p.what for p in find_problems(folder))
    assert "lacks frames 1" in text
    assert "Label 9" in text
    assert "names parent 8" in text


def test_images_and_masks_of_a_data_set_must_fit(tmp_path: Path) -> None:
    write_images(tmp_path / "01")
    result = write_result(tmp_path / "01_RES")
    (tmp_path / "01" / "t003.tif").unlink()
    (problem,) = find_problems(tmp_path)
    assert (problem.frame, problem.path) == (3, str(result))
    assert "has frames that" in problem.what
    write_images(tmp_path / "02")
    for number in range(4):
        write_array(tmp_path / "02" / f"t{number:03d}.tif", np.random.default_rng(number).random((9, 9)))
    write_result(tmp_path / "02_RES")
    assert any("the images have (9, 9)" in p.what for p in find_problems(tmp_path))


def test_sparse_truth_may_lack_frames(tmp_path: Path) -> None:
    write_images(tmp_path / "01")
    (tmp_path / "01_GT" / "SEG").mkdir(parents=True)
    write_masks(tmp_path / "01_GT" / "SEG", [(0, masks()[0]), (3, masks()[3])], prefix="man_seg")
    assert find_problems(tmp_path) == []


def test_single_slices_of_volumes_are_truth_too(tmp_path: Path) -> None:
    (tmp_path / "01").mkdir()
    for frame in range(2):
        write_array(tmp_path / "01" / f"t{frame:03d}.tif", np.random.default_rng(frame).random((3, 8, 12)))
    seg = tmp_path / "01_GT" / "SEG"
    seg.mkdir(parents=True)
    for name in ("man_seg_000_001.tif", "man_seg_001_001.tif", "man_seg_001_002.tif"):
        write_array(seg / name, masks()[0])
    assert find_problems(tmp_path) == []
    write_array(seg / "man_seg_001_002.tif", np.zeros((3, 8, 12), np.uint16))
    (seg / "man_seg_000_001.tif").write_text("no image")
    assert sorted(p.what.split(" ", 1)[1].split(" (")[0] for p in find_problems(tmp_path)) == [
        "is named like one slice but holds several",
        "is not a TIFF image",
    ]


def test_masks_without_a_ctc_name_are_recognised(tmp_path: Path) -> None:
    folder = tmp_path / "labels"
    folder.mkdir()
    for frame in range(2):
        write_array(folder / f"cells_{frame}.tif", np.zeros((8, 12), np.uint8))
    write_array(folder / "cells_0.tif", masks()[0])
    assert [p.what.split(" in ")[0] for p in find_problems(folder)] == ["Frame 1 has no cell"]


def test_what_cannot_be_read_is_a_problem_not_an_error(tmp_path: Path) -> None:
    for path in (tmp_path, tmp_path / "nowhere"):
        (problem,) = find_problems(path)
        assert isinstance(problem, Problem)
        assert problem.remedy


def test_binary_masks_are_named(tmp_path: Path) -> None:
    frame = np.zeros((20, 20), np.uint8)
    frame[2:6, 2:6] = frame[10:15, 10:15] = 255
    for number in range(3):
        tifffile.imwrite(tmp_path / f"mask{number:03}.tif", np.roll(frame, number))
    assert "binary masks" in str(find_problems(tmp_path)[0])


def test_a_part_of_a_result_is_checked_on_its_own(tmp_path: Path) -> None:
    labels = np.zeros((20, 20), np.uint16)
    labels[3:8, 3:8] = 1
    masks = ((number, np.roll(labels, number, axis=1) if number != 5 else np.zeros_like(labels)) for number in range(8))
    write_masks(tmp_path, masks)
    write_track_file(tmp_path / "res_track.txt", Tracks.from_rows([(1, 0, 7, 0)]))
    assert {problem.frame for problem in find_problems(tmp_path)} >= {5}
    assert find_problems(tmp_path, Section(frames=range(0, 5))) == []


def test_one_channel_of_images_is_checked(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(100, 200, (3, 2, 20, 30), dtype=np.uint16)
    noise[1, 1] = 7
    for number, image in enumerate(noise):
        tifffile.imwrite(tmp_path / f"t{number:03}.tif", image, photometric="minisblack", metadata={"axes": "CYX"})
    assert find_problems(tmp_path, Section(channel=0, axes="CYX")) == []
    assert [problem.frame for problem in find_problems(tmp_path, Section(channel=1, axes="CYX"))] == [1]
