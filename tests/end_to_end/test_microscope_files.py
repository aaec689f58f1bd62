"""The same movie as a folder, OME-TIFF and OME-Zarr: ``track`` and ``segment`` give the same cells, with the file's scale."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

import celltrail.cli
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.opening import open_labels
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie

UM = {"y": 0.5, "x": 0.25, "z": 2.0}
FORMATS = ["ome.tif", "0.4", "0.5"]


def write_as(kind: str, path: Path, array: np.ndarray, axes: str) -> Path:
    """An array with named axes, in micrometres and seconds, as OME-TIFF or OME-Zarr."""
    if kind == "ome.tif":
        scale = {f"PhysicalSize{axis.upper()}": UM[axis] for axis in axes if axis in UM}
        tifffile.imwrite(
            path := path.with_suffix(".ome.tif"),
            array,
            photometric="minisblack",
            metadata={"axes": axes.upper(), "TimeIncrement": 60.0, "TimeIncrementUnit": "s", **scale},
        )
        return path
    zarr = pytest.importorskip("zarr")
    units = {
        "t": ("time", "second"),
        "z": ("space", "micrometer"),
        "y": ("space", "micrometer"),
        "x": ("space", "micrometer"),
    }
    named = [
        {"name": axis, "type": units.get(axis, ("channel",))[0], **({"unit": units[axis][1]} if axis in units else {})}
        for axis in axes
    ]
    scale_of = [{"type": "scale", "scale": [{**UM, "t": 60.0}.get(axis, 1.0) for axis in axes]}]
    about = {"multiscales": [{"axes": named, "datasets": [{"path": "0", "coordinateTransformations": scale_of}]}]}
    group = zarr.open_group(str(path := path.with_suffix(".zarr")), mode="w", zarr_format=2 if kind == "0.4" else 3)
    group.attrs.update(about if kind == "0.4" else {"ome": {"version": "0.5", **about}})
    group.create_array("0", shape=array.shape, chunks=(1, *array.shape[1:]), dtype=array.dtype)[...] = array
    return path


@pytest.fixture
def run() -> Callable[..., None]:
    def command(*words: Any) -> None:
        assert console.run(celltrail.cli.app, [str(word) for word in words]) == 0

    return command


def cells_of(result: Path) -> list[np.ndarray]:
    return list(open_labels(result).values())


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize("axes", ["tyx", "tzyx"])
def test_track_reads_axes_and_scale(kind: str, axes: str, tmp_path: Path, run: Callable[..., None]) -> None:
    size = (64, 64) if axes == "tyx" else (12, 48, 48)
    movie = simulate_movie(frames=4, cells=5, size=size, seed=3)
    masks = np.stack([mask.astype(np.uint16) for mask in movie.masks.values()])
    images = np.stack([*movie.images.values()])
    (tmp_path / "masks").mkdir()
    write_masks(tmp_path / "masks", enumerate(masks))
    (tmp_path / "images").mkdir()
    for frame, image in enumerate(images):
        write_array(tmp_path / "images" / f"t{frame:03}.tif", image)
    voxel = [2.0, 0.5, 0.25] if axes == "tzyx" else [1.0, 0.5, 0.25]
    named = " ".join(map(str, voxel[4 - len(axes) :]))
    run(
        "track", tmp_path / "masks", "--images", tmp_path / "images", "--voxel", named, "--out", tmp_path / "folder_RES"
    )
    given = write_as(kind, tmp_path / "movie", masks, axes)
    grey = write_as(kind, tmp_path / "grey", np.stack([images, images * 0], axis=1), axes.replace("t", "tc"))
    run("track", given, "--images", grey, "--channel", 0, "--out", tmp_path / "file_RES")
    runs = [json.loads((tmp_path / name / "run.json").read_text()) for name in ("folder_RES", "file_RES")]
    assert runs[1]["scale"]["voxel"] == pytest.approx(voxel)
    assert runs[0]["objective"] == runs[1]["objective"]
    for mine, theirs in zip(cells_of(tmp_path / "folder_RES"), cells_of(tmp_path / "file_RES"), strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.slow
@pytest.mark.parametrize("kind", FORMATS)
def test_segment_reads_axes_and_channels(kind: str, tmp_path: Path, run: Callable[..., None]) -> None:
    pytest.importorskip("torch")
    images = np.stack([*simulate_movie(frames=2, cells=5, size=(96, 96), seed=3).images.values()])
    (tmp_path / "images").mkdir()
    for frame, image in enumerate(images):
        write_array(tmp_path / "images" / f"t{frame:03}.tif", image)
    run("segment", tmp_path / "images", "--model", "sim-fluo", "--out", tmp_path / "folder")
    given = write_as(kind, tmp_path / "movie", np.stack([images * 0, images], axis=1), "tcyx")
    run("segment", given, "--channel", 1, "--model", "sim-fluo", "--out", tmp_path / "file")
    assert max(mask.max() for mask in cells_of(tmp_path / "file")) >= 3
    for mine, theirs in zip(cells_of(tmp_path / "folder"), cells_of(tmp_path / "file"), strict=True):
        np.testing.assert_array_equal(mine, theirs)
