"""The rows and columns of a tiny problem, drawn by hand; what pins and dominance exclude.

frame   0     1     2
        A ─── B ─── D
          ╲         │
            C ──────┘
"""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import FORBIDDEN, KEPT, NAT, Candidates
from celltrail.data.graph.networkx_graph import from_networkx
from celltrail.tracking.solving.components import batches, split
from celltrail.tracking.solving.programme import build_programme, clique_rows
from celltrail.tracking.solving.solver import solve_candidates


def drawing(**changes: object) -> nx.DiGraph:
    graph = nx.DiGraph()
    for node, (frame, y) in {"A": (0, 0), "B": (1, 0), "C": (1, 1), "D": (2, 0)}.items():
        graph.add_node(node, frame=frame, y=y, x=0.0, cost=-1.0, appear=5.0, disappear=5.0, optional=False)
    for u, v, cost in (("A", "B", 1.0), ("A", "C", 2.0), ("B", "D", 1.0), ("C", "D", 2.0)):
        graph.add_edge(u, v, cost=cost)
    graph.graph["divisions"] = {("A", "B", "C"): {"cost": 3.0}}
    graph.graph.update(changes)
    return graph


@pytest.fixture
def tiny() -> Candidates:
    return from_networkx(drawing())


A, B, C, D = range(4)


def test_columns_cover_the_rows_of_the_definition(tiny: Candidates) -> None:
    programme = build_programme(tiny)
    past, future = np.arange(4), 4 + np.arange(4)
    assert programme.rows[:4].tolist() == [
        [future[A], past[B], -1],
        [future[A], past[C], -1],
        [future[B], past[D], -1],
        [future[C], past[D], -1],
    ]
    assert programme.rows[4].tolist() == [future[A], past[B], past[C]]
    assert programme.cost[programme.first_drop :].tolist() == [NAT] * 4
    dense = programme.matrix(np.arange(5)).toarray()
    assert dense.sum(axis=0).tolist() == [2, 2, 2, 2, 3]
    assert dense[future[A]].tolist() == [1, 1, 0, 0, 1]


def test_the_drawing_divides(tiny: Candidates) -> None:
    solution = solve_candidates(tiny)
    # A appears 5, divides 3, B → D 1, C and D end 5 + 5, four detections −1 each
    assert solution.objective == (5 + 3 + 1 + 5 + 5 - 4) * NAT
    assert solution.division_chosen.tolist() == [True]
    assert solution.link_chosen.tolist() == [False, False, True, False]
    assert solution.baseline == (4 * 10 - 4) * NAT
    assert solution.gap == 0


def test_detections_used_for_certain_have_no_column_to_be_left_out(tiny: Candidates) -> None:
    programme = build_programme(tiny)
    assert not programme.allowed[programme.first_drop :].any()


def test_an_optional_detection_that_pays_for_itself_is_used() -> None:
    graph = drawing()
    graph.nodes["C"].update(optional=True, cost=-10.5)
    graph.nodes["D"].update(optional=True, cost=-9.5)
    programme = build_programme(from_networkx(graph))
    assert programme.allowed[programme.first_drop :].tolist() == [False, False, False, True]


def test_dominated_columns_are_not_in_the_programme() -> None:
    graph = drawing()
    graph.edges["C", "D"]["cost"] = 10.0  # as dear as ending and beginning anew
    graph.graph["divisions"]["A", "B", "C"]["cost"] = 6.0  # as dear as A → B and C beginning anew
    programme = build_programme(from_networkx(graph))
    assert programme.allowed[:5].tolist() == [True, True, True, False, False]


def test_pairs_of_frames_are_components(tiny: Candidates) -> None:
    group, count = split(build_programme(tiny), [])
    past, future = group[:4], group[4:]
    assert future[A] == past[B] == past[C]
    assert future[B] == future[C] == past[D]
    assert count == 4  # the past of A, the two pairs of frames, the future of D
    assert len({past[A], future[A], future[B], future[D]}) == 4
    assert past[A] == 0


def test_batches_hold_whole_components() -> None:
    assert batches(np.array([3, 3, 3, 10, 1]), 6) == [(0, 2), (2, 3), (3, 4), (4, 5)]
    assert batches(np.array([], dtype=np.int64), 6) == []


