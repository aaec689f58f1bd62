"""Stepping through a list of events: filter by kind, previous and next (K and J), table, close-up."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

import numpy as np
import pandas as pd
import streamlit as st

from celltrail.dashboard.judging import events
from celltrail.dashboard.judging.events import Event
from celltrail.dashboard.opening import content, state

TABLE_ROWS = 500  # of a longer list, the table shows the part around the event in view


def close_up(result: content.Result, across: float = 400) -> float:
    """A zoom at which about six cells fit across a pane of so many pixels."""
    cells = content.measure_cells(0, result.labels[result.labels.numbers[0]])
    diameter = 2 * np.sqrt(float(cells["area"].median()) / np.pi) if len(cells) else 20.0
    return float(np.clip(across / (6 * diameter), 0.5, 16))


def choose_kinds(found: list[Event], key: str) -> list[Event]:
    """The events of the kinds that are chosen; all, where none is."""
    counts = sorted(Counter(event.kind for event in found).items())
    names = {kind: f"{events.NAMES.get(kind, kind)}: {count}" for kind, count in counts}
    chosen = st.pills(
        "Kinds",
        list(names),
        format_func=names.__getitem__,
        selection_mode="multi",
        key=f"{key}_kinds",
        help="  \n".join(f"**{events.name_of(kind)}**: {events.meaning(kind)}" for kind in names),
    )
    return [event for event in found if not chosen or event.kind in chosen]


def go_to(key: str, shown: list[Event], index: int, zoom: float) -> None:
    """Show the event with this index, in every view."""
    index %= len(shown)
    event = shown[index]
    st.session_state[f"{key}_index"] = index
    focus = {"y": event.y + 0.5, "x": event.x + 0.5, "zoom": zoom}
    state.look_at(t=event.frame, track=event.track, focus=focus)


def step_through(key: str, shown: list[Event], zoom: float, about: object, show: Callable[[Event], None]) -> None:
    """Buttons, the event itself (drawn by ``show``), and the table of all.

    ``about`` says what the list is about: when it changes, the first event is shown.
    """
    session = st.session_state
    if session.get(f"{key}_about") != about:
        session[f"{key}_about"] = about
        go_to(key, shown, 0, zoom)
    index = min(session[f"{key}_index"], len(shown) - 1)
    event = shown[index]

    first = index // TABLE_ROWS * TABLE_ROWS
    part = shown[first : first + TABLE_ROWS]

    def take_row() -> None:
        rows = session[f"{key}_table"].selection.rows
        if rows:
            go_to(key, shown, first + rows[0], zoom)

    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Previous", shortcut="K", key=f"{key}_previous", on_click=go_to, args=(key, shown, index - 1, zoom))
        st.button("Next", shortcut="J", key=f"{key}_next", on_click=go_to, args=(key, shown, index + 1, zoom))
        st.markdown(f"**{index + 1} of {len(shown)}**: {events.name_of(event.kind)}, frame {event.frame}")
        if st.button("Open in Browse", key=f"{key}_browse"):
            st.switch_page("views/browse.py")
    st.text(event.text)
    show(event)
    table = pd.DataFrame(
        {
            "": ["▸" if first + i == index else "" for i in range(len(part))],
            "kind": [events.NAMES.get(one.kind, one.kind) for one in part],
            "frame": [one.frame for one in part],
            "track": [str(one.track or "") for one in part],
            "cost": [one.cost for one in part],
            "what": [one.text for one in part],
        }
    )
    if len(part) < len(shown):
        st.caption(f"Rows {first + 1:,} to {first + len(part):,} of {len(shown):,}; the table follows the steps.")
    st.dataframe(
        table,
        key=f"{key}_table",
        hide_index=True,
        height=240,
        selection_mode="single-row",
        on_select=take_row,
        column_config={"": st.column_config.TextColumn(width=28)},
        alt="Events with kind, frame and track",
    )
