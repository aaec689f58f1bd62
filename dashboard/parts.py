"""Pieces that several pages share: cards for errors and empty states, the banner of the sample, number formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from celltrail.dashboard.judging import charts
from celltrail.dashboard.opening import state
from celltrail.dashboard.opening.content import FEATURES, Result
from celltrail.dashboard.opening.registry import Dataset
from celltrail.data import InputError

_DATASET = "dataset"


def put(opened: Dataset) -> None:
    """Hand the data set to the page that runs next."""
    st.session_state[_DATASET] = opened


def dataset() -> Dataset:
    """The data set that is open."""
    opened: Dataset = st.session_state[_DATASET]
    return opened


def selection() -> state.Selection:
    """What the page shall show."""
    return state.current(dataset())


def show_problems(error: InputError, title: str = "This data cannot be shown") -> None:
    """One card: what is wrong, in which file, and what to do."""
    with st.container(border=True):
        st.subheader(f":material/error: {title}")
        for problem in error.problems[:10]:
            st.text(problem)
        if len(error.problems) > 10:
            st.caption(f"… and {len(error.problems) - 10} more problems.")
        if title == "This data cannot be shown":
            st.caption("'celltrail check FOLDER' lists every problem of a data set at once.")


def guarded(show: Callable[[], None]) -> Callable[[], None]:
    """Let a fragment show its own card for bad data: what it raises does not reach the page script."""

    @wraps(show)
    def run() -> None:
        try:
            show()
        except InputError as error:
            show_problems(error)

    return run


def empty(title: str, what_to_do: str, command: str | None = None) -> None:
    """One card for a page that has nothing to show yet."""
    with st.container(border=True):
        st.subheader(title)
        st.text(what_to_do)
        if command is not None:
            st.code(command, language=None, wrap_lines=True)


def tracked(selection: state.Selection, title: str) -> Result | None:
    """The result that is shown; where it has no tracks, a card with this title says how to make one."""
    result = selection.result
    if result is not None and len(result.tracks):
        return result
    empty(title, "Track the movie first.", "celltrail track 01_MASKS --out 01_RES")
    return None


def sample_banner() -> None:
    """Say that this is the sample, and how to open one's own data."""
    st.info("**Sample data**, simulated. Open your own:  `celltrail dashboard FOLDER`", icon=":material/science:")


def plain(text: object) -> str:
    """A value of a file or its name for a place where Streamlit reads Markdown: every sign stands for itself.

    Without it a value like ``![](http://…)`` would make the browser fetch that address.
    """
    return re.sub(r"([\\`*_{}\[\]()<>#+\-!|~:$@&=]|\.(?!\d))", r"\\\1", " ".join(str(text).split()))


def figure(value: Any, digits: int = 3) -> str:
    """A number for a tile: integers with separators, fractions rounded (never to 0), ``–`` where there is none, texts as they are."""
    if value is None or value != value:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, float):
        small = 0 < abs(value) < 0.5 * 10**-digits
        return f"{value:.1g}" if small else f"{value:,.{digits}f}"
    return plain(value)


def choose_picture_format() -> None:
    """Sidebar: the format in which the camera of a plot saves it."""
    st.sidebar.segmented_control(
        "Save plots as",
        ["SVG", "PNG"],
        default="SVG",
        key="picture_format",
        required=True,
        help="Point at a plot: the camera in its corner saves it. SVG stays sharp at any size; PNG goes everywhere.",
    )


def plot_config() -> dict[str, Any]:
    """How every plot behaves, and how it is saved."""
    kind = st.session_state.get("picture_format", "SVG").lower()
    return charts.CONFIG | {
        "toImageButtonOptions": {"format": kind, "scale": 2 if kind == "png" else 1, "filename": "celltrail"}
    }


def colour_choice() -> None:
    """Choose what the colours of tracks mean; the same on every page."""
    st.session_state.setdefault("colour_by", "track")
    st.selectbox(
        "Colour by",
        list(FEATURES),
        key="_colour_by",
        width=220,
        on_change=_take_colour,
        index=list(FEATURES).index(st.session_state.colour_by),
    )


def _take_colour() -> None:
    st.session_state.colour_by = st.session_state._colour_by
