"""A result folder in napari: what the reader gives, and its manifest as napari's own plugin engine reads it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.napari_reader import find_reader, read_layers, tracks_layer
from celltrail.data.formats.points import Points

#  frame 3   4   5   6
#        1───1─┬─2───2
#              └─3   4        4 continues 3 after a gap; frame 5 of it is lost
ROWS = [(1, 3, 4, 0), (2, 5, 6, 1), (3, 5, 5, 1), (4, 7, 7, 3)]


def paint(frame: int) -> np.ndarray:
    labels = np.zeros((20, 30), np.uint16)
    for label, begin, end, _ in ROWS:
        if begin <= frame <= end:
            labels[4 * label : 4 * label + 3, frame : frame + 4] = label
    return labels


@pytest.fixture
def result(tmp_path: Path) -> Path:
    folder = tmp_path / "01_RES"
    folder.mkdir()
    write_masks(folder, ((frame, paint(frame)) for frame in range(3, 8)))
    write_track_file(folder / "res_track.txt", Tracks.from_rows(ROWS))
    return folder


def with_images(result: Path) -> Path:
    images = result.parent / "01"
    images.mkdir()
    for frame in (3, 4, 6, 7):  # frame 5 was never taken
        write_array(images / f"t{frame:03}.tif", paint(frame) * 10)
    return result


@pytest.mark.parametrize("ndim", [2, 3])
def test_the_tracks_layer(ndim: int) -> None:
    frame, label = np.array([3, 4, 5, 5, 6, 7]), np.array([1, 1, 2, 3, 2, 4])
    position = np.stack([label * 1.0 * (ndim == 3), label * 10.0, frame * 2.0], axis=1)
    points = Points(frame, label, position, label * 5.0, Tracks.from_rows(ROWS), ndim)
    rows, options = tracks_layer(points)
    assert rows[:, :2].tolist() == [[1, 3], [1, 4], [2, 5], [2, 6], [3, 5], [3, 7]]
    assert rows[0, 2:].tolist() == [1, 10, 6][3 - ndim :]
    assert options["graph"] == {2: [1], 3: [1]}
    assert options["properties"]["label"].tolist() == [1, 1, 2, 2, 3, 4]
    assert options["properties"]["lineage"].tolist() == [1] * 6


def test_only_results_are_taken(result: Path, tmp_path: Path) -> None:
    assert find_reader(str(result)) is read_layers
    assert find_reader([str(result), str(result)]) is read_layers
    assert find_reader(str(tmp_path)) is None
    assert find_reader(str(result / "res_track.txt")) is None
    assert find_reader([str(result), str(tmp_path / "missing")]) is None


def test_a_result_that_contradicts_itself_is_refused(result: Path) -> None:
    (result / "res_track.txt").write_text("1 3 4 0\n")
    with pytest.raises(InputError, match="has no track in frame 5"):
        read_layers(str(result))


def test_layers_lie_on_each_other(result: Path) -> None:
    pytest.importorskip("dask")
    image, labels, tracks = read_layers([str(with_images(result))])
    assert [kind for *_, kind in (image, labels, tracks)] == ["image", "labels", "tracks"]
    assert image[0].shape == labels[0].shape == (5, 20, 30)
    assert image[1]["translate"] == labels[1]["translate"] == (3.0, 0.0, 0.0)
    assert image[0][2].compute().max() == 0  # the frame that was never taken
    for row, label in zip(tracks[0], tracks[1]["properties"]["label"], strict=True):
        frame, y, x = np.rint(row[1:]).astype(int)
        assert labels[0][frame - 3].compute()[y, x] == label
        assert frame == 5 or image[0][frame - 3].compute()[y, x] == label * 10


def test_images_and_scale_come_from_the_run(result: Path, tmp_path: Path) -> None:
    pytest.importorskip("dask")
    stack = np.stack([np.stack([paint(frame), paint(frame) * 10]) for frame in range(3, 8)])
    tifffile.imwrite(tmp_path / "movie.ome.tif", stack, metadata={"axes": "TCYX"})
    run = {"inputs": {"images": {"path": str(tmp_path / "movie.ome.tif")}}, "config": {"channel": 1, "axes": None}}
    (result / "run.json").write_text(json.dumps({**run, "scale": {"voxel": [2.0, 0.5, 0.25]}}))
    image, labels, tracks = read_layers(str(result))
    assert int(image[0][4].compute().max()) == 40
    assert {layer[1]["scale"] for layer in (image, labels, tracks)} == {(1.0, 0.5, 0.25)}
    (result / "run.json").write_text(json.dumps({**run, "config": {}}))  # two channels, and no word which
    assert [kind for *_, kind in read_layers(str(result))] == ["labels", "tracks"]
    for damaged in ("{", "[1]", '{"inputs": 3, "config": [], "scale": {"voxel": "wide"}}'):
        (result / "run.json").write_text(damaged)
        assert [kind for *_, kind in read_layers(str(result))] == ["labels", "tracks"]


def test_the_manifest_is_where_the_package_says(root: Path) -> None:
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    module, _, file = project["entry-points"]["napari.manifest"]["celltrail"].partition(":")
    assert (Path(import_module(module).__file__).parent / file).is_file()
    assert {requirement.split(">")[0] for requirement in project["optional-dependencies"]["napari"]} == {"npe2", "dask"}


def test_napari_opens_a_result(root: Path, result: Path) -> None:
    """napari's plugin engine validates the manifest, imports the reader and reads a folder; without a window."""
    if find_spec("npe2") is None:
        pytest.skip("the extra 'napari' is not installed")
    code = f"""
import sys
from pathlib import Path
from npe2 import PluginManager, PluginManifest
from npe2.io_utils import read_get_reader
manifest = PluginManifest.from_file(Path({str(root)!r}) / "data" / "formats" / "napari.yaml")
manifest.validate_imports()
PluginManager.instance().register(manifest)
layers, reader = read_get_reader([{str(with_images(result))!r}], stack=False)
assert reader.plugin_name == "celltrail", reader
assert [kind for _, _, kind in layers] == ["image", "labels", "tracks"]
try:
    from napari.components import ViewerModel
except ImportError:
    sys.exit()  # the reader has been tested; a window model needs napari itself
viewer = ViewerModel()
for data, options, kind in layers:
    getattr(viewer, f"add_{{kind}}")(data, **options)
assert viewer.layers[-1].graph == {{2: [1], 3: [1]}}
print("napari")
"""
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run([sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
