"""Errors: step through every error against the truth, or through what looks odd where there is no truth."""

from __future__ import annotations

from functools import partial

import numpy as np
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting import panel
from celltrail.dashboard.judging import events, review, scores
from celltrail.dashboard.judging.events import Event
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.viewer import Pane, show_viewer


def list_events(selection: state.Selection, result: content.Result) -> tuple[list[Event], bool]:
    """Events of the result, and whether they come from the truth."""
    truth = selection.movie.truth
    if truth is not None and truth.id != result.layer.id:
        source = st.segmented_control(
            "Compared with",
            ["Truth", "Rules"],
            default="Truth",
            key="error_source",
            required=True,
            help="The rules find what looks odd in a result by itself; they need no truth.",
        )
        if source == "Truth":
            part = scores.say_part(truth, result.layer)
            if part is not None:
                st.caption(part)
            with st.spinner("Comparing with the truth …"):
                return events.errors_of(scores.evaluation(truth, result.layer)), True
    return events.find_suspects(result), False


def show_event(selection: state.Selection, result: content.Result, event: Event, against_truth: bool) -> None:
    """The frame before, the frame, and the frame after: truth above, result below."""
    frames, shape = state.clock_of(selection)
    rows = [(result.layer, "result")]
    selected = {result.layer.id: event.track}
    if against_truth and selection.movie.truth is not None:
        rows.insert(0, (selection.movie.truth, "truth"))
        selected[selection.movie.truth.id] = event.truth_track
    step = max(1, int(np.diff(frames).min())) if len(frames) > 1 else 1  # frames may be numbered 0, 5, 10
    mark = {"t": event.frame, "y": event.y + 0.5, "x": event.x + 0.5}
    panes = [
        Pane(
            movie=selection.movie,
            layer=layer,
            title=f"{name}, {f'frame {beside:+d}' if beside else 'this frame'}",
            offset=beside,
            marks=(mark, *panel.marks()),
        )
        for layer, name in rows
        for beside in (-step, 0, step)
    ]
    show_viewer(
        panes,
        key="errors_viewer",
        frames=frames,
        shape=shape,
        t=event.frame,
        selected=selected,
        revision=st.session_state.revision,
        columns=3,
        height=f"clamp({160 * len(rows)}px, {28 * len(rows)}vh, 1500px)",
        focus=st.session_state.get("focus"),
        place=f"{selection.movie.id} errors",
        on_pick_change=partial(panel.take_pick, "errors_viewer"),
    )
    panel.show_panel(selection, result)


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = parts.tracked(selection, "Nothing to review yet")
    if result is None:
        return
    left, right = st.columns([1, 3])
    with left:
        found, against_truth = list_events(selection, result)
    if not found:
        st.success("No error: the result equals the truth." if against_truth else "The rules find nothing odd.")
        return
    with right:
        shown = review.choose_kinds(found, "errors")
    about = (result.layer.id, content.stamp(result.layer.folder), against_truth, len(shown))
    review.step_through(
        "errors",
        shown,
        review.close_up(result),
        about,
        lambda event: show_event(selection, result, event, against_truth),
    )


st.title("Errors")
show()
