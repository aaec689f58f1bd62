"""A question of the page Review as pictures: the cell before, at and after, with the two lineages in two colours."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from celltrail.dashboard.judging.questions import is_about_the_future
from celltrail.dashboard.opening.registry import Layer, Movie
from celltrail.dashboard.viewer import Pane
from celltrail.tracking.confidence.places import Choice, ReviewList

CHOSEN, ALTERNATIVE, ASKED = "#56b4e9", "#e69f00", "#ffffff"  # two of the palette that anyone can tell apart, and white
MOST = 4  # pictures of one question


def track_of(questions: ReviewList, row: int) -> str:
    """A cell in the words of the screen."""
    track, frame = int(questions.track[row]), int(questions.candidates.detections.frame[row])
    return f"track {track} (frame {frame})" if track else f"a mask of frame {frame} that is in no track"


def in_words(questions: ReviewList, choice: Choice) -> str:
    """A choice in the words of the screen."""
    words = {"follows": "It was", "continues": "It becomes", "divides": "It divides into", "": "Nothing else is likely"}
    if choice.what in ("begins", "ends"):
        return f"It {choice.what} here"
    if choice.what not in words:
        return f"The mask {choice.what}"
    return " ".join([words[choice.what], " and ".join(track_of(questions, row) for row in choice.rows)]).strip()


def draw_panes(movie: Movie, layer: Layer, questions: ReviewList, i: int, frames: Sequence[int]) -> list[Pane]:
    """The pictures of a question: the cell, the frames that its two answers name, and those beside it."""
    q, table = questions.questions, questions.candidates.detections
    row, kind = int(q.row[i]), q.kind[i]
    here, future = int(table.frame[row]), is_about_the_future(kind)
    choices = [(questions.alternative(i), ALTERNATIVE), (questions.chosen(i), CHOSEN)]
    shown = {here, *(int(table.frame[other]) for choice, _ in choices for other in choice.rows)}
    at = list(frames).index(here)
    if min(shown) == here and at > 0:
        shown.add(frames[at - 1])
    if max(shown) == here and at + 1 < len(frames):
        shown.add(frames[at + 1])
    numbers = sorted(shown, key=lambda frame: (abs(frame - here), frame))[:MOST]

    def place(other: int) -> dict[str, float]:
        _, y, x = table.position[other].tolist()
        return {"y": y + 0.5, "x": x + 0.5}

    marks: list[dict[str, object]] = [{"t": here, **place(row), "colour": ASKED}]
    paint: dict[int, dict[int, str]] = {frame: {} for frame in numbers}
    for choice, colour in choices:
        for other in choice.rows:
            marks.append({"t": int(table.frame[other]), **place(other), "colour": colour})
            later, earlier = (other, row) if future else (row, other)
            line = {"t": int(table.frame[later]), **place(later), "colour": colour, "line": place(earlier)}
            marks.append(line | {"dashed": colour == ALTERNATIVE})
            track = int(questions.track[other])
            for frame in numbers:
                if track and (frame >= table.frame[other] if future else colour == ALTERNATIVE or frame < here):
                    paint[frame][track] = colour
    own = int(questions.track[row])
    for frame in numbers:
        if own and (frame <= here if future else frame >= here):
            paint[frame][own] = ASKED
    return [
        Pane(movie, layer, title=_title(frame, here), offset=frame - here, marks=marks, paint=paint)
        for frame in sorted(numbers)
    ]


def _title(frame: int, here: int) -> str:
    return f"frame {frame}" + (", the cell" if frame == here else ", before" if frame < here else ", after")


def show_choices(questions: ReviewList, i: int) -> None:
    """The two answers with their probabilities, each with the colour it has in the pictures."""
    chosen, other = questions.chosen(i), questions.alternative(i)
    rest = max(0.0, 1 - chosen.probability - other.probability)
    rows = [
        ("Chosen", in_words(questions, chosen), chosen.probability, CHOSEN),
        ("Instead", in_words(questions, other), other.probability, ALTERNATIVE),
        ("Else", "Something else", rest, "#8a97a3"),
    ]
    lines = "".join(
        f"<tr><td><span style='background:{colour}'></span>{name}</td><td>{words}</td>"
        f"<td class='p'>{100 * value:.0f} %</td>"
        f"<td class='bar'><i style='width:{100 * value:.1f}%;background:{colour}'></i></td></tr>"
        for name, words, value, colour in rows
    )
    st.html(f"{STYLE}<table class='choices'>{lines}</table>")  # numbers and own words only: nothing to escape


STYLE = """<style>
.choices { border-collapse: collapse; width: 100%; max-width: 46rem; font-size: 0.95rem; }
.choices td { padding: 0.15rem 0.7rem 0.15rem 0; white-space: nowrap; vertical-align: middle; }
.choices td:nth-child(2) { white-space: normal; }
.choices span { display: inline-block; width: 0.8rem; height: 0.8rem; border-radius: 50%; margin-right: 0.45rem; }
.choices .p { text-align: right; font-variant-numeric: tabular-nums; font-weight: 600; }
.choices .bar { width: 30%; min-width: 5rem; }
.choices i { display: block; height: 0.55rem; border-radius: 0.3rem; }
</style>"""
