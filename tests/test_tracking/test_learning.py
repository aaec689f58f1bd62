"""Costs learned from truth: the regression, the examples, and the cost file."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.optimize import minimize

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import Sequence
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.costs.calibrated import DIVISION_PRIOR, DIVISION_SHAPE, CalibratedCosts, independent_share
from celltrail.tracking.costs.examples import read_example, take_rows, true_cells, true_choices
from celltrail.tracking.costs.learned import fit_costs, load_costs
from celltrail.tracking.costs.logistic import Linear, fit_logistic
from celltrail.tracking.measuring.table import measure_movie


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("learning") / "set"
    write_movie(simulate_movie(frames=16, cells=14, size=(160, 160), seed=3), folder)
    return folder


def test_logistic_regression_reaches_the_optimum():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 2)) * [1.0, 20.0] + [3.0, -5.0]
    y = rng.random(400) < 1 / (1 + np.exp(-(x[:, 0] - 3 - 0.1 * x[:, 1])))
    found = fit_logistic({"a": x[:, 0], "b": x[:, 1]}, y, ridge=0.5)
    spread = x.std(axis=0)

    def loss(beta):
        logit = beta[0] + x @ beta[1:]
        penalty = 0.25 * np.sum((beta[1:] * spread) ** 2)
        return np.sum(np.logaddexp(0, logit) - y * logit) + penalty

    best = minimize(loss, np.zeros(3), method="Nelder-Mead", options={"xatol": 1e-7, "fatol": 1e-10, "maxiter": 9999}).x
    assert [found.intercept, *found.coefficients.values()] == pytest.approx(best, abs=1e-3)


def test_without_data_the_prior_speaks():
    prior = Linear(-1.0, {"a": 2.0, "b": 0.5})
    assert fit_logistic({"a": np.zeros(0)}, np.zeros(0, bool), prior=prior) == prior
    constant = fit_logistic({"a": np.ones(5), "b": np.zeros(5)}, np.ones(5, bool), prior=prior, ridge=1e6)
    assert constant.coefficients == pytest.approx(prior.coefficients)
    assert constant.intercept == pytest.approx(-1.0, abs=1e-3)


def test_true_choices_are_those_of_the_simulation(dataset):
    example = read_example(Sequence(dataset, "01"))
    problem = find_candidates(example.table).whole
    links, divisions = true_choices(example, problem)
    label = example.table.label
    assert np.array_equal(example.cell, label)
    chosen = np.flatnonzero(links)
    assert np.array_equal(label[problem.links.source[chosen]], label[problem.links.target[chosen]])
    assert divisions.sum() == len(example.tracks.divisions())
    children = example.tracks.children()
    for row in np.flatnonzero(divisions):
        one, two = problem.first[row], problem.second[row]
        daughters = sorted(label[[problem.links.target[one], problem.links.target[two]]].tolist())
        assert daughters == sorted(children[label[problem.links.source[one]]])


def test_markers_find_the_mask_that_covers_them():
    masks, markers = np.zeros((20, 20), np.uint16), np.zeros((20, 20), np.uint16)
    masks[1:8, 1:8], masks[10:19, 1:19] = 3, 4
    markers[3:5, 3:5], markers[12:14, 3:5], markers[12:14, 12:14] = 31, 32, 33
    table = measure_movie({0: masks})
    assert true_cells(table, {0: masks}, {0: markers}).tolist() == [31, 0]


def test_taking_rows_away_equals_measuring_without_them(dataset):
    example = read_example(Sequence(dataset, "01"))
    keep = np.random.default_rng(0).random(len(example.table)) > 0.2
    fewer = take_rows(example.table, keep)
    assert np.array_equal(fewer.position, example.table.position[keep])
    number = np.flatnonzero(keep)
    old = set(zip(example.table.overlap_source.tolist(), example.table.overlap_target.tolist(), strict=True))
    new = set(zip(number[fewer.overlap_source].tolist(), number[fewer.overlap_target].tolist(), strict=True))
    assert new == {(a, b) for a, b in old if keep[a] and keep[b]}


def test_fit_writes_costs_that_track_uses(dataset, tmp_path, capsys):
    out = tmp_path / "costs.json"
    assert console.run(celltrail.cli.app, ["fit", str(dataset), "--out", str(out)]) == 0
    assert "use it with" in capsys.readouterr().out
    content = json.loads(out.read_text(encoding="utf-8"))
    assert content["schema"] == "celltrail.costs/1"
    assert content["links"]["coefficients"]["overlap"] > 0
    assert content["divisions"]["coefficients"]["midpoint"] < 0
    assert content["trained_on"][0]["links"] > 100
    again = fit_costs([read_example(Sequence(dataset, "01"))])
    assert load_costs(out).links == again.links
    masks = dataset / "01_GT" / "TRA"
    assert (
        console.run(celltrail.cli.app, ["track", str(masks), "--out", str(tmp_path / "RES"), "--costs", str(out)]) == 0
    )
    assert json.loads((tmp_path / "RES" / "run.json").read_text(encoding="utf-8"))["costs"] == str(out)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{}", "schema None"),
        ('{"schema": "celltrail.costs/0"}', "schema celltrail.costs/0"),
        ('{"schema": "celltrail.costs/1"}', "lacks coefficients"),
        ("no json", "not a cost file"),
    ],
)
def test_other_files_are_refused(tmp_path, text, message):
    (tmp_path / "costs.json").write_text(text)
    with pytest.raises(InputError, match=message):
        load_costs(tmp_path / "costs.json")


def test_truth_without_divisions_is_not_enough():
    labels = np.zeros((30, 30), np.uint16)
    labels[4:9, 4:9], labels[18:24, 18:24] = 1, 2
    from celltrail.data.files.tracks import Tracks
    from celltrail.tracking.costs.examples import Example

    table = measure_movie({0: labels, 1: labels})
    example = Example("still", table, table.label, Tracks.from_rows([(1, 0, 1, 0), (2, 0, 1, 0)]), {})
    with pytest.raises(InputError, match="no link, or no division"):
        fit_costs([example])


def test_the_shipped_costs_are_sane():
    model = load_costs()
    assert model.links.coefficients["overlaps_more_than_next_target"] > 0
    assert model.links.coefficients["nearer_than_next_target"] < 0
    assert model.divisions.coefficients["midpoint"] < 0
    assert {note["name"] for note in model.trained_on}


def test_features_that_say_the_same_count_once():
    rng = np.random.default_rng(0)
    one, two = rng.normal(size=(2, 4000))
    names = list(DIVISION_SHAPE)
    same = {name: one * (k + 1) + k for k, name in enumerate(names)}
    assert independent_share(same) == pytest.approx(1 / len(names))
    half = {name: (one, two)[k % 2] for k, name in enumerate(names[:8])}
    assert independent_share(half) == pytest.approx(2 / 8, rel=0.01)
    apart = {name: rng.normal(size=4000) for name in names}
    assert independent_share(apart) == pytest.approx(1, abs=0.01)
    assert independent_share({name: np.zeros(0) for name in names}) == 1
    still = {**apart, names[0]: np.ones(4000)}  # what never varies is no evidence
    assert independent_share(still) == pytest.approx(1, abs=0.01)


def test_the_terms_of_a_calibrated_division_are_scaled():
    background = dict(DIVISION_SHAPE) | {"midpoint": (0.5, 0.2), "separation": (2.0, 0.3)}
    features = {"midpoint": np.array([0.15, 0.5]), "separation": np.array([1.05, 2.0])}
    whole, terms = CalibratedCosts(Linear(0.0, {}), background).division(features, 2)
    scaled, less = CalibratedCosts(Linear(0.0, {}), background, 0.5).division(features, 2)
    prior = np.log(DIVISION_PRIOR / (1 - DIVISION_PRIOR))
    assert scaled - prior == pytest.approx((whole - prior) / 2)
    assert sum(less.values()) == pytest.approx(scaled)
    assert (terms["midpoint"] == 2 * less["midpoint"]).all()
    assert whole[0] > 0 > whole[1]
