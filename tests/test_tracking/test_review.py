"""The review list, samples of it, answers to it, and the command."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from typer.testing import CliRunner

from celltrail.cli import app
from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.pins import Pin, read_pins
from celltrail.data.graph.candidates import load_graph, save_graph
from celltrail.data.graph.confidence import load_with_confidence, past_probability, read_confidence
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result
from celltrail.tracking.commands.review_cli import _whose
from celltrail.tracking.confidence.answers import Answer, join_daughters, pins_from, read_answers
from celltrail.tracking.confidence.curve import found_by
from celltrail.tracking.confidence.places import find_questions, list_places
from celltrail.tracking.confidence.sampling import certify, chances, draw


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crowded simulated movie, tracked: ``01_MASKS``, ``01_GT``, ``01_RES``."""
    folder = tmp_path_factory.mktemp("review")
    movie = simulate_movie(frames=12, cells=30, size=(160, 160), speed=0.6, crowding=0.3, cycle=10.0, seed=5)
    write_movie(movie, folder, "01")
    masks = folder / "01_MASKS"
    masks.mkdir()
    write_masks(masks, movie.masks.items())
    write_result(track(masks, repair=False), folder / "01_RES")  # decisions are links alone: no other reading of a mask
    return folder


def run(*arguments: object) -> str:
    done = CliRunner().invoke(app, [str(argument) for argument in arguments], catch_exceptions=False)
    assert done.exit_code == 0, done.output
    return done.output


def read(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream))


