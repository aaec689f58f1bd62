"""The panel with which masks are mended: choose a tool, draw strokes on the image, save and track again."""

from __future__ import annotations

from typing import Any

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting.desk import log_of
from celltrail.dashboard.correcting.edits import TOOLS, Edit, Tool
from celltrail.dashboard.correcting.graph import origin_folder
from celltrail.dashboard.correcting.mending import masks_of, read_edits, save_and_track, through_frames, write_edit
from celltrail.dashboard.opening import registry, state
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError

HOW = {
    "split": "Draw a line through the cell, from outside to outside.",
    "join": "Draw a line from one cell into the other.",
    "draw": "Draw around a cell that has no mask.",
    "erase": "Draw over the mask that is no cell.",
}
DEEP = {
    "split": " The cut goes through all planes.",
    "join": " They become one in all planes.",
    "draw": " Choose its plane with Depth first; the cell becomes as deep as the others are.",
    "erase": " It goes from all planes.",
}
SHOWN = 6


def tool() -> Tool | None:
    """The tool that is in hand; ``None``: the image is looked at."""
    chosen: Tool | None = st.session_state.get("mend_tool")
    return chosen


def strokes(result: Result | None) -> list[dict[str, Any]]:
    """The strokes so far, for the viewer."""
    if result is None or tool() is None:
        return []
    return [{"t": edit.frame, "points": edit.points} for edit in read_edits(origin_folder(result))]


def take_stroke(viewer: str) -> None:
    """A stroke was drawn in a viewer."""
    drawn, chosen, selection = st.session_state[viewer].stroke, tool(), parts.selection()
    result = selection.result
    if not drawn or chosen is None or result is None or drawn["layer"] != result.layer.id:
        return
    folder = origin_folder(result)
    points = tuple((round(float(y), 1), round(float(x), 1)) for y, x in drawn["points"])
    state.take_frame(drawn["frame"])
    plane = int(drawn["plane"]) if len(result.labels.shape) == 3 and drawn["plane"] != "max" else None
    edit = Edit(chosen, int(drawn["frame"]), points, plane)
    known = read_edits(folder)
    try:
        edits = through_frames(result, edit, st.session_state.get("mend_more", 0))
        for edit in edits:
            masks_of(result, [*known, edit])[edit.frame]
            write_edit(folder, "added", edit)
            known.append(edit)
    except InputError as error:
        st.session_state.mend_refused = error
    except OSError:
        st.session_state.mend_refused = InputError(f"{folder} is read-only: copy the result to mend its masks.")


def show_mending(result: Result) -> None:
    """The panel."""
    if not (result.layer.folder / "graph.npz").is_file():
        return
    folder = origin_folder(result)
    edits = read_edits(folder)
    with st.container(border=True, key="mend"):
        st.markdown("**Mend masks**")
        st.segmented_control(
            "Tool", list(TOOLS), format_func=str.capitalize, key="mend_tool", label_visibility="collapsed"
        )
        chosen = tool()
        if chosen is not None:
            st.caption(HOW[chosen] + (DEEP[chosen] if len(result.labels.shape) == 3 else ""))
            st.number_input(
                "Also in the next frames",
                min_value=0,
                step=1,
                key="mend_more",
                help="The stroke moves with the cell that it lies on.",
            )
        refused = st.session_state.pop("mend_refused", None)
        if refused is not None:
            parts.show_problems(refused, "This stroke changes nothing")
        if chosen is None and not edits:
            return
        if len(edits) > SHOWN:
            st.caption(f"{len(edits) - SHOWN} strokes before these")
        for edit in edits[-SHOWN:]:
            st.text(f"Frame {edit.frame}: {edit.tool}")
        with st.container(horizontal=True, gap="small"):
            st.button("Undo stroke", disabled=not edits, key="mend_undo", on_click=_undo, args=(result,))
            pressed = st.button("Save and track", type="primary", disabled=not edits, key="mend_save")
    if pressed:
        _save(result, edits)


def _undo(result: Result) -> None:
    folder = origin_folder(result)
    edits = read_edits(folder)
    if edits:
        write_edit(folder, "taken back", edits[-1])


def _save(result: Result, edits: list[Edit]) -> None:
    try:
        with st.spinner("Saving the masks and tracking again …"):
            out = save_and_track(result, edits, log_of(result).done)
    except InputError as error:
        parts.show_problems(error, "Not saved; your strokes are kept")
        return
    st.session_state.next_run = registry.opaque_id(out)
    st.rerun()
