"""What is written here, read by those for whom it is meant: geff's own validation, and traccuracy's loaders.

frame 0   1   2   3
      1───1─┬─2───2        1 divides; 5 follows 4 after a gap
            └─3───3
      4───4───────5
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celltrail.data.formats.convert import convert_movie

pytestmark = [  # of geff, about units that OME does not know, and the older name that older readers want
    pytest.mark.filterwarnings("ignore::UserWarning"),
    pytest.mark.filterwarnings("ignore:.*geff-spec v1.2.1:DeprecationWarning"),
]

ROWS = [
    *((1, t, 20.0 + t, 10.0, -1) for t in (0, 1)),
    *((2, t, 16.0 - t, 12.0, 1) for t in (2, 3)),
    *((3, t, 30.0 + t, 12.0, 1) for t in (2, 3)),
    *((4, t, 60.0, 40.0 + t, -1) for t in (0, 1, 3)),
]
LINKS = {((t, y, x), (t2, y2, x2)) for n, t, y, x, _ in ROWS for m, t2, y2, x2, _ in ROWS if n == m and t2 == t + 1}
LINKS |= {((1, 21.0, 10.0), (2, 14.0, 12.0)), ((1, 21.0, 10.0), (2, 32.0, 12.0)), ((1, 60.0, 41.0), (3, 60.0, 43.0))}


@pytest.fixture
def written(tmp_path: Path) -> Path:
    """The lineage as a CTC folder, GEFF, GEFF with masks, and tables."""
    table = pd.DataFrame(ROWS, columns=["track_id", "t", "y", "x", "parent_track_id"])
    table.to_csv(tmp_path / "given.csv", index=False)
    convert_movie(tmp_path / "given.csv", tmp_path / "RES", radius=3.0)
    for name in ("a.geff", "a.zarr"):
        pytest.importorskip("geff")
        convert_movie(tmp_path / "RES", tmp_path / name, voxel=(1.0, 0.5, 0.25), interval=60.0)
    convert_movie(tmp_path / "RES", tmp_path / "napari.csv", dialect="napari")
    return tmp_path


@pytest.mark.parametrize("graph", ["a.geff", "a.zarr/tracks"])
def test_geffs_validation(written: Path, graph: str) -> None:
    from geff.core_io import read_to_memory
    from geff.validate.data import ValidationConfig, validate_data

    found = read_to_memory(str(written / graph), structure_validation=True)
    validate_data(found, ValidationConfig(graph=True, sphere=True, ellipsoid=True, lineage=True, tracklet=True))
    kept = json.loads((written / graph / ".zattrs").read_text())["geff"]
    assert [(axis["name"], axis["scale"], axis["scaled_unit"]) for axis in kept["axes"]] == [
        ("t", 60.0, "second"),
        ("y", 0.5, "micrometer"),
        ("x", 0.25, "micrometer"),
    ]


def test_geffs_validation_of_masks(written: Path) -> None:
    import zarr
    from geff.core_io import read_to_memory
    from geff.validate import segmentation as of_masks

    masks = np.asarray(zarr.open_array(str(written / "a.zarr/segmentation"), mode="r"))
    graph = read_to_memory(str(written / "a.zarr/tracks"))
    assert of_masks.has_valid_seg_id(graph) == (True, [])
    assert of_masks.axes_match_seg_dims(graph, masks)[0]
    assert of_masks.graph_is_in_seg_bounds(graph, masks)[0]
    frames, labels = (graph["node_props"][name]["values"].tolist() for name in ("t", "seg_id"))
    assert of_masks.has_seg_ids_at_time_points(masks, frames, labels)[0]


def test_traccuracys_loader(written: Path) -> None:
    loaders = pytest.importorskip("traccuracy.loaders")
    graph = loaders.load_geff_data(str(written / "a.zarr/tracks"), load_geff_seg=True)
    place = {node: (data["t"], data["y"], data["x"]) for node, data in graph.graph.nodes(data=True)}
    assert {(place[a], place[b]) for a, b in graph.graph.edges} == LINKS
    assert graph.segmentation.shape[0] == 4
    for data in graph.graph.nodes.values():
        assert graph.segmentation[int(data["t"]), round(data["y"]), round(data["x"])] == data["seg_id"]


def test_naparis_tracks(written: Path) -> None:
    """napari's layer takes rows (track, t, y, x), by track and time, a track once in a frame."""
    rows = pd.read_csv(written / "napari.csv")
    assert list(rows.columns) == ["track_id", "t", "y", "x"]
    assert not rows.duplicated(["track_id", "t"]).any()
    assert rows.equals(rows.sort_values(["track_id", "t"], ignore_index=True))
