"""The page Review: its questions, its answers, the pins that follow, and what is kept of them."""

from __future__ import annotations

import csv
import shutil
from collections.abc import Callable
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard.correcting.desk import log_of
from celltrail.dashboard.judging import cards, questions
from celltrail.dashboard.judging.questions import Filter, Review
from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.pins import Cell, Pin
from celltrail.data.graph.candidates import load_graph, save_graph
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result
from celltrail.tracking.confidence.answers import read_answers
from celltrail.tracking.confidence.places import COLUMNS, list_places

OpenPage = Callable[..., AppTest]


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A crowded simulated movie, tracked without images: ``01``, ``01_RES``."""
    folder = tmp_path_factory.mktemp("review page") / "movie"
    movie = simulate_movie(
        frames=10, cells=24, size=(150, 150), speed=0.6, crowding=0.3, cycle=10.0, seed=6
    )  # asks every kind of question
    write_movie(movie, folder, "01")
    masks = folder / "01_MASKS"
    masks.mkdir()
    write_masks(masks, movie.masks.items())
    write_result(track(masks), folder / "01_RES")
    shutil.rmtree(masks)
    return folder


@pytest.fixture
def movie(crowded: Path, tmp_path: Path) -> Path:
    """A copy whose answers a test may write."""
    return Path(shutil.copytree(crowded, tmp_path / "movie"))


def opened(folder: Path) -> tuple[content.Result, Review]:
    result = content.open_result(registry.open_dataset(folder).movies[0].results[0])
    found = questions.open_review(result)
    assert found is not None
    return result, found


def say(found: Review, i: int, text: str, correct: Cell | None = None) -> list[Pin]:
    """Answer a question; gives what it asks of tracking."""
    given = found.answer(i, text, correct)
    found.take(i, given)
    return found.pins([given])


def first(found: Review, kind: str, what: str) -> int:
    """The first question of a kind whose alternative is of a kind."""
    return next(
        i for i in range(len(found.questions)) if found.kind[i] == kind and found.questions.alternative(i).what == what
    )


def test_the_cards_are_the_rows_of_the_list(movie: Path) -> None:
    _, found = opened(movie)
    q = found.questions
    places = list_places(q.candidates, q.solution, q.confidence, q.track)
    assert [q.place(i) for i in (0, 5, len(q) - 1)] == [places[i] for i in (0, 5, len(q) - 1)]
    assert {"link", "division", "begin"} <= set(found.kind)


def test_filters_by_kind_track_frames_and_region(movie: Path) -> None:
    _, found = opened(movie)
    place = found.questions.place
    everything = found.numbers(Filter())
    assert everything == [i for i in range(len(found.questions)) if place(i).track]
    assert {place(i).kind for i in found.numbers(Filter(kinds=("begin", "division")))} == {"begin", "division"}
    name = place(3).track
    assert all(
        name == place(i).track or f"(track {name})" in place(i).decision for i in found.numbers(Filter(track=name))
    )
    assert 3 in found.numbers(Filter(track=name))
    some = found.numbers(Filter(frames=(3, 4), box=(20.0, 0.0, 90.0, 75.0)))
    assert some == [i for i in everything if place(i).frame in (3, 4) and 20 <= place(i).y <= 90 and place(i).x <= 75]


def test_an_answer_becomes_pins_and_a_row_and_can_be_taken_back(movie: Path) -> None:
    _, found = opened(movie)
    q = found.questions
    i = first(found, "link", "follows")
    cell = (q.place(i).frame, q.place(i).label)
    other = found.correct_cell(i, q.alternative(i))
    table = q.candidates.detections
    past = int(q.past[q.questions.row[i]])
    before = (int(table.frame[past]), int(table.label[past]))
    forbidden, kept = say(found, i, "wrong", other)
    assert forbidden == Pin("link", "forbid", (before, cell))
    assert (kept.action, kept.cells) == ("keep", (other, cell))
    assert kept.kind in ("link", "division")  # whichever of the two is likelier
    begin = first(found, "begin", "follows")
    assert say(found, begin, "right") == [Pin("begin", "keep", ((q.place(begin).frame, q.place(begin).label),))]
    rows = list(csv.DictReader(StringIO(found.file.read_text())))
    assert list(rows[0]) == [*COLUMNS, "draws", "answer", "correct_frame", "correct_label"]
    assert [row["answer"] for row in rows] == ["wrong", "right"]
    given = read_answers(found.file, list_places(q.candidates, q.solution, q.confidence, q.track))  # the command's way
    assert [(one.answer, one.correct) for one in given] == [("wrong", other), ("right", None)]
    assert found.take_back() == (begin, [Pin("begin", "keep", ((q.place(begin).frame, q.place(begin).label),))])
    assert [row["answer"] for row in csv.DictReader(StringIO(found.file.read_text()))] == ["wrong"]


@pytest.mark.parametrize(
    ("kind", "what"), [("link", "begins"), ("division", "continues"), ("division", "divides"), ("begin", "follows")]
)
def test_the_alternative_as_the_truth_is_what_the_next_solution_has(movie: Path, kind: str, what: str) -> None:
    from celltrail.tracking.obedience import require_obedience
    from celltrail.tracking.solving.pinned import apply_pins
    from celltrail.tracking.solving.solver import solve_candidates

    _, found = opened(movie)
    i = first(found, kind, what)
    q = found.questions
    row, other = int(q.questions.row[i]), q.alternative(i)
    pins = say(found, i, "wrong", found.correct_cell(i, other))
    again = apply_pins(q.candidates, pins)
    solution = solve_candidates(again)
    require_obedience(again, solution, pins)
    links, divisions = again.links, again.divisions
    into = {*links.target[solution.link_chosen & (links.source == row)].tolist()}
    born = solution.division_chosen & (divisions.mother == row)
    into |= {*divisions.first[born].tolist(), *divisions.second[born].tolist()}
    if what == "begins":
        assert solution.appears[row]
    elif what == "follows":
        assert not solution.appears[row]
    else:
        assert set(other.rows) & into


def test_progress_counts_what_was_seen(movie: Path) -> None:
    _, found = opened(movie)
    total = float(found.questions.questions.errors.sum())
    assert (found.seen, found.left) == (0.0, pytest.approx(total))
    say(found, 0, "cannot tell")
    assert found.left == pytest.approx(total - found.questions.questions.errors[0])
    assert found.seen == pytest.approx(found.questions.questions.errors[0] / total)
    for i in range(1, len(found.questions)):
        found.answers[i] = found.answers[0]
    assert found.seen == pytest.approx(1.0)


def test_the_sample_gives_a_certificate_at_any_time(movie: Path) -> None:
    """Answered in the order of the draws, the first answers are a sample of their own."""
    _, found = opened(movie)
    order = found.numbers(Filter(), sampled=True)
    assert found.certificate() is None
    for i in order[:7]:
        say(found, i, "right")
    certificate = found.certificate()
    assert certificate is not None
    assert certificate.answered == 7
    reached = found.sample[: int(np.flatnonzero(found.sample == order[7])[0])]  # up to the first that is open
    assert found.draws == {i: int((reached == i).sum()) for i in order[:7]}
    say(found, order[8], "wrong")
    assert found.certificate() == certificate  # one that was skipped: what comes after it waits
    assert certificate.interval[0] <= certificate.wrong <= certificate.interval[1]


def test_answers_outlive_a_restart_and_those_of_another_result_are_refused(movie: Path) -> None:
    result, found = opened(movie)
    say(found, 0, "right")
    questions._open_review.cache_clear()
    again = questions.open_review(result)
    assert again is not None
    assert again is not found
    assert {i: one.answer for i, one in again.answers.items()} == {0: "right"}
    text = found.file.read_text()
    found.file.write_text(text.replace(found.questions.place(0).decision, "follows cell 99 of frame 0 (track 1)"))
    questions._open_review.cache_clear()
    with pytest.raises(InputError, match="does not have"):
        questions.open_review(result)


def test_the_pictures_show_both_answers_in_their_colours(movie: Path) -> None:
    result, found = opened(movie)
    i = first(found, "link", "follows")
    q, place = found.questions, found.questions.place(i)
    panes = cards.draw_panes(registry.open_dataset(movie).movies[0], result.layer, q, i, result.labels.numbers)
    by_frame = {place.frame + pane.offset: pane for pane in panes}
    assert by_frame[place.frame].paint[place.frame][place.track] == cards.ASKED
    for choice, colour in ((q.chosen(i), cards.CHOSEN), (q.alternative(i), cards.ALTERNATIVE)):
        (row,) = choice.rows
        frame, name = int(q.candidates.detections.frame[row]), int(q.track[row])
        assert name == 0 or by_frame[frame].paint[frame][name] == colour
        assert any(mark.get("colour") == colour and mark["t"] == frame for mark in by_frame[frame].marks)
    assert len(panes) >= 3


def test_the_page_asks_and_takes_answers(open_page: OpenPage, movie: Path) -> None:
    test = open_page(movie, "review")
    assert not test.exception
    _, found = opened(movie)
    place = found.questions.place(0)
    assert test.session_state.t == place.frame
    assert f"1 of {len(found.questions):,}" in "".join(part.value for part in test.markdown)
    test.button(key="answer_right").click().run()
    assert not test.exception
    assert [one.answer for one in found.answers.values()] == ["right"]
    result, _ = opened(movie)
    assert log_of(result).done == found.pins(found.answers.values())
    test.button(key="answer_unsure").click().run()
    test.button(key="answer_undo").click().run()
    test.button(key="answer_undo").click().run()
    assert found.answers == {}
    assert log_of(result).done == []


def test_a_result_without_probabilities_says_so(open_page: OpenPage, movie: Path) -> None:
    graph = movie / "01_RES" / "graph.npz"
    candidates, solution, labels = load_graph(graph)
    save_graph(graph, candidates, solution, track=labels)
    test = open_page(movie, "review")
    assert not test.exception
    assert "No probabilities" in [part.value for part in test.subheader]
    assert "by rules" in "".join(part.value for part in test.text)
