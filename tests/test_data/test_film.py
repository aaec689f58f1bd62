"""Films and lineage trees: what is drawn is what the result says."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.points import read_result
from celltrail.data.pictures.colours import CERTAINTY, PALETTE, PLAIN, css
from celltrail.data.pictures.film import (
    Scenes,
    Style,
    bar_length,
    draw_film,
    time_text,
    write_gif,
    write_mp4,
    write_pngs,
)
from celltrail.data.pictures.lineage_tree import tree_columns, write_tree
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie

# Track 1 moves right by 4 pixels a frame, then divides into 2 (up) and 3 (down).
TRACKS = Tracks.from_rows([(1, 0, 3, 0), (2, 4, 5, 1), (3, 4, 5, 1)])


@pytest.fixture
def scenes(tmp_path: Path) -> Scenes:
    masks = {}
    for frame in range(6):
        mask = np.zeros((64, 60), np.uint16)
        for label, row in {1: 42}.items() if frame < 4 else {2: 34, 3: 50}.items():
            mask[row : row + 5, 8 + 4 * frame : 13 + 4 * frame] = label
        masks[frame] = mask
    folder = tmp_path / "result"
    folder.mkdir()
    write_masks(folder, masks.items())
    write_track_file(folder / "res_track.txt", TRACKS)
    images = {frame: (mask * 0 + 100).astype(np.uint16) for frame, mask in masks.items()}
    return Scenes(read_result(folder), masks, images, Style(tail=3, ids=False, zoom=1))


def pixels(picture: np.ndarray, colour: tuple[int, int, int]) -> set[tuple[int, int]]:
    return {(int(y), int(x)) for y, x in np.argwhere((picture == colour).all(axis=2))}


def test_outline_and_tail_have_the_colour_of_the_track(scenes: Scenes) -> None:
    picture = scenes.draw(3)
    own = pixels(picture[24:], scenes.colours[1])  # below the caption
    edge = {(y, x) for y in range(42, 47) for x in range(20, 25) if y in (42, 46) or x in (20, 24)}
    assert {(y - 24, x) for y, x in edge} <= own
    # The tail runs back to where the cell was three frames ago, and no further.
    columns = {x for y, x in own if (y + 24, x) not in edge}
    assert min(columns) in (10, 11)
    assert max(columns) < 24


def test_the_tail_of_a_daughter_goes_on_into_its_mother_and_the_division_is_marked(scenes: Scenes) -> None:
    picture = scenes.draw(5)
    own = pixels(picture, scenes.colours[2])
    assert any(42 <= y <= 46 and x <= 23 for y, x in own)
    assert pixels(scenes.draw(4)[24:], PLAIN)
    assert not pixels(scenes.draw(2)[24:], PLAIN)


def test_ids_scale_bar_and_time_are_added(scenes: Scenes) -> None:
    plain = scenes.draw(2)
    scenes.style = Style(tail=3, ids=True, zoom=1, voxel=(1.0, 0.5, 0.5), interval=60.0)
    rich = scenes.draw(2)
    assert (plain != rich).any(axis=2)[42:47, 16:21].any()
    bar = rich[rich.shape[0] - 13 : rich.shape[0] - 9]
    assert (bar == 255).all(axis=2).sum() > 3 * 10  # 5 µm are 10 pixels


def test_small_movies_are_enlarged_and_large_ones_not(scenes: Scenes) -> None:
    scenes.style = Style(zoom=0)
    assert scenes.draw(0).shape == (512, 480, 3)
    scenes.style = Style(zoom=2)
    assert scenes.draw(0).shape == (128, 120, 3)


def test_frames_without_masks_or_images(scenes: Scenes) -> None:
    scenes.images = None
    assert scenes.draw(1).max() > 0
    scenes.images = {7: np.full((64, 60), 5, np.uint8)}
    assert scenes.draw(7).shape == (64, 60, 3)
    with pytest.raises(KeyError):
        scenes.draw(9)
    scenes.images = {1: np.zeros((4, 6))}
    with pytest.raises(InputError, match="use the images that the masks were made from"):
        scenes.draw(1)


@pytest.mark.parametrize(("width", "length"), [(100, 20), (1000, 200), (4, 1), (3.9, 0.5), (0.1, 0.02)])
def test_a_scale_bar_has_a_round_length(width: float, length: float) -> None:
    assert bar_length(width) == pytest.approx(length)


def test_time() -> None:
    assert (time_text(12, None), time_text(12, 300.0), time_text(3, 0.4)) == ("frame 12", "1:00:00", "0:00:01")


def test_all_kinds_of_files(scenes: Scenes, tmp_path: Path) -> None:
    write_pngs(draw_film([scenes, scenes], [0, 5]), tmp_path)
    with Image.open(tmp_path / "frame0005.png") as picture:
        assert picture.size == (124, 64)
    write_gif(draw_film([scenes], [0, 1, 2]), tmp_path / "a.gif", fps=5)
    with Image.open(tmp_path / "a.gif") as film:
        assert (film.n_frames, film.size, film.info["duration"]) == (3, (60, 64), 200)
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    scenes.style = Style(zoom=1)
    odd = ((frame, picture[:, :59]) for frame, picture in draw_film([scenes], list(range(6))))
    write_mp4(odd, tmp_path / "a.mp4", fps=5)
    count, seconds = ffmpeg.count_frames_and_secs(str(tmp_path / "a.mp4"))
    assert (count, seconds) == (6, pytest.approx(1.2, abs=0.05))


# --- trees ----------------------------------------------------------------------------------------


def test_a_mother_stands_above_the_middle_of_her_daughters() -> None:
    rows = [(1, 0, 3, 0), (2, 4, 9, 1), (3, 4, 5, 1), (4, 6, 9, 3), (5, 6, 9, 3), (6, 2, 9, 0), (7, 11, 12, 6)]
    columns = tree_columns(Tracks.from_rows(rows))
    assert columns == {2: 0, 4: 1, 5: 2, 3: 1.5, 1: 0.75, 7: 3, 6: 3}


@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_a_tree_is_drawn_in_the_colours_of_the_tracks(tmp_path: Path, suffix: str) -> None:
    colours = {1: PALETTE[0], 2: PALETTE[1], 3: PALETTE[2]}
    for name in ("a", "b"):
        write_tree(TRACKS, tmp_path / f"{name}{suffix}", colours, interval=1800.0)
    assert (tmp_path / f"a{suffix}").read_bytes() == (tmp_path / f"b{suffix}").read_bytes()
    if suffix == ".png":
        with Image.open(tmp_path / "a.png") as opened:
            picture = np.asarray(opened.convert("RGB"))
        assert all((picture == colour).all(axis=2).sum() > 50 for colour in colours.values())
    else:
        text = (tmp_path / "a.svg").read_text()
        assert all(f"#{r:02x}{g:02x}{b:02x}" in text for r, g, b in colours.values())


def test_trees_that_cannot_be_drawn(tmp_path: Path) -> None:
    alone = Tracks.from_rows([(label, 0, 1, 0) for label in range(1, 500)])
    with pytest.raises(InputError, match="tree of 499 lineages"):
        write_tree(alone, tmp_path / "a.svg")
    with pytest.raises(InputError, match="tree of 0 lineages"):
        write_tree(alone, tmp_path / "a.svg", only_divided=True)
    assert not list(tmp_path.iterdir())


# --- the command ----------------------------------------------------------------------------------


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    import celltrail.data.cli

    app = typer.Typer()
    celltrail.data.cli.add_commands(app)
    write_movie(simulate_movie(frames=4, cells=4, size=(48, 48), cycle=8), tmp_path / "set")
    result, images = str(tmp_path / "set" / "01_GT" / "TRA"), str(tmp_path / "set" / "01")

    def run(*words: str) -> int:
        return console.run(app, ["render", result, *words])

    assert run("--images", images, "--truth", result, "--out", str(tmp_path / "film.gif"), "--frames", "1:2") == 0
    with Image.open(tmp_path / "film.gif") as film:
        assert (film.n_frames, film.size) == (2, (964, 480))
    assert run("--out", str(tmp_path / "pngs"), "--zoom", "1") == 0
    assert len(list((tmp_path / "pngs").iterdir())) == 4
    assert run("--out", str(tmp_path / "tree.svg")) == 0
    capsys.readouterr()
    for words, message in {
        ("--out", str(tmp_path / "film.gif")): "exists already",
        ("--out", str(tmp_path / "film.avi")): "the ending .avi, which is not written here",
        ("--out", str(tmp_path / "x.gif"), "--images", str(tmp_path)): "holds no numbered TIFF",
        ("--out", images, "--images", images, "--overwrite"): "must not be replaced",
    }.items():
        assert run(*words) == 2
        assert message in capsys.readouterr().err
    assert not (tmp_path / "x.gif").exists()


def test_certainty_colours_cells_frame_by_frame_with_a_bar(scenes: Scenes, tmp_path: Path) -> None:
    right = {(2, 1): 0.0, (4, 2): 0.5}
    scenes.right = right
    red, sure = np.array(CERTAINTY[-1]), np.array(CERTAINTY[0])

    def cell(frame: int) -> np.ndarray:
        return scenes.draw(frame)[42, 8 + 4 * frame]

    np.testing.assert_array_equal(cell(2), red)
    np.testing.assert_array_equal(cell(1), sure)
    lower = scenes.draw(1)[-40:]
    assert (lower == red).all(axis=-1).any()  # the bar goes from wrong …
    assert (lower == sure).all(axis=-1).any()  # … to sure
    write_tree(TRACKS, tmp_path / "tree.svg", right=right)
    text = (tmp_path / "tree.svg").read_text()
    assert css(CERTAINTY[-1]) in text