def test_keeping_a_link_excludes_its_rivals(tiny: Candidates) -> None:
    tiny.links.fixed[3] = KEPT  # C → D
    solution = solve_candidates(tiny)
    assert solution.link_chosen.tolist() == [False, False, False, True]
    assert solution.disappears.tolist() == [False, True, False, True]


def test_forbidding_a_detection_removes_it(tiny: Candidates) -> None:
    tiny.detections.fixed[B] = FORBIDDEN
    solution = solve_candidates(tiny)
    assert solution.used.tolist() == [True, False, True, True]
    assert solution.link_chosen.tolist() == [False, True, False, True]
    assert solution.objective == (5 + 2 + 2 + 5 - 3) * NAT


def test_contradicting_pins_are_named(tiny: Candidates) -> None:
    tiny.links.fixed[[2, 3]] = KEPT
    tiny.detections.label[:] = [7, 3, 4, 9]
    with pytest.raises(InputError, match=r"two pins keep the past of detection 9 of frame 2"):
        solve_candidates(tiny)


def test_a_pin_through_a_forbidden_detection_is_named(tiny: Candidates) -> None:
    tiny.links.fixed[0], tiny.detections.fixed[B] = KEPT, FORBIDDEN
    with pytest.raises(InputError, match=r"detection 2 of frame 1 is forbidden by one pin and used by another"):
        solve_candidates(tiny)


def test_a_pinned_detection_removes_its_rivals() -> None:
    graph = drawing(cliques=[["B", "C"]])
    for node in "BC":
        graph.nodes[node]["optional"] = True
    graph.nodes["C"]["fixed"] = "keep"
    candidates = from_networkx(graph)
    assert clique_rows(build_programme(candidates)) == []
    assert solve_candidates(candidates).used.tolist() == [True, False, True, True]


def test_a_clique_leaves_all_but_one_out() -> None:
    graph = drawing(cliques=[["B", "C"]])
    for node in "BC":
        graph.nodes[node]["optional"] = True
    candidates = from_networkx(graph)
    programme = build_programme(candidates)
    assert [(row - programme.first_drop).tolist() for row in clique_rows(programme)] == [[B, C]]
    solution = solve_candidates(candidates)
    assert solution.used.tolist() == [True, True, False, True]
    assert solution.objective == (5 + 1 + 1 + 5 - 3) * NAT


def test_two_pinned_rivals_are_named() -> None:
    graph = drawing(cliques=[["B", "C"]])
    for node in "BC":
        graph.nodes[node].update(optional=True, fixed="keep")
    with pytest.raises(
        InputError, match=r"detection 2 of frame 1 and detection 3 of frame 1 overlap and are both pinned"
    ):
        solve_candidates(from_networkx(graph))


def test_rows_that_do_not_exist_are_named(tiny: Candidates) -> None:
    tiny.links.target[1] = 99
    with pytest.raises(InputError, match=r"link 1 refers to detection 99, but there are only 4"):
        solve_candidates(tiny)


def test_links_back_in_time_are_named(tiny: Candidates) -> None:
    tiny.links.source[2], tiny.links.target[2] = D, B
    with pytest.raises(InputError, match=r"link 2 leads from detection 4 of frame 2 to detection 2 of frame 1"):
        solve_candidates(tiny)


def test_costs_that_are_no_integers_are_named(tiny: Candidates) -> None:
    tiny.links.cost = tiny.links.cost.astype(np.float64)
    with pytest.raises(InputError, match="link costs are float64"):
        solve_candidates(tiny)


def test_a_second_birth_too_soon_is_paid_for() -> None:
    """``A`` divides into ``B`` and ``C``; dividing ``B`` again at once must be worth the penalty."""
    graph = drawing()
    graph.add_node("E", frame=2, y=1, x=0.0, cost=-1.0, appear=5.0, disappear=5.0)
    graph.add_edge("B", "E", cost=2.0)
    graph.graph["divisions"]["B", "D", "E"] = {"cost": 2.0}
    graph.remove_edge("C", "D")
    for price, births in ((1.0, 1), (9.0, 0)):
        graph.graph.update(rebirth_frames=2, rebirth_cost=price)
        candidates = from_networkx(graph)
        solution = solve_candidates(candidates)
        assert solution.rebirths == births
        assert solution.status == "optimal"
    graph.graph.update(rebirth_frames=1)
    assert solve_candidates(from_networkx(graph)).rebirths == 0