def write(path: Path, rows: list[dict[str, str]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as stream:
        table = csv.DictWriter(stream, list(rows[0]))
        table.writeheader()
        table.writerows(rows)
    return path


def test_a_result_says_how_many_links_are_wrong(tracked: Path) -> None:
    said = json.loads((tracked / "01_RES" / "run.json").read_text())["confidence"]
    candidates, solution, _, confidence = load_with_confidence(tracked / "01_RES" / "graph.npz")
    doubt = 1 - past_probability(candidates, solution, confidence)
    assert said["expected_wrong"] == pytest.approx(np.nansum(doubt), abs=0.01)
    assert said["decisions"] == np.isfinite(doubt).sum()
    assert said["temperature"] == pytest.approx(confidence.temperature)
    assert f"of {said['decisions']:,} links" in said["sentence"]


def test_every_decision_is_in_one_row_least_certain_first(tracked: Path) -> None:
    candidates, solution, labels, confidence = load_with_confidence(tracked / "01_RES" / "graph.npz")
    places = list_places(candidates, solution, confidence, labels)
    doubts = [place.probability_wrong for place in places]
    assert doubts == sorted(doubts, reverse=True)
    assert [place.rank for place in places] == list(range(1, len(places) + 1))
    assert places[-1].share_of_expected_errors == pytest.approx(1.0)
    after_first = int((solution.used & (candidates.detections.frame > 0)).sum())
    divisions = int(solution.division_chosen.sum())
    assert divisions > 0
    assert sum(place.kind != "end" for place in places) == after_first - divisions
    questions = find_questions(candidates, solution, confidence)
    assert questions.errors.sum() == pytest.approx(np.nansum(1 - past_probability(candidates, solution, confidence)))
    for place in places:
        assert place.probability_wrong + 1e-3 >= place.probability_alternative or place.kind == "division"


def test_the_list_as_a_table_and_on_the_screen(tracked: Path, tmp_path: Path) -> None:
    run("review", tracked / "01_RES", "--out", tmp_path / "review.csv")
    rows = read(tmp_path / "review.csv")
    header = (
        "rank,frame,y,x,z,kind,track,label,decision,probability_wrong,alternative,probability_alternative,"
        "share_of_expected_errors"
    )
    assert list(rows[0])[:13] == header.split(",")
    said, first = run("review", tracked / "01_RES").splitlines()[:2]
    assert said == "How probably each decision is wrong, the most doubtful first:"
    assert first.strip().startswith(f"{100 * float(rows[0]['probability_wrong']):.1f} % wrong")
    assert rows[0]["decision"] in first


def test_the_curve_counts_what_is_found_early(tracked: Path) -> None:
    text = run("review", tracked / "01_RES", "--curve", tracked / "01_GT", "--json")
    curve = json.loads(text)["curve"]
    assert set(curve["found"]) == {"probability", "margin", "rules", "random"}
    assert all(values == sorted(values) for values in curve["found"].values() if curve["wrong"])
    doubt, wrong = np.array([0.1, 0.9, 0.5, 0.2]), np.array([False, True, False, True])
    assert found_by(doubt, wrong, (0.25, 0.5, 0.75)) == [0.5, 0.5, 1.0]
    assert np.isnan(found_by(doubt, wrong & False)).all()


@pytest.mark.parametrize("honest", [True, False], ids=["calibrated", "three times as many"])
def test_the_certificate_is_unbiased_and_its_interval_holds(honest: bool) -> None:
    """Also where three times as many decisions are wrong as expected; half of the width of a uniform sample."""
    rng = np.random.default_rng(1)
    doubt = np.concatenate([rng.beta(0.6, 3, 150), np.full(5000, 0.0005)])
    wrong = rng.random(len(doubt)) < np.minimum(doubt * (1 if honest else 3), 1)
    truth = int(wrong.sum())
    estimates, held, width = [], 0, []
    for seed in range(300):
        drawn, times = draw(doubt, 200, seed)
        found = certify(doubt, drawn, times, wrong[drawn], np.ones(len(drawn), bool))
        estimates.append(found.wrong)
        held += found.interval[0] <= truth <= found.interval[1]
        width.append(found.interval[1] - found.interval[0])
    assert np.mean(estimates) == pytest.approx(truth, rel=0.1)
    assert held >= 0.9 * 300
    rate = truth / len(doubt)
    uniform = 2 * 1.96 * len(doubt) * np.sqrt(rate * (1 - rate) / 400)  # with twice the answers
    assert np.median(width) < uniform
    assert chances(doubt).sum() == pytest.approx(1.0)


def test_answers_become_a_certificate_and_pins(tracked: Path, tmp_path: Path) -> None:
    sample = tmp_path / "sample.csv"
    run("review", tracked / "01_RES", "--sample", 30, "--out", sample)
    rows = read(sample)
    assert sum(int(row["draws"]) for row in rows) == 30
    kinds = {row["kind"] for row in rows}
    assert "link" in kinds
    for row in rows:
        row["answer"] = "right"
    wrong = next(row for row in rows if row["kind"] == "link")
    wrong["answer"] = "wrong"
    rows[-1]["answer"] = "cannot tell" if rows[-1] is not wrong else "wrong"
    answered = write(tmp_path / "answered.csv", rows)
    pins = tmp_path / "pins.csv"
    text = run("review", tracked / "01_RES", "--answers", answered, "--pins", pins)
    assert "95 % interval" in text
    found = read_pins(pins)
    cell = int(wrong["frame"]), int(wrong["label"])
    assert any(pin.action == "forbid" and pin.kind == "link" and pin.cells[1] == cell for pin in found)
    assert any(pin.action == "keep" for pin in found)
    again = track(tracked / "01_MASKS", pins=found)
    past = {
        again.candidates.links.target[i]: again.candidates.links.source[i]
        for i in np.flatnonzero(again.solution.link_chosen)
    }
    d = again.candidates.detections
    row = int(np.flatnonzero((d.frame == cell[0]) & (d.label == cell[1]))[0])
    before = wrong["decision"].split()
    if row in past:
        assert (int(d.label[past[row]]), int(d.frame[past[row]])) != (int(before[2]), int(before[5]))


def test_a_wrong_link_with_its_correct_past(tracked: Path) -> None:
    candidates, solution, labels, confidence = load_with_confidence(tracked / "01_RES" / "graph.npz")
    place = next(
        p
        for p in list_places(candidates, solution, confidence, labels)
        if "follows" in p.alternative and p.kind == "link"
    )
    words = place.alternative.split()
    correct = int(words[5]), int(words[2])
    pins = pins_from([Answer((place.frame, place.label), "link", "wrong", correct)], candidates, solution, confidence)
    kept = [pin for pin in pins if pin.action == "keep"]
    assert [pin.cells for pin in kept] == [(correct, (place.frame, place.label))]


def test_two_answers_about_what_one_cell_becomes_are_a_division() -> None:
    mother, one, two, third = (3, 7), (4, 1), (4, 2), (5, 3)
    other = Pin("link", "keep", ((3, 8), one))
    pins = [Pin("link", "keep", (mother, two)), other, Pin("link", "keep", (mother, one))]
    assert join_daughters(pins) == [Pin("division", "keep", (mother, one, two)), other]
    pins = [Pin("division", "keep", (mother, one)), Pin("link", "keep", (mother, one))]
    assert join_daughters(pins) == pins  # one daughter: nothing to join
    many = [Pin("link", "keep", (mother, cell)) for cell in (one, two, third)]
    assert join_daughters(many) == many  # no lineage obeys them: it is said when they are
    forbidden = [Pin("link", "forbid", (mother, one)), Pin("link", "keep", (mother, two))]
    assert join_daughters(forbidden) == forbidden


def test_answers_that_cannot_be_used_are_all_named(tracked: Path, tmp_path: Path) -> None:
    candidates, solution, labels, confidence = load_with_confidence(tracked / "01_RES" / "graph.npz")
    places = list_places(candidates, solution, confidence, labels)
    run("review", tracked / "01_RES", "--out", tmp_path / "list.csv")
    rows = read(tmp_path / "list.csv")[:4]
    rows[0]["answer"] = "perhaps"
    rows[1] |= {"answer": "wrong", "correct_frame": "x", "correct_label": "1"}
    rows[2] |= {"answer": "wrong", "correct_frame": "0", "correct_label": ""}
    rows[3] |= {"answer": "right", "decision": "follows cell 9999 of frame 0 (track 1)"}
    with pytest.raises(InputError) as error:
        read_answers(write(tmp_path / "bad.csv", rows), places)
    text = " ".join(error.value.problems)
    for part in ("'perhaps' is no answer", "whole numbers", "both correct_frame and correct_label", "does not have"):
        assert part in text
    with pytest.raises(InputError, match="does not exist"):
        read_answers(tmp_path / "none.csv", places)
    with pytest.raises(InputError, match="lacks the column"):
        read_answers(write(tmp_path / "odd.csv", [{"a": "1"}]), places)


def test_a_result_of_an_earlier_version_has_no_probabilities(tracked: Path, tmp_path: Path) -> None:
    old = tmp_path / "graph.npz"
    candidates, solution, labels = load_graph(tracked / "01_RES" / "graph.npz")
    save_graph(old, candidates, solution, track=labels)
    assert read_confidence(old) is None
    with pytest.raises(InputError, match="holds no probabilities"):
        load_with_confidence(old)
    save_graph(old, replace(candidates))
    with pytest.raises(InputError, match="without a solution"):
        load_with_confidence(old)


def test_pins_of_a_person_are_certain(tracked: Path) -> None:
    candidates, solution, _, _ = load_with_confidence(tracked / "01_RES" / "graph.npz")
    d = candidates.detections
    chosen = int(np.flatnonzero(solution.link_chosen)[0])
    cells = tuple(
        (int(d.frame[row]), int(d.label[row]))
        for row in (candidates.links.source[chosen], candidates.links.target[chosen])
    )
    again = track(tracked / "01_MASKS", pins=[Pin("link", "keep", cells)])
    assert again.confidence is not None
    links = again.candidates.links
    kept = np.flatnonzero(
        (links.source == candidates.links.source[chosen]) & (links.target == candidates.links.target[chosen])
    )
    assert again.confidence.link[kept] == pytest.approx(1.0)


def test_a_mask_that_is_in_no_track_is_named_by_its_label() -> None:
    place = SimpleNamespace(track=0, label=7)
    assert _whose(place) == "mask 7, in no track"
    assert _whose(SimpleNamespace(track=4, label=7)) == "track 4"
