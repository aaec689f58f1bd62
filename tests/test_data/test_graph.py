"""``graph.npz`` keeps the tracking problem and its answer."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import (
    NAT,
    Candidates,
    Detections,
    Divisions,
    Links,
    Solution,
    load_graph,
    save_graph,
    to_units,
)


def small_problem() -> tuple[Candidates, Solution]:
    """Two detections, then three: one link, one division, one clique."""
    n = 5
    counts = np.arange(n, dtype=np.int64)
    detections = Detections(
        frame=np.array([0, 0, 1, 1, 1]),
        label=counts + 1,
        position=np.random.default_rng(0).random((n, 3)),
        area=counts + 10,
        border=counts * 0.5,
        cost=-counts,
        appear=counts + 3,
        disappear=counts + 4,
        optional=counts > 3,
        fixed=np.full(n, -1),
        hypothesis=np.full(n, -1),
    )
    links = Links(np.array([0]), np.array([2]), np.array([-7]), np.array([-1]), {"distance": np.array([0.25])})
    divisions = Divisions(np.array([1]), np.array([3]), np.array([4]), np.array([-9]), np.array([1]))
    candidates = Candidates(
        detections,
        links,
        divisions,
        np.array([0, 0]),
        np.array([3, 4]),
        rebirth_frames=4,
        rebirth_cost=11,
        ndim=2,
        voxel=(1.0, 0.5, 0.5),
    )
    yes = np.ones(n, dtype=bool)
    solution = Solution(
        yes,
        ~yes,
        ~yes,
        np.array([True]),
        np.array([True]),
        -16,
        -16,
        30,
        np.zeros(n, np.int64),
        np.array([0.5]),
        np.array([np.nan]),
        solver="highs",
    )
    return candidates, solution


def assert_equal(a: Any, b: Any) -> None:
    for column in fields(a):
        left, right = getattr(a, column.name), getattr(b, column.name)
        if hasattr(left, "__dataclass_fields__"):
            assert_equal(left, right)
        elif isinstance(left, dict):
            assert left.keys() == right.keys()
            for key in left:
                np.testing.assert_array_equal(left[key], right[key])
        else:
            np.testing.assert_array_equal(left, right)


def test_everything_is_read_back(tmp_path: Path) -> None:
    candidates, solution = small_problem()
    save_graph(tmp_path / "graph.npz", candidates, solution, track=np.array([1, 2, 1, 3, 4]))
    again, answer, track = load_graph(tmp_path / "graph.npz")
    assert_equal(candidates, again)
    assert answer is not None
    assert_equal(solution, answer)
    assert track is not None
    assert track.tolist() == [1, 2, 1, 3, 4]
    save_graph(tmp_path / "bare.npz", candidates)
    assert load_graph(tmp_path / "bare.npz")[1:] == (None, None)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("link", np.zeros(2, np.float32), "confidence.link has the shape"),
        ("used", np.array([1, 1, 1, 1, 7.0]), "confidence.used holds values that are no probabilities"),
        ("appear", np.array([1, 1, np.nan, 1, 1]), "confidence.appear holds values that are no numbers"),
        ("disappear", np.ones(5, np.int64), "confidence.disappear holds int64 values"),
        ("temperature", np.array(-1.0), "confidence.temperature is no number above 0"),
        ("temperature", np.array([1.0, 2.0]), "confidence.temperature is no number above 0"),
    ],
)
def test_probabilities_that_are_none(name: str, value: np.ndarray, said: str, tmp_path: Path) -> None:
    candidates, solution = small_problem()
    save_graph(tmp_path / "graph.npz", candidates, solution, confidence={f"confidence.{name}": value})
    with pytest.raises(InputError, match=said):
        load_graph(tmp_path / "graph.npz")


def test_status_and_gap() -> None:
    _, solution = small_problem()
    assert (solution.status, solution.gap, solution.relative_gap, solution.components) == ("optimal", 0.0, 0.0, 1)
    solution.bound -= NAT
    assert (solution.status, solution.gap) == ("gap", 1.0)
    assert solution.relative_gap == pytest.approx(NAT / (30 + 16 + NAT))


def test_costs_are_whole_millionths_of_a_nat() -> None:
    assert to_units(np.array([1.0, -0.25, 1e-7])).tolist() == [1_000_000, -250_000, 0]


def test_what_is_not_a_graph(tmp_path: Path) -> None:
    path = tmp_path / "graph.npz"
    with pytest.raises(InputError, match="does not exist"):
        load_graph(path)
    path.write_text("nothing of the kind")
    with pytest.raises(InputError, match="is not a graph of Celltrail"):
        load_graph(path)
    np.savez(path, schema=np.array("celltrail.graph/99"))
    with pytest.raises(InputError, match=r"has the schema celltrail\.graph/99"):
        load_graph(path)
    save_graph(path, small_problem()[0])
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match="is not a graph of Celltrail"):
        load_graph(path)


def test_no_pickle_is_ever_loaded(tmp_path: Path) -> None:
    np.savez(tmp_path / "graph.npz", schema=np.array([{"a": 1}], dtype=object))
    with pytest.raises(InputError, match="is not a graph of Celltrail"):
        load_graph(tmp_path / "graph.npz")


@pytest.mark.parametrize("left_out", ["link.cost", "ndim", "solution.bound"])
def test_a_graph_that_lacks_a_part_is_refused(tmp_path: Path, left_out: str) -> None:
    path = tmp_path / "graph.npz"
    save_graph(path, *small_problem())
    with np.load(path) as archive:
        arrays = {name: array for name, array in archive.items() if name != left_out}
    np.savez(path, **arrays)
    with pytest.raises(InputError, match="lacks a part"):
        load_graph(path)
