"""Whatever opens a movie for tracking opens it as ``track`` does: the same voxels, and so the same problem."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import tifffile

import celltrail.tracking.costs.from_pins
from celltrail.data import Candidates, open_images, open_labels
from celltrail.data.files.ctc import Sequence
from celltrail.data.files.pins import Pin, write_pins
from celltrail.data.graph.networkx_graph import from_networkx, to_networkx
from celltrail.tracking import candidate_graph, track
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.learned import load_costs
from celltrail.tracking.tuning import open_tunable

VOXEL = (4.0, 0.5, 0.5)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Five balls that wander through flat voxels; only the images tell how flat. ``01``, ``01_GT/TRA``, ``pins.csv``."""
    folder = tmp_path_factory.mktemp("flat") / "set"
    for part in ("01", "01_GT/TRA"):
        (folder / part).mkdir(parents=True)
    rng = np.random.default_rng(4)
    grid = np.stack(np.mgrid[:8, :72, :72]).astype(float)
    centres = np.array([[2, 18, 18], [5, 18, 44], [3, 44, 20], [2, 50, 50], [5, 34, 34]], dtype=float)
    for t in range(6):
        labels = np.zeros((8, 72, 72), np.uint16)
        for label, centre in enumerate(centres, start=1):
            offset = (grid - centre[:, None, None, None]) * np.array(VOXEL)[:, None, None, None]
            labels[np.sqrt((offset**2).sum(axis=0)) < 4.5] = label
        centres += rng.normal(0, (0.4, 3.0, 3.0), centres.shape)
        tifffile.imwrite(folder / f"01_GT/TRA/man_track{t:03d}.tif", labels)
        sizes = {f"PhysicalSize{axis}": size for axis, size in zip("ZYX", VOXEL, strict=True)}
        units = {f"PhysicalSize{axis}Unit": "µm" for axis in "ZYX"}
        grey = (labels * 40 + rng.integers(0, 20, labels.shape)).astype(np.uint16)
        tifffile.imwrite(folder / f"01/t{t:03d}.ome.tif", grey, metadata={"axes": "ZYX", **sizes, **units})
    (folder / "01_GT/TRA/man_track.txt").write_text("".join(f"{label} 0 5 0\n" for label in range(1, 6)))
    write_pins(folder / "pins.csv", [Pin("link", "keep", ((1, 1), (2, 1)))])
    return folder


def assert_same_problem(one: Candidates, other: Candidates) -> None:
    """The same voxels, candidates and costs."""
    assert one.voxel == other.voxel
    for name in ("detections", "links", "divisions"):
        mine, its = vars(getattr(one, name)), vars(getattr(other, name))
        for column in ("frame", "label", "source", "target", "mother", "first", "second", "cost", "appear", "fixed"):
            if column in mine:
                np.testing.assert_array_equal(mine[column], its[column], err_msg=f"{name}.{column}")
    assert (one.rebirth_frames, one.rebirth_cost) == (other.rebirth_frames, other.rebirth_cost)


def solved_by_track(*given: object, **options: object) -> Candidates:
    """The problem that ``track`` solves, as it comes out of a graph."""
    return from_networkx(to_networkx(track(*given, **options).candidates))


def test_the_candidate_graph_is_the_problem_that_track_solves(dataset: Path) -> None:
    masks, images = dataset / "01_GT/TRA", dataset / "01"
    assert open_images(images).voxel == pytest.approx(VOXEL)
    assert open_labels(masks).voxel is None
    plain = solved_by_track(masks, images=images)
    assert plain.voxel == pytest.approx(VOXEL)
    assert_same_problem(from_networkx(candidate_graph(masks, images)), plain)
    options = {"appear": 3.0, "late": 1.0, "allow_drop": True, "max_gap": 1, "frames": range(1, 5)}
    pins = dataset / "pins.csv"
    assert_same_problem(
        from_networkx(candidate_graph(masks, images, pins=pins, **options)),
        solved_by_track(masks, images=images, pins=pins, **options),
    )


def test_learning_and_searching_know_the_voxels_of_the_images(dataset: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    masks, images = dataset / "01_GT/TRA", dataset / "01"
    truth = track(masks, images=images).table
    assert truth.scale.tolist() == [8.0, 1.0, 1.0]
    tables = [
        read_example(Sequence(dataset, "01")).table,
        open_tunable("01", open_labels(masks), open_images(images), dataset / "01_GT").table,
    ]
    monkeypatch.setattr(
        celltrail.tracking.costs.from_pins, "fit_corrections", lambda base, table, *_, **__: tables.append(table)
    )
    celltrail.tracking.costs.from_pins.read_corrections(load_costs(), dataset / "pins.csv", masks, images)
    for table in tables:
        np.testing.assert_array_equal(table.scale, truth.scale)
        np.testing.assert_array_equal(table.place, truth.place)
        np.testing.assert_array_equal(table.shift[1], truth.shift[1])
