"""Costs that learn from what a person kept and forbade."""

from __future__ import annotations

import json

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import Sequence, write_masks
from celltrail.data.files.pins import Pin, write_pins
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.costs.examples import read_example
from celltrail.tracking.costs.from_pins import fit_corrections, read_corrections
from celltrail.tracking.costs.learned import load_costs
from celltrail.tracking.measuring.table import measure_movie

Y, X = np.indices((80, 120))
LEFT, RIGHT = 30, 56


def disk(labels, y, x, radius, label):
    labels[(Y - y) ** 2 + (X - x) ** 2 <= radius**2] = label


@pytest.fixture
def swapping():
    """Two cells that change places from frame to frame, four times: nearest is always wrong.

    1  2      2  1      1  2
    """
    masks = {}
    for t in range(5):
        labels = np.zeros(Y.shape, np.uint16)
        disk(labels, 40, LEFT if t % 2 == 0 else RIGHT, 9, 1)
        disk(labels, 40, RIGHT if t % 2 == 0 else LEFT, 9, 2)
        masks[t] = labels
    return masks


def odds_of_true(model, problem):
    table, links = problem.table, problem.links
    logit = model.link(problem.link_features, len(links))[0]
    true = table.label[links.source] == table.label[links.target]
    return logit[true].mean() - logit[~true].mean()


def test_corrections_turn_costs_round_as_far_as_they_reach(swapping):
    table = measure_movie(swapping)
    base = load_costs()
    kept = [Pin("link", "keep", ((t, k), (t + 1, k))) for t in range(4) for k in (1, 2)]
    few, all_of_them = (fit_corrections(base, table, pins, name="pins.csv") for pins in (kept[:2], kept))
    odds = [odds_of_true(model, find_candidates(table).whole) for model in (base, few, all_of_them)]
    assert odds[0] < -5
    assert odds[0] < odds[1] < odds[2]
    assert few.divisions != base.divisions  # a cell that goes on did not divide
    assert all_of_them.trained_on[-1]["links"] == 8
    assert all_of_them.trained_on[:-1] == base.trained_on


def test_what_agrees_with_the_costs_moves_them_less(swapping):
    table, base = measure_movie(swapping), load_costs()
    problem = find_candidates(table).whole
    agreed, contrary = (
        fit_corrections(
            base, table, [Pin("link", "keep", ((t, k), (t + 1, j))) for t in range(4) for k, j in pairs], name=""
        )
        for pairs in (((1, 2), (2, 1)), ((1, 1), (2, 2)))
    )
    before = odds_of_true(base, problem)
    assert abs(odds_of_true(agreed, problem) - before) < 0.5 * abs(odds_of_true(contrary, problem) - before)


def test_forbidden_links_lose_odds_and_nothing_else_is_said(swapping):
    table = measure_movie(swapping)
    base = load_costs()
    model = fit_corrections(base, table, [Pin("link", "forbid", ((0, 1), (1, 2)))], name="pins.csv")
    problem = find_candidates(table).whole
    row = np.flatnonzero((problem.links.source == 0) & (table.label[problem.links.target] == 2))[0]
    before, after = (m.link(problem.link_features, len(problem.links))[0][row] for m in (base, model))
    assert after < before
    assert model.divisions == base.divisions


def test_a_kept_division_gains_odds():
    masks = {t: np.zeros(Y.shape, np.uint16) for t in range(3)}
    for t in (0, 1):
        disk(masks[t], 40, 50, 9, 1)
    disk(masks[2], 40, 38, 9, 2)
    disk(masks[2], 40, 66, 5, 3)
    table = measure_movie(masks)
    pin = Pin("division", "keep", ((1, 1), (2, 3), (2, 2)))
    problem = find_candidates(table).whole
    base = load_costs()
    before = base.division(problem.division_features, len(problem.first))[0]
    model = fit_corrections(base, table, [pin], name="pins.csv")
    after = model.division(problem.division_features, len(problem.first))[0]
    assert len(before) == 1
    assert after[0] > before[0]
    links = [m.link(problem.link_features, len(problem.links))[0][-2:] for m in (base, model)]
    assert links[1].max() < links[0].max()  # the mother does not go on as one of them


@pytest.mark.parametrize(
    ("pins", "message"),
    [
        ([Pin("link", "keep", ((0, 1), (1, 9)))], "cell 9 of frame 1, but the masks have no such cell"),
        ([Pin("detection", "keep", ((0, 1),))], "nothing can be learned"),
    ],
)
def test_corrections_that_teach_nothing(swapping, pins, message):
    with pytest.raises(InputError, match=message):
        fit_corrections(load_costs(), measure_movie(swapping), pins, name="pins.csv")


def test_fit_reads_pins_and_frames(swapping, tmp_path, capsys):
    folder = tmp_path / "masks"
    folder.mkdir()
    write_masks(folder, swapping.items(), digits=3)
    pins = [Pin("link", "keep", ((t, k), (t + 1, k))) for t in range(4) for k in (1, 2)]
    write_pins(tmp_path / "pins.csv", pins)
    command = ["fit", "--pins", str(tmp_path / "pins.csv"), "--masks", str(folder), "--out", str(tmp_path / "c.json")]
    assert console.run(celltrail.cli.app, command) == 0
    assert json.loads((tmp_path / "c.json").read_text(encoding="utf-8"))["trained_on"][-1]["name"] == "pins.csv"
    assert "pins.csv: 8 links, 0 divisions" in capsys.readouterr().out
    costs = str(tmp_path / "c.json")
    assert console.run(celltrail.cli.app, ["track", str(folder), "--out", str(tmp_path / "RES"), "--costs", costs]) == 0
    for lacking in (["fit", "--out", "x.json"], ["fit", "--pins", "pins.csv", "--out", "x.json"]):
        assert console.run(celltrail.cli.app, lacking) == 2
    assert "give both --pins and --masks" in capsys.readouterr().err


def test_a_pin_that_names_a_merged_cell_by_any_label_teaches(tmp_path):
    masks = np.zeros((3, 60, 60), np.uint16)
    masks[:, 10:20, 10:20], masks[:, 40:50, 40:50] = 1, 2
    masks[1, 15:20, 10:20] = 7
    write_masks(tmp_path, list(enumerate(masks)))
    pins = [Pin("merge", "keep", ((1, 1), (1, 7))), Pin("link", "keep", ((0, 1), (1, 7)))]
    write_pins(tmp_path / "pins.csv", pins)
    assert read_corrections(load_costs(), tmp_path / "pins.csv", tmp_path) != load_costs()


def test_only_these_frames_teach(tmp_path):
    write_movie(simulate_movie(frames=10, cells=8, size=(120, 120), seed=3), tmp_path / "set")
    part = read_example(Sequence(tmp_path / "set", "01"), frames=range(2, 6))
    whole = read_example(Sequence(tmp_path / "set", "01"))
    assert np.array_equal(part.cell, whole.cell[(whole.table.frame >= 2) & (whole.table.frame < 6)])
