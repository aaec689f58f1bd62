"""``celltrail track``: what it writes, and how it refuses what it cannot use."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys

import numpy as np
import pytest
import tifffile

import celltrail.cli
from celltrail.data.running import console


@pytest.fixture
def masks(tmp_path):
    folder = tmp_path / "masks"
    folder.mkdir()
    for t in range(4):
        labels = np.zeros((40, 40), np.uint16)
        labels[5:11, 4 + t : 10 + t], labels[24:30, 20 - t : 26 - t] = 7 - t, 10 + t
        tifffile.imwrite(folder / f"mask{t:03d}.tif", labels)
    return folder


def run(*arguments):
    return console.run(celltrail.cli.app, [str(argument) for argument in arguments])


def test_track_writes_a_ctc_result(masks, tmp_path, capsys):
    assert run("track", masks, "--out", tmp_path / "RES") == 0
    said = capsys.readouterr().out
    assert "8 cells in 2 tracks: 6 links, 0 divisions; 0 masks filled in, 0 split, 0 joined." in said
    assert "proven optimal" in said
    names = sorted(path.name for path in (tmp_path / "RES").iterdir())
    assert names == ["graph.npz", *(f"mask{t:03d}.tif" for t in range(4)), "res_track.txt", "run.json", "run.log"]
    assert (tmp_path / "RES" / "res_track.txt").read_text() == "1 0 3 0\n2 0 3 0\n"


@pytest.mark.parametrize("method", ["lap", "greedy", "ilp"])
def test_a_bound_says_which_problem_it_is_of(masks, tmp_path, capsys, method):
    assert run("track", masks, "--out", tmp_path / "RES", "--method", method) == 0
    said, of = capsys.readouterr().out, json.loads((tmp_path / "RES" / "run.json").read_text())["bound_of"]
    assert (f" for {of};" in said) == (of != "the whole problem") == (method != "ilp")


def test_a_command_that_is_shown_can_be_copied(masks, tmp_path, capsys):
    assert run("track", masks, "--out", tmp_path / "my result") == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if "celltrail review" in line)
    shown = shlex.split(line)[1:3]
    assert shown == ["review", str(tmp_path / "my result")]
    assert run(*shown) == 0


@pytest.mark.parametrize(("made_by", "guess"), [("segment", True), ("track", False)])
def test_masks_that_are_a_guess_make_the_lineages_one(masks, tmp_path, capsys, made_by, guess):
    (masks / "run.json").write_text(json.dumps({"command": made_by, "fits": False}))
    assert run("track", masks, "--out", tmp_path / "RES") == 0
    sentence = "the model that made the masks does not know such images"
    assert (sentence in capsys.readouterr().out) == guess
    tracked = json.loads((tmp_path / "RES" / "run.json").read_text())
    assert (sentence in tracked["confidence"]["unlike"]) == guess
    assert tracked["inputs"]["masks"].get("fits", True) != guess


@pytest.mark.parametrize("content", ["", "[]", '"x"', "{" * 2000, '{"command": "segment"}'])
def test_a_run_json_among_masks_that_says_nothing_is_no_matter(masks, tmp_path, content):
    (masks / "run.json").write_text(content)
    assert run("track", masks, "--out", tmp_path / "RES") == 0


def test_json_goes_to_stdout_and_to_run_json(masks, tmp_path, capsys):
    assert run("track", masks, "--out", tmp_path / "RES", "--json", "--no-graph") == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed == json.loads((tmp_path / "RES" / "run.json").read_text(encoding="utf-8"))
    assert printed["status"] == "optimal"
    assert len(printed["inputs"]["masks"]["sha256"]) == 64
    assert not (tmp_path / "RES" / "graph.npz").exists()


def test_a_part_of_the_movie(masks, tmp_path, capsys):
    assert run("track", masks, "--out", tmp_path / "RES", "--frames", "1:2", "--json") == 0
    assert json.loads(capsys.readouterr().out)["detections"] == 4
    assert (tmp_path / "RES" / "mask001.tif").exists()
    assert not (tmp_path / "RES" / "mask000.tif").exists()


def test_a_result_is_replaced_only_on_request(masks, tmp_path, capsys):
    assert run("track", masks, "--out", tmp_path / "RES") == 0
    before = (tmp_path / "RES" / "run.json").read_bytes()
    assert run("track", masks, "--out", tmp_path / "RES") == 2
    assert "--overwrite" in capsys.readouterr().err
    assert (tmp_path / "RES" / "run.json").read_bytes() == before
    assert run("track", masks, "--out", tmp_path / "RES", "--overwrite") == 0


def spoil_missing(folder):
    for path in folder.iterdir():
        path.unlink()
    folder.rmdir()
    return "does not exist"


def spoil_empty(folder):
    for path in folder.iterdir():
        path.unlink()
    return "holds no numbered TIFF"


def spoil_grey(folder):
    rng = np.random.default_rng(0)
    for path in folder.iterdir():
        tifffile.imwrite(path, rng.integers(100, 1500, (40, 40)).astype(np.uint16))
    return "grey values or probabilities, not masks"


def spoil_rgb(folder):
    for path in folder.iterdir():
        tifffile.imwrite(path, np.zeros((40, 40, 3), np.uint8), photometric="rgb")
    return "colour image"


def spoil_float(folder):
    for path in folder.iterdir():
        tifffile.imwrite(path, np.full((40, 40), 0.5, np.float32))
    return "no whole numbers"


def spoil_shape(folder):
    tifffile.imwrite(folder / "mask002.tif", np.zeros((40, 41), np.uint16))
    return "mask002.tif has the shape"


def spoil_text(folder):
    (folder / "mask001.tif").write_text("not an image")
    return "mask001.tif is not a TIFF image"


def spoil_binary(folder):
    for path in folder.iterdir():
        labels = tifffile.imread(path)
        tifffile.imwrite(path, np.where(labels > 0, 255, 0).astype(np.uint8))
    return "binary"


SPOILERS = [spoil_missing, spoil_empty, spoil_grey, spoil_rgb, spoil_float, spoil_shape, spoil_text, spoil_binary]


@pytest.mark.parametrize("spoil", SPOILERS)
def test_bad_masks_get_a_sentence_and_leave_nothing(masks, tmp_path, capsys, spoil):
    message = spoil(masks)
    assert run("track", masks, "--out", tmp_path / "RES") == 2
    error = capsys.readouterr().err
    assert message in error
    assert "Traceback" not in error
    assert [path.name for path in tmp_path.iterdir() if path.name != "masks"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--voxel", "0 1 1"], "each above 0"),
        (["--voxel", "one"], "two numbers (Y X) or three (Z Y X)"),
        (["--costs", "unknown"], "not a choice for costs"),
        (["--solver", "pulp:NONSENSE"], "NONSENSE"),
        (["--frames", "7:9"], "no frame in"),
        (["--images", "nowhere"], "does not exist"),
    ],
)
def test_bad_options_get_a_sentence_and_leave_nothing(masks, tmp_path, capsys, options, message):
    assert run("track", masks, "--out", tmp_path / "RES", *options) == 2
    assert message in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["masks"]


def test_options_may_stand_in_a_file(masks, tmp_path, capsys):
    (tmp_path / "settings.toml").write_text('method = "greedy"\nmax-gap = 0\n')
    assert run("track", masks, "--out", tmp_path / "RES", "--config", tmp_path / "settings.toml", "--json") == 0
    assert json.loads(capsys.readouterr().out)["solver"] == "greedy"


def test_importing_tracking_needs_no_extra():
    code = "import sys, tracking; print(sorted({'torch', 'streamlit', 'plotly', 'pandas', 'dask'} & set(sys.modules)))"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


def test_masks_and_images_have_axes_of_their_own(masks, tmp_path, capsys):
    stack = np.stack([tifffile.imread(path) for path in sorted(masks.iterdir())])
    tifffile.imwrite(tmp_path / "masks.tif", stack, photometric="minisblack")
    grey = np.stack(
        [np.zeros_like(stack), 100 * (stack > 0).astype(np.uint16)], axis=1
    )  # the second channel shows cells
    tifffile.imwrite(tmp_path / "images.tif", grey, photometric="minisblack")
    images = ["--images", tmp_path / "images.tif", "--image-axes", "TCYX", "--channel", "1"]
    stacks = ["track", tmp_path / "masks.tif", "--axes", "TYX"]
    assert run(*stacks, *images, "--out", tmp_path / "RES", "--json") == 0
    config = json.loads(capsys.readouterr().out)["config"]
    assert (config["axes"], config["image_axes"], config["channel"]) == ("TYX", "TCYX", 1)
    assert run("track", masks, *images, "--out", tmp_path / "RES2") == 0
    for t in range(4):
        one, other = (tifffile.imread(tmp_path / name / f"mask{t:03d}.tif") for name in ("RES", "RES2"))
        assert np.array_equal(one, other)
    from celltrail.tracking import track

    table = track(
        tmp_path / "masks.tif", images=tmp_path / "images.tif", axes="TYX", image_axes="TCYX", channel=1
    ).table
    assert np.isfinite(table.brightness).all()
    capsys.readouterr()
    assert run(*stacks, "--images", tmp_path / "images.tif", "--image-axes", "TYX", "--out", tmp_path / "RES3") == 2
    assert "--image-axes TYX does not fit" in capsys.readouterr().err


def test_what_is_said_counts_the_cells_of_the_result(masks, tmp_path, capsys):
    """In one frame a cell is in two pieces: other readings of masks are no cells."""
    for t in range(4, 8):
        labels = np.zeros((40, 40), np.uint16)
        labels[5:11, 4 + t : 10 + t], labels[24:30, 20 - t : 26 - t] = 7, 10
        tifffile.imwrite(masks / f"mask{t:03d}.tif", labels)
    labels = tifffile.imread(masks / "mask004.tif")
    labels[24:27][labels[24:27] == 10] = 11
    tifffile.imwrite(masks / "mask004.tif", labels)
    assert run("track", masks, "--out", tmp_path / "RES") == 0
    said = capsys.readouterr().out
    cells = sum(len(np.unique(tifffile.imread(file))) - 1 for file in (tmp_path / "RES").glob("mask*.tif"))
    assert f"{cells} cells in " in said
    joined = json.loads((tmp_path / "RES" / "run.json").read_text())["repairs"]["split"]
    assert f" {joined} joined." in said


def test_the_cells_told_are_those_of_the_masks(masks, tmp_path, capsys):
    """A gap that is not painted is a link between two tracks, and no cell."""
    (masks / "mask002.tif").unlink()
    tifffile.imwrite(masks / "mask002.tif", np.zeros((40, 40), np.uint16))
    assert run("track", masks, "--out", tmp_path / "RES", "--fill", "never") == 0
    assert "6 cells in 4 tracks: 4 links" in capsys.readouterr().out


def test_why_says_what_a_pin_keeps(masks, tmp_path, capsys):
    (tmp_path / "pins.csv").write_text("kind,action,frame,label,frame2,label2,frame3,label3\nlink,keep,0,7,1,6,,\n")
    assert run("track", masks, "--out", tmp_path / "RES", "--pins", tmp_path / "pins.csv") == 0
    assert run("why", tmp_path / "RES", 1, 6, "--input-label") == 0
    said = capsys.readouterr().out
    assert "a pin keeps it" in said
    assert "inf nats" not in said
