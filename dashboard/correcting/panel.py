"""The panel with which a person corrects a result: connect, cut, divide, delete, undo, solve again."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting import corrections
from celltrail.dashboard.correcting.corrections import Graph, Log, Outcome, in_words
from celltrail.dashboard.opening import registry, state
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError
from celltrail.data.files.pins import Cell, Pin, read_pins


def log_of(result: Result) -> Log:
    """The corrections of a result in this session; a corrected result begins with those it was made with."""
    logs = st.session_state.setdefault("corrections", {})
    key = result.layer.id
    if key not in logs:
        file = result.layer.folder / "pins.csv"
        logs[key] = Log(read_pins(file) if file.is_file() else [])
    return logs[key]


def take_pick(viewer: str) -> None:
    """A cell was clicked in a viewer: it becomes the selection, or, with Shift, one of the other cells."""
    pick = st.session_state[viewer].pick
    session = st.session_state
    if not pick or pick["layer"] != session.run:
        return
    if pick["second"]:
        if pick["label"]:
            place = {"t": pick["frame"], "y": pick["y"], "x": pick["x"], "track": pick["label"]}
            session.others = [*session.get("others", []), place][-2:]
            session.revision += 1
        return
    session.others = []
    state.take_frame(pick["frame"])
    session.track = int(pick["label"])
    session.picked = (int(pick["frame"]), int(pick["label"]))


def marks() -> tuple[dict[str, float], ...]:
    """Rings around the other cells."""
    return tuple({key: place[key] for key in ("t", "y", "x")} for place in st.session_state.get("others", []))


def show_panel(selection: state.Selection, result: Result) -> None:
    """The panel; closed at first."""
    if not (result.layer.folder / "graph.npz").is_file():
        return
    log = log_of(result)
    title = f"Correct ({len(log.done)})" if log.done else "Correct"
    outcome = st.session_state.get("outcome")
    made_now = outcome is not None and registry.opaque_id(outcome.out) == result.layer.id
    with st.expander(title, icon=":material/edit:", expanded=bool(log.done) or made_now):
        graph = corrections.open_graph(result)
        _show_actions(graph, log, selection)
        _show_log(log, result)
    if made_now:
        _show_outcome(outcome)


def _show_actions(graph: Graph, log: Log, selection: state.Selection) -> None:
    row = graph.row_of(selection.t, selection.track)
    others = [graph.row_of(place["t"], place["track"]) for place in st.session_state.get("others", [])]
    rows = [other for other in others if other is not None and other != row]
    if row is None:
        st.caption("Click a cell; then Shift+click the cell that it becomes, or its two daughters.")
        return
    frame, label = graph.cell(row)
    names = " and ".join(f"track {graph.track[other]} in frame {graph.cell(other)[0]}" for other in rows)
    st.caption(
        f"Track {selection.track} in frame {frame}" + (f", with {names}" if rows else "; Shift+click another cell")
    )
    cells = sorted([(frame, label), *(graph.cell(other) for other in rows)])
    ordered = len({when for when, _ in cells}) == len(cells) and len(cells) == 2
    daughters = [cell for cell in cells if cell != (frame, label)]
    merges = len(cells) == 2 and cells[0][0] == cells[1][0]
    divides = len(daughters) == 2 and all(when > frame for when, _ in daughters)
    following = graph.next_rows(row)
    with st.container(horizontal=True):
        _button("Same cell", log, ordered, Pin("link", "keep", tuple(cells)), "Connect the two cells.")
        _button(
            "Divides", log, divides, Pin("division", "keep", ((frame, label), *daughters)), "Mother of the two others."
        )
        _button(
            "Cut", log, bool(following), _cut(graph, (frame, label), following), "It does not become what follows now."
        )
        _button("Merge", log, merges, Pin("merge", "keep", tuple(cells)), "The two masks of this frame are one cell.")
        _button("No cell", log, True, Pin("detection", "forbid", ((frame, label),)), "Delete this detection.")


def _cut(graph: Graph, cell: Cell, following: list[int]) -> Pin:
    later = tuple(sorted(graph.cell(row) for row in following))
    return Pin("division" if len(later) == 2 else "link", "forbid", (cell, *later))


def _button(name: str, log: Log, possible: bool, pin: Pin, meaning: str) -> None:
    st.button(name, disabled=not possible, help=meaning, key=f"correct_{name}", on_click=_add, args=(log, pin))


def _add(log: Log, pin: Pin) -> None:
    log.add(pin)
    st.session_state.others = []


def _show_log(log: Log, result: Result) -> None:
    for pin in log.done:
        st.text(in_words(pin))
    with st.container(horizontal=True):
        st.button("Undo", disabled=not log.done, on_click=log.undo, key="undo")
        st.button("Redo", disabled=not log.undone, on_click=log.redo, key="redo")
        pressed = st.button("Solve again", type="primary", disabled=not log.done, key="solve_again")
    if pressed:
        try:
            with st.spinner("Solving …"):
                outcome = corrections.solve_again(result, log.done)
        except InputError as error:
            parts.show_problems(error, "These corrections cannot be honoured")
            return
        st.session_state.outcome = outcome
        st.session_state.next_run = registry.opaque_id(outcome.out)
        st.rerun()


def _show_outcome(outcome: Outcome) -> None:
    with st.container(border=True):
        st.markdown("**Solved again**")
        st.text(f"New result: {outcome.out.name}, {outcome.status}, in {outcome.seconds:.1f} s")
        cost = f"the corrections cost {outcome.after - outcome.before:,.3f}."
        if outcome.measured_anew:
            cost = "merged cells were measured anew, so the two do not compare."
        st.text(f"Objective {outcome.before:,.3f} → {outcome.after:,.3f} nats: {cost}")
        if outcome.changes:
            table = pd.DataFrame([{"frame": change.frame, "change": change.what} for change in outcome.changes])
            st.dataframe(table, hide_index=True, height=min(240, 40 + 36 * len(table)), alt="What changed")
        else:
            st.text("No link and no division changed.")
