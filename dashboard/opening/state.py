"""What is being looked at: movie, result, frame and track. It lives in the session and in the address.

A link to any view opens the same view again. ``revision`` counts the changes that did not come from
the viewer itself; the viewer takes over frame and selection only when it changes.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import streamlit as st

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.opening.registry import Dataset, Layer, Movie

QUERY = ("movie", "run", "t", "track")


@dataclass(frozen=True)
class Selection:
    """The movie and result that are shown, the current frame, and the selected track (0: none)."""

    movie: Movie
    layer: Layer | None
    t: int
    track: int

    @property
    def result(self) -> Result | None:
        """The result, opened; ``None`` where the movie has none."""
        return None if self.layer is None else content.open_result(self.layer)


def start(dataset: Dataset) -> None:
    """Take the view from the address, the first time a session runs; then choose movie and result that exist."""
    session = st.session_state
    if "revision" not in session:
        session.revision = 0
        session.t = _number(st.query_params.get("t"))
        session.track = _number(st.query_params.get("track"))
        session.movie = st.query_params.get("movie")
        session.run = st.query_params.get("run")
    known = [movie.id for movie in dataset.movies]
    if session.movie not in known:
        session.movie = known[0]
    movie = next(movie for movie in dataset.movies if movie.id == session.movie)
    layers = [layer.id for layer in movie.layers]
    if session.run not in layers:
        session.run = layers[0] if layers else None


def current(dataset: Dataset) -> Selection:
    """The view as it stands."""
    session = st.session_state
    movie = next(movie for movie in dataset.movies if movie.id == session.movie)
    layer = next((layer for layer in movie.layers if layer.id == session.run), None)
    return Selection(movie, layer, session.t, session.track)


def write_address() -> None:
    """Put the view into the address of the page."""
    session = st.session_state
    wanted = {"movie": session.movie, "run": session.run, "t": session.t, "track": session.track or None}
    for key in QUERY:
        value = wanted[key]
        if value is None:
            st.query_params.pop(key, None)
        elif st.query_params.get(key) != str(value):
            st.query_params[key] = str(value)


def look_at(*, t: int | None = None, track: int | None = None, focus: dict[str, float] | None = None) -> None:
    """Move every view to a frame, a track, or both."""
    session = st.session_state
    if t is not None:
        session.t = int(t)
    if track is not None:
        session.track = int(track)
    session.focus = focus
    session.revision += 1


def take_frame(t: int) -> None:
    """The viewer has come to rest at a frame: remember it, without moving the viewer."""
    st.session_state.t = int(t)


def clock_of(selection: Selection) -> tuple[Sequence[int], Sequence[int]]:
    """Frame numbers and frame shape of what is shown; both empty where there is nothing to show."""
    images = content.open_movie(selection.movie)
    if images is not None:
        return images.numbers, images.shape
    result = selection.result
    return ((), ()) if result is None else (result.labels.numbers, result.labels.shape)


def _number(text: str | None) -> int:
    return int(text) if text is not None and text.isdecimal() and len(text) < 10 else 0
