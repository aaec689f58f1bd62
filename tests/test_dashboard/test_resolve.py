"""Solving only what pins touch gives the optimum of the whole."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from celltrail.dashboard.correcting.graph import Graph, open_graph
from celltrail.dashboard.correcting.resolve import solve_touched, touched_rows
from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError
from celltrail.data.files.pins import Pin
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates


@pytest.fixture
def graph(dataset: Path) -> Graph:
    return open_graph(content.open_result(registry.open_dataset(dataset).movies[0].results[0]))


def random_pins(graph: Graph, seed: int) -> list[Pin]:
    """One to three pins of all kinds."""
    rng = np.random.default_rng(seed)
    links, divisions, table = graph.candidates.links, graph.candidates.divisions, graph.candidates.detections
    pins = []
    for _ in range(rng.integers(1, 4)):
        action = rng.choice(["keep", "forbid"])
        kind = rng.choice(["link", "division", "detection"])
        if kind == "link":
            row = rng.integers(len(links))
            rows = [links.source[row], links.target[row]]
        elif kind == "division":
            row = rng.integers(len(divisions))
            rows = [divisions.mother[row], divisions.first[row], divisions.second[row]]
        else:
            rows = [rng.integers(len(table))]
        pins.append(Pin(kind, action, tuple(graph.cell(int(row)) for row in rows)))
    return pins


@pytest.mark.parametrize("rebirth", [True, False])
def test_the_touched_part_gives_the_optimum_of_the_whole(graph: Graph, rebirth: bool) -> None:
    candidates = graph.candidates if rebirth else replace(graph.candidates, rebirth_frames=0)
    known = solve_candidates(candidates)
    row_of = {graph.cell(row): row for row in range(len(candidates.detections))}
    solved = local = 0
    for seed in range(40):
        pins = random_pins(graph, seed)
        try:
            pinned = apply_pins(candidates, pins)
            whole = solve_candidates(pinned)
        except InputError:
            continue  # contradictory pins
        cells = np.array([row_of[cell] for pin in pins for cell in pin.cells])
        part = solve_touched(candidates, known, pinned, cells)
        assert (part.objective, part.status) == (whole.objective, "optimal"), pins
        used = np.bincount(pinned.links.target[part.link_chosen], minlength=len(part.used))
        assert ((used > 0) <= part.used).all()
        solved += 1
        local += not touched_rows(pinned, np.concatenate([cells, len(candidates.detections) + cells]), known).all()
    assert solved > 25
    assert local > 25


def test_cells_of_other_frames_are_not_touched(graph: Graph) -> None:
    table = graph.candidates.detections
    cell = int(np.flatnonzero(table.frame == 5)[0])
    n = len(table)
    touched = touched_rows(graph.candidates, np.array([cell, n + cell]), graph.solution)
    assert touched[cell]
    assert touched[n + cell]
    assert not touched[:n][table.frame == 9].any()
    assert not touched[n:][table.frame == 1].any()
