"""``segment`` as a run: what it says, writes, repeats and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer

pytest.importorskip("torch")

from celltrail.data.files.opening import open_labels
from celltrail.data.running import console
from celltrail.segmentation.cli import add_commands
from celltrail.segmentation.net.checkpoint import list_models
from celltrail.segmentation.segment_settings import DEFAULT_MODEL


def celltrail(*arguments: object) -> int:
    app = typer.Typer()
    add_commands(app)
    return console.run(app, [str(a) for a in arguments])


def discs(side: tuple[int, int], diameter: float, step: float) -> np.ndarray:
    """Discs on a grid, with noise, uint16."""
    y, x = np.mgrid[: side[0], : side[1]]
    distance = np.hypot((y % step) - step / 2, (x % step) - step / 2)
    noise = np.random.default_rng(0).normal(0, 3, side)
    return (100 + 150 * np.clip(diameter / 2 - distance + 0.5, 0, 1) + noise).astype(np.uint16)


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("movie") / "01"
    folder.mkdir()
    for frame in range(2):
        tifffile.imwrite(folder / f"t{frame:03d}.tif", discs((120, 120), 10, 20))
    return folder


def test_the_default_model_is_shipped() -> None:
    assert DEFAULT_MODEL in list_models()


def test_a_run_says_what_it_found_and_can_be_repeated(
    movie: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, again = tmp_path / "first", tmp_path / "again"
    assert celltrail("segment", movie, "--out", first) == 0
    assert "10 pixels wide" in capsys.readouterr().out.replace("11 pixels", "10 pixels").replace(
        "9 pixels", "10 pixels"
    )
    run = json.loads((first / "run.json").read_text())
    assert run["schema"] == "celltrail.run/1"
    assert run["command"] == "segment"
    assert run["kind"] == "movie"
    assert run["fits"] is True
    assert run["diameter"] == pytest.approx(10, rel=0.25)
    assert run["factor"] == pytest.approx(run["trained"] / run["diameter"], rel=1e-6)
    assert run["cells"] == 72
    assert run["inputs"]["images"]["frames"] == 2
    assert len(run["inputs"]["model"]["sha256"]) == 64
    assert run["seconds"]["total"] > 0
    assert celltrail("segment", "--from", first / "run.json", movie, "--out", again) == 0
    assert "fingerprint" not in capsys.readouterr().err
    a, b = open_labels(first), open_labels(again)
    assert all(np.array_equal(a[k], b[k]) for k in (0, 1))
    repeated = json.loads((again / "run.json").read_text())
    assert repeated["config"] == run["config"]
    assert repeated["inputs"]["model"] == run["inputs"]["model"]
    given = (
        "segment",
        movie,
        "--model",
        "sim-fluo",
        "--diameter",
        10.5,
        "--frames",
        "0:0",
        "--out",
        tmp_path / "given",
    )
    assert celltrail(*given) == 0
    run = json.loads((tmp_path / "given/run.json").read_text())
    assert run["given"] is True
    assert run["diameter"] == 10.5
    assert run["config"]["diameter"] == 10.5
    assert run["cells"] == 36


def test_images_of_several_sizes_are_stills(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "stills").mkdir()
    tifffile.imwrite(tmp_path / "stills/a1.tif", discs((120, 120), 10, 20))
    tifffile.imwrite(tmp_path / "stills/a2.tif", discs((200, 240), 20, 40))
    broken = discs((8, 200), 6, 8).astype(np.float32)
    broken[2, 5:9] = np.nan
    tifffile.imwrite(tmp_path / "stills/a3.tif", broken)
    assert celltrail("segment", tmp_path / "stills", "--out", tmp_path / "out") == 0
    assert "stills" in capsys.readouterr().out
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert run["kind"] == "stills"
    assert run["why"] == "their sizes differ"
    assert [image["frame"] for image in run["images"]] == [1, 2, 3]
    assert [image["cells"] for image in run["images"]][:2] == [36, 30]
    assert [tifffile.imread(p).shape for p in sorted((tmp_path / "out").glob("mask*"))] == [
        (120, 120),
        (200, 240),
        (8, 200),
    ]


def test_what_the_model_does_not_know_gets_masks_and_a_warning(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from celltrail.data.simulation.scene import simulate_scene

    scene = simulate_scene(frames=1, cells=10, size=(256, 256), modality="dic", seed=2)
    tifffile.imwrite(tmp_path / "t000.tif", scene.draw(0)[0])
    assert celltrail("segment", tmp_path / "t000.tif", "--out", tmp_path / "out") == 0
    run = json.loads((tmp_path / "out/run.json").read_text())
    told = capsys.readouterr().err
    assert run["cells"] > 0
    assert run["fits"] is False
    assert "--start nuclei" in told
    assert "celltrail track MASKS" in told


def test_a_frame_without_any_value_is_refused_by_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    for frame in range(3):
        image = discs((60, 60), 12, 20).astype(np.float32)
        tifffile.imwrite(tmp_path / f"in/t{frame}.tif", np.full_like(image, np.nan) if frame == 1 else image)
    assert celltrail("segment", tmp_path / "in", "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert "t1.tif" in told
    assert "no finite value" in told
    assert sorted(p.name for p in tmp_path.iterdir()) == ["in"]


def test_from_wants_the_run_of_a_segmentation(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = {"config": {}, "inputs": {}, "versions": {}}
    (tmp_path / "run.json").write_text(json.dumps(run))
    assert celltrail("segment", tmp_path, "--from", tmp_path / "run.json", "--out", tmp_path / "out") == 2
    assert "not the run.json of 'celltrail segment'" in capsys.readouterr().err
