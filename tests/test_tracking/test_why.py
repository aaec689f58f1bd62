"""``celltrail why``: candidates, terms and margins of one cell, against a solution without its choice."""

from __future__ import annotations

import json

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.graph.candidates import NAT, load_graph
from celltrail.data.graph.confidence import read_confidence
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking import track, write_result
from celltrail.tracking.explain import explain_cell, in_words
from celltrail.tracking.solving.solver import solve_candidates


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    out = tmp_path_factory.mktemp("why") / "RES"
    write_result(track(simulate_movie(frames=12, cells=14, size=(160, 160), seed=3).masks), out)
    return out


def run(*arguments):
    return console.run(celltrail.cli.app, [str(argument) for argument in arguments])


def test_terms_sum_to_the_cost_and_the_choice_comes_first(result):
    candidates, solution, tracks = load_graph(result / "graph.npz")
    row = int(np.flatnonzero(solution.division_chosen)[0])
    mother = int(candidates.divisions.mother[row])
    d = candidates.detections
    found = explain_cell(candidates, solution, tracks, int(d.frame[mother]), int(d.label[mother]))
    best = found["future"][0]
    assert best["kind"] == "division"
    assert best["chosen"]
    assert sum(choice["chosen"] for side in ("past", "future") for choice in found[side]) == 2
    for choice in found["past"] + found["future"]:
        if choice["terms"]:
            assert sum(choice["terms"].values()) == pytest.approx(choice["cost"], abs=0.02)


def test_the_margin_is_the_price_of_the_best_solution_without_it(result):
    candidates, solution, tracks = load_graph(result / "graph.npz")
    index = int(np.flatnonzero(solution.link_chosen)[3])
    source = int(candidates.links.source[index])
    d = candidates.detections
    found = explain_cell(candidates, solution, tracks, int(d.frame[source]), int(d.label[source]))
    candidates.links.fixed[index] = 0
    without = solve_candidates(candidates)
    assert found["future"][0]["margin"] == pytest.approx((without.objective - solution.objective) / NAT)


def test_the_command_prints_what_was_weighed(result, capsys):
    assert run("why", result, 3, 2) == 0
    text = capsys.readouterr().out
    assert "Past:" in text
    assert "→ link" in text
    assert "nats worse" in text
    assert run("why", result, 3, 2, "--json") == 0
    assert json.loads(capsys.readouterr().out)["cell"]["track"] == 2
    assert run("why", result, 3, 999) == 2
    assert "Frame 3 has no cell 999" in capsys.readouterr().err


def test_the_run_lists_divisions_and_the_nearest_rejected(result):
    listed = json.loads((result / "run.json").read_text(encoding="utf-8"))
    assert len(listed["division_list"]["chosen"]) == listed["divisions"] > 0
    costs = [row["cost"] for row in listed["division_list"]["rejected"]]
    assert costs == sorted(costs)


@pytest.mark.parametrize(
    ("cost", "words"),
    [
        (5.56, "1 : 260"),
        (-5.56, "260 : 1"),
        (0.5, "1 : 1.6"),
        (50, "1 : more than 10^12"),
        (-27.7, "more than 10^12 : 1"),
    ],
)
def test_costs_in_words(cost, words):
    assert in_words(cost) == words


def test_every_choice_has_its_probability(result, capsys):
    candidates, solution, tracks = load_graph(result / "graph.npz")
    confidence = read_confidence(result / "graph.npz")
    d = candidates.detections
    row = int(np.flatnonzero(solution.link_chosen)[5])
    target = int(candidates.links.target[row])
    found = explain_cell(
        candidates, solution, tracks, int(d.frame[target]), int(d.label[target]), confidence=confidence
    )
    assert found["past"][0]["probability"] == pytest.approx(confidence.link[row])
    assert sum(choice["probability"] for choice in found["past"]) <= 1.001
    assert run("why", result, 3, 2) == 0
    assert "probability" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["lap", "greedy"])
def test_the_choices_of_simple_trackers_are_told_without_a_margin(method, tmp_path, capsys):
    write_result(
        track(simulate_movie(frames=6, cells=8, size=(120, 120), seed=3).masks, method=method), tmp_path / "RES"
    )
    assert run("why", tmp_path / "RES", 3, 2) == 0
    text = capsys.readouterr().out
    assert "→ link" in text
    assert "worse" not in text
