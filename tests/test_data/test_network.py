"""The candidate graph as NetworkX, and back; every mistake in a graph made by hand is named."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import fields

import networkx as nx
import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    FREE,
    KEPT,
    NAT,
    Candidates,
    Detections,
    Divisions,
    Links,
    Solution,
)
from celltrail.data.graph.networkx_graph import from_networkx, to_networkx


@pytest.fixture
def candidates() -> Candidates:
    """Three detections, the first may divide; one clique."""
    ints = lambda *values: np.array(values, dtype=np.int64)  # noqa: E731
    return Candidates(
        Detections(
            frame=ints(0, 1, 1),
            label=ints(5, 2, 9),
            position=np.array([[0, 1, 1], [0, 1, 2], [0, 3, 1.5]]),
            area=ints(10, 11, 12),
            border=np.array([1.0, 2.0, 3.0]),
            cost=ints(-1_000_001, 3, 0),
            appear=ints(1, 2, 3),
            disappear=ints(4, 5, 6),
            optional=np.array([False, True, True]),
            fixed=ints(FREE, KEPT, FREE),
            hypothesis=ints(-1, 0, 1),
        ),
        Links(ints(0, 0), ints(1, 2), ints(7, -8), ints(FORBIDDEN, FREE), {"distance": np.array([0.5, 1.5])}),
        Divisions(ints(0), ints(1), ints(2), ints(123_456_789), ints(FORBIDDEN), {"symmetry": np.array([0.25])}),
        clique_id=ints(0, 0),
        clique_detection=ints(1, 2),
        rebirth_frames=4,
        rebirth_cost=5_500_000,
        ndim=2,
        voxel=(1.0, 0.5, 0.5),
    )


def same(one: Candidates, other: Candidates) -> None:
    for name in ("detections", "links", "divisions"):
        for column in fields(getattr(one, name)):
            a, b = getattr(getattr(one, name), column.name), getattr(getattr(other, name), column.name)
            if isinstance(a, dict):
                assert a.keys() == b.keys()
                assert all(np.array_equal(a[key], b[key], equal_nan=True) for key in a)
            else:
                assert np.array_equal(a, b), column.name
                assert a.dtype == b.dtype, column.name
    for name in ("clique_id", "clique_detection"):
        assert np.array_equal(getattr(one, name), getattr(other, name))
    for name in ("rebirth_frames", "rebirth_cost", "ndim", "voxel"):
        assert getattr(one, name) == getattr(other, name)


def test_a_graph_comes_back_as_it_went(candidates: Candidates) -> None:
    same(from_networkx(to_networkx(candidates)), candidates)


def test_attributes_are_readable(candidates: Candidates) -> None:
    graph = to_networkx(candidates)
    assert graph.nodes[1]["label"] == 2
    assert graph.nodes[0]["cost"] == -1.000001
    assert graph.nodes[1]["fixed"] == "keep"
    assert graph.edges[0, 2] == {"cost": -8e-6, "term.distance": 1.5, "fixed": "free"}
    assert graph.graph["divisions"][0, 1, 2]["term.symmetry"] == 0.25
    assert graph.graph["cliques"] == [[1, 2]]
    assert graph.graph["rebirth_cost"] == 5.5


def test_edits_reach_the_arrays(candidates: Candidates) -> None:
    graph = to_networkx(candidates)
    graph.edges[0, 2]["cost"] = 2.5
    graph.nodes[2]["fixed"] = "forbid"
    edited = from_networkx(graph)
    assert edited.links.cost.tolist() == [7, 2_500_000]
    assert edited.detections.fixed.tolist() == [FREE, KEPT, FORBIDDEN]


def test_forbidding_an_edge_forbids_its_divisions(candidates: Candidates) -> None:
    graph = to_networkx(candidates)
    graph.edges[0, 1]["fixed"] = graph.graph["divisions"][0, 1, 2]["fixed"] = "free"
    assert from_networkx(graph).divisions.fixed.tolist() == [FREE]
    for edge in [(0, 1), (0, 2)]:
        changed = graph.copy()
        changed.edges[edge]["fixed"] = "forbid"
        assert from_networkx(changed).divisions.fixed.tolist() == [FORBIDDEN]
        changed.graph["divisions"] = {(0, 1, 2): {"cost": 1.0, "fixed": "keep"}}
        with pytest.raises(InputError, match=r"division \(0, 1, 2\) is kept, but an edge of it is forbidden"):
            from_networkx(changed)


def test_removing_an_edge_removes_its_divisions(candidates: Candidates) -> None:
    graph = to_networkx(candidates)
    graph.remove_edge(0, 2)
    edited = from_networkx(graph)
    assert len(edited.divisions) == 0
    assert len(edited.links) == 1


def test_removing_a_node_removes_all_that_needs_it(candidates: Candidates) -> None:
    graph = to_networkx(candidates)
    graph.remove_node(1)
    edited = from_networkx(graph)
    assert (len(edited.detections), len(edited.links), len(edited.divisions)) == (2, 1, 0)
    assert edited.clique_detection.tolist() == [1]


def test_a_division_edge_that_is_no_link_stays_none(candidates: Candidates) -> None:
    candidates.links = Links(*(getattr(candidates.links, name)[:1] for name in ("source", "target", "cost", "fixed")))
    graph = to_networkx(candidates)
    assert graph.has_edge(0, 2)
    assert "cost" not in graph.edges[0, 2]
    same(from_networkx(graph), candidates)
    graph.edges[0, 2]["fixed"] = "keep"
    with pytest.raises(InputError, match="edge 0 → 2 is kept, but is no link of its own"):
        from_networkx(graph)


def test_a_solution_is_written_on_the_graph(candidates: Candidates) -> None:
    yes, no = np.array([True]), np.array([False])
    solution = Solution(
        used=np.array([True, True, True]),
        appears=np.array([True, False, False]),
        disappears=np.array([False, True, True]),
        link_chosen=np.array([False, False]),
        division_chosen=yes,
        objective=3 * NAT,
        bound=2 * NAT,
        baseline=10 * NAT,
        component=np.zeros(3, dtype=np.int64),
        link_margin=np.full(2, math.nan),
        division_margin=np.array([1.5]),
        solver="highs",
    )
    graph = to_networkx(candidates, solution)
    assert [node for node in graph if graph.nodes[node]["appears"]] == [0]
    assert all(graph.edges[edge]["chosen"] and graph.edges[edge]["division"] for edge in graph.edges)
    assert graph.graph["divisions"][0, 1, 2]["margin"] == 1.5
    assert (graph.graph["objective"], graph.graph["gap"], graph.graph["status"]) == (3.0, 1.0, "gap")
    solution.division_chosen, solution.link_chosen = no, np.array([True, False])
    graph = to_networkx(candidates, solution)
    assert [edge for edge in graph.edges if graph.edges[edge]["chosen"]] == [(0, 1)]


def by_hand() -> nx.DiGraph:
    graph = nx.DiGraph()
    graph.add_node("mother", frame=0, y=1.0, x=1.0, appear=0.0, disappear=5.0)
    graph.add_node("daughter", frame=1, y=2.0, x=1.0, appear=5.0, disappear=0.0)
    graph.add_edge("mother", "daughter", cost=-1.0)
    return graph


def test_a_graph_made_by_hand_needs_little() -> None:
    candidates = from_networkx(by_hand())
    assert candidates.detections.label.tolist() == [1, 2]
    assert not candidates.detections.optional.any()
    assert candidates.links.cost.tolist() == [-NAT]


def add_twin(graph: nx.DiGraph) -> None:
    graph.nodes["daughter"]["label"] = 3
    graph.add_node("twin", frame=1, label=3, appear=0.0, disappear=0.0)


MISTAKES: list[tuple[Callable[[nx.DiGraph], object], str]] = [
    (lambda g: g.nodes["mother"].update(cost=math.nan), r"node 'mother' has the cost nan: give a finite"),
    (lambda g: g.nodes["mother"].update(appear=math.inf), r"node 'mother' has the appear inf"),
    (lambda g: g.nodes["mother"].update(y=math.nan), r"node 'mother' has the y nan"),
    (lambda g: g.nodes["mother"].update(frame=-1), r"node 'mother' has the frame -1"),
    (lambda g: g.nodes["mother"].update(frame=0.5), r"node 'mother' has the frame 0.5"),
    (lambda g: g.nodes["mother"].pop("frame"), r"node 'mother' has no attribute 'frame'"),
    (lambda g: g.nodes["mother"].update(fixed="yes"), r"node 'mother' has fixed='yes': choose 'free'"),
    (lambda g: g.edges["mother", "daughter"].update(cost=math.inf), r"edge 'mother' → 'daughter' has the cost inf"),
    (lambda g: g.edges["mother", "daughter"].update(cost="1"), r"edge 'mother' → 'daughter' has the cost '1'"),
    (lambda g: g.edges["mother", "daughter"].update(cost=1e9), r"beyond 10⁷ nats"),
    (lambda g: g.add_edge("daughter", "mother", cost=0.0), r"edge from node 'daughter' \(frame 1\) to node 'mother'"),
    (add_twin, r"nodes 'daughter' and 'twin' have the same label 3 in frame 1"),
    (lambda g: g.graph.update(divisions={("mother", "daughter"): {"cost": 1.0}}), r"does not name a mother and two"),
]


@pytest.mark.parametrize(("spoil", "message"), MISTAKES)
def test_every_mistake_is_named(spoil: Callable[[nx.DiGraph], object], message: str) -> None:
    graph = by_hand()
    spoil(graph)
    with pytest.raises(InputError, match=message):
        from_networkx(graph)


def test_an_undirected_graph_is_refused() -> None:
    with pytest.raises(InputError, match=r"is a Graph: give a networkx\.DiGraph"):
        from_networkx(nx.Graph())
