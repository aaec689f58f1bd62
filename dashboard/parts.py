"""Pieces that several pages share: cards for errors and empty states, the banner of the sample, number formats."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any

import streamlit as st

from celltrail.dashboard.judging import charts
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.opening.reading import is_open_choice
from celltrail.dashboard.opening.registry import Dataset
from celltrail.dashboard.working import plans
from celltrail.data import InputError
from celltrail.data.errors import Replaced
from celltrail.data.held import read_whole
from celltrail.data.pictures.colours import CERTAINTY, CERTAINTY_TICKS, certainty_place, css
from celltrail.data.words import counted
from celltrail.segmentation.segment_settings import DEFAULT_MODEL

_DATASET = "dataset"
TILE = 165  # pixels


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
            st.caption(f"… and {counted(len(error.problems) - 10, 'more problem')}.")
        if any(map(is_open_choice, error.problems)):
            st.caption("Or choose it in the sidebar, below 'How the images are read'.")
        elif title == "This data cannot be shown":
            st.caption("'celltrail check FOLDER' lists every problem of a data set at once.")


def guarded(show: Callable[[], None]) -> Callable[[], None]:
    """Let a fragment show its own card for bad data: what it raises does not reach the page script."""

    @wraps(show)
    def run() -> None:
        try:
            read_whole(show, tries=1)
        except Replaced:
            st.rerun()
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


def show_tiles(tiles: list[tuple[str, str, str]]) -> None:
    """Numbers side by side, as many in a row as there is room for: (name, value, what it means)."""
    with st.container(horizontal=True):
        for name, value, meaning in tiles:
            st.metric(name, value, help=meaning or None, border=True, width=TILE)


def tracked(selection: state.Selection, title: str) -> Result | None:
    """The result that is shown; where it has no tracks, a card with this title says how to make one."""
    result = selection.result
    if result is not None and len(result.tracks):
        return result
    invite(selection, title)
    return None


def invite(selection: state.Selection, title: str) -> None:
    """A card that says how this movie gets its first lineages: on the page Run, or by these commands."""
    movie = selection.movie
    masks = selection.layer if selection.layer is not None else next(iter(movie.of_kind("masks", "truth")), None)
    if masks is None and movie.images is None:
        empty(title, "This movie has neither images nor masks.")
        return
    plan = plans.plan_tracks(
        movie, plans.free_name(movie.root, "run"), masks=None if masks is None else masks.folder, model=DEFAULT_MODEL
    )
    what = "Segment and track" if masks is None else "Track"
    empty(title, f"{what} the movie: on the page Run, or in a terminal.", plan.command_line)
    if st.button("Open the page Run", key="invited", icon=":material/play_arrow:"):
        st.switch_page("views/run.py")


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


def colour_choice(result: Result) -> None:
    """Choose what the colours of tracks mean, the same on every page; with a colour bar where it is a number."""
    names = content.features_of(result)
    if st.session_state.get("colour_by") not in names:
        st.session_state.colour_by = "track"
    left, right = st.columns([1, 3], vertical_alignment="bottom")
    left.selectbox(
        "Colour by",
        names,
        key="_colour_by",
        on_change=_take_colour,
        index=names.index(st.session_state.colour_by),
    )
    with right:
        colour_bar(result, st.session_state.colour_by)


def colour_bar(result: Result, name: str) -> None:
    """What the colours of a feature stand for, with its unit; nothing for colours of single tracks."""
    if name == "track":
        return
    if name == "certainty":
        shades = [css(colour) for colour in CERTAINTY][::-1]
        ticks = [(f"{value:g}", 1 - certainty_place(value)) for value in CERTAINTY_TICKS]
    else:
        shades, (low, high) = content.feature_shades()[::4], content.feature_colours(result, name)[1]
        ticks = [(f"{low:.4g}", 0.0), (f"{high:.4g}", 1.0)]
    words = content.FEATURES[name]
    spans = "".join(
        f"<span style='left:{100 * at:.1f}%;transform:translateX(-{100 * at:.0f}%)'>{text}</span>" for text, at in ticks
    )
    st.html(
        f"<div class='colour-bar' role='img' aria-label='Colour bar: {words}, from {ticks[0][0]} to {ticks[-1][0]}'>"
        f"<div>{words}</div><div class='shades' style='background:linear-gradient(to right,{','.join(shades)})'></div>"
        f"<div class='ticks'>{spans}</div></div>"
    )


def _take_colour() -> None:
    st.session_state.colour_by = st.session_state._colour_by
