"""The sidebar's question for channel, position and axes, where the images leave them open."""

from __future__ import annotations

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.reading import AS_THE_FILES_SAY, Reading, choose_reading, is_open_choice, reading_of
from celltrail.dashboard.opening.registry import Movie
from celltrail.data import InputError


def ask(movie: Movie) -> None:
    """Show the question where opening the images asks for a choice, or one was made; and what is to be known of them."""
    notes: tuple[str, ...] = ()
    is_open = False
    try:
        images = content.open_movie(movie)
        notes = () if images is None else images.notes
    except InputError as error:  # the page shows it
        is_open = any(map(is_open_choice, error.problems))
    reading = reading_of(movie.id)
    for note in notes:
        st.warning(parts.plain(note))
    if not (is_open or notes or reading != AS_THE_FILES_SAY):
        return
    st.sidebar.caption("How the images are read")
    channel = st.sidebar.number_input(
        "Channel", min_value=0, value=reading.channel, step=1, key=f"channel {movie.id}", placeholder="as the files say"
    )
    series = st.sidebar.number_input(
        "Position", min_value=0, value=reading.series, step=1, key=f"series {movie.id}", placeholder="as the files say"
    )
    axes = st.sidebar.text_input(
        "Axes", value=reading.axes or "", key=f"axes {movie.id}", placeholder="TYX, TZYX, TCYX …"
    ).strip()
    wanted = Reading(channel, axes or None, series)
    if wanted != reading:
        choose_reading(movie.id, wanted)
        st.rerun()
