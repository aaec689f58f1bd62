"""The panel with which a person corrects a result: say what a cell is, see what changes, undo, solve again."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting import corrections
from celltrail.dashboard.correcting.answers import answer
from celltrail.dashboard.correcting.corrections import Outcome
from celltrail.dashboard.correcting.desk import Desk, log_of, pins_of
from celltrail.dashboard.correcting.graph import Graph, open_graph, origin_of
from celltrail.dashboard.correcting.words import Change, compare_solutions, in_words, namer
from celltrail.dashboard.opening import registry, state
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError
from celltrail.data.files.pins import Cell, Pin, format_pins
from celltrail.data.writing.ownership import owned
from celltrail.tracking.became import changed_masks, mask_of_cell

SHOWN = 6  # corrections and changes that are listed; the others are counted


@dataclass(frozen=True)
class Wish:
    """A button of the panel: its name, key and meaning, and the pins that it stands for (none: not possible here)."""

    name: str
    key: str | None
    meaning: str
    pins: tuple[Pin, ...]


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
    session.cut = None
    state.take_frame(pick["frame"])
    session.track = int(pick["label"])
    session.chosen = (session.track, int(pick["frame"]))


def marks() -> tuple[dict[str, float], ...]:
    """Rings around the other cells."""
    return tuple({key: place[key] for key in ("t", "y", "x")} for place in st.session_state.get("others", []))


def show_panel(selection: state.Selection, result: Result) -> None:
    """The panel; it is always open, and says what to do where no cell is selected."""
    if not (result.layer.folder / "graph.npz").is_file():
        return
    desk, graph = log_of(result), open_graph(result)
    outcome = st.session_state.get("outcome")
    made_now = outcome is not None and registry.opaque_id(outcome.out) == result.layer.id
    with st.container(border=True, key="correct"):
        st.markdown("**Correct**")
        _show_actions(result, graph, desk, selection)
        _show_cut(result, graph, desk)
        _show_log(result, graph, desk)
        _show_changed(result)
    if made_now:
        _show_outcome(outcome)


def _show_actions(result: Result, graph: Graph, desk: Desk, selection: state.Selection) -> None:
    others = [graph.row_of(place["t"], place["track"]) for place in st.session_state.get("others", [])]
    if st.session_state.get("chosen", (0, 0))[0] != selection.track:
        st.session_state.chosen = (selection.track, selection.t)
    if became := mask_of_cell(result.run or {}, selection.t, selection.track or 0):
        st.caption(became)
    row = _first_cell(graph, selection, [other for other in others if other is not None])
    rows = [other for other in others if other is not None and other != row]
    if row is None:
        st.caption("Click a cell; then Shift+click the cell that it becomes, or its two daughters.")
        return
    names = " and ".join(f"track {graph.track[other]} in frame {graph.cell(other)[0]}" for other in rows)
    st.caption(
        f"Track {selection.track} in frame {selection.t}, " + (f"with {names}" if rows else "Shift+click another")
    )
    often, seldom = wishes(graph, row, rows)
    with st.container(horizontal=True, gap="small"):
        for wish in often:
            _button(wish, result, desk)
        with st.popover("More", width="content"):
            for wish in seldom:
                _button(wish, result, desk)


def _first_cell(graph: Graph, selection: state.Selection, others: list[int]) -> int | None:
    """The cell of the selected track that is spoken of: the one in view; with others, the one next to them in time.

    Whether it lies before, in, or after their frame tells the frame in which the track was selected.
    """
    if not others:
        return graph.row_of(selection.t, selection.track)
    frame = graph.candidates.detections.frame
    at, chosen = min(int(frame[other]) for other in others), st.session_state.chosen[1]
    mine = np.flatnonzero(graph.track == selection.track)
    there = (
        mine[frame[mine] < at] if chosen < at else mine[frame[mine] > at] if chosen > at else mine[frame[mine] == at]
    )
    return None if not len(there) else int(there[-1] if chosen < at else there[0])


def wishes(graph: Graph, row: int, others: list[int]) -> tuple[list[Wish], list[Wish]]:
    """Everything that can be said of a cell, alone and with one or two others; and what is said seldom."""
    me = graph.cell(row)
    cells = sorted([me, *map(graph.cell, others)])
    following = tuple(sorted(map(graph.cell, graph.next_rows(row))))
    pair = tuple(cells) if len(cells) == 2 else ()
    in_time, at_once = (pair, ()) if len({frame for frame, _ in pair}) == 2 else ((), pair)
    daughters = tuple(cell for cell in cells if cell != me and cell[0] > me[0])
    divides = (me, *daughters) if len(daughters) == len(others) and others else ()

    def pins(kind: str, action: str, named: tuple[Cell, ...]) -> tuple[Pin, ...]:
        return (Pin(kind, action, named),) if named else ()  # type: ignore[arg-type]

    often = [
        Wish("Same cell", "S", "The two cells are one: the first becomes the second.", pins("link", "keep", in_time)),
        Wish("Divides", "D", "It divides into the cells that were Shift+clicked.", pins("division", "keep", divides)),
        Wish("Cut", "X", "It does not become what follows now; first you see what would.", _cut(me, following)),
        Wish("Ends here", "E", "Nothing follows this cell.", pins("end", "keep", (me,))),
        Wish("Begins here", "B", "This cell follows no other.", pins("begin", "keep", (me,))),
        Wish("No cell", "N", "There is no cell here: leave it out.", pins("detection", "forbid", (me,))),
        Wish("Merge", "M", "The two masks of this frame are one cell.", pins("merge", "keep", at_once)),
    ]
    seldom = [
        Wish("Is a cell", None, "It is one, and must not be left out.", pins("detection", "keep", (me,))),
        Wish("Not the same", None, "The first does not become the second.", pins("link", "forbid", in_time)),
        Wish("Does not divide", None, "It divides into no two cells.", pins("division", "forbid", (me,))),
        Wish("Not these daughters", None, "It does not divide into these.", pins("division", "forbid", divides)),
        Wish("Two cells", None, "The two masks of this frame are two cells.", pins("merge", "forbid", at_once)),
    ]
    return often, seldom


def _cut(me: Cell, following: tuple[Cell, ...]) -> tuple[Pin, ...]:
    return tuple(Pin("link", "forbid", (me, cell)) for cell in following)


def _button(wish: Wish, result: Result, desk: Desk) -> None:
    st.button(
        wish.name,
        disabled=not wish.pins,
        help=wish.meaning,
        key=f"correct_{wish.name}",
        shortcut=wish.key,
        on_click=_propose_cut if wish.name == "Cut" else _add,
        args=(result, desk, wish.pins),
    )


def _add(result: Result, desk: Desk, pins: tuple[Pin, ...]) -> bool:
    """Take corrections, unless they contradict those that are there; says whether they were taken."""
    if _answers(result, [*desk.done, *pins]) is None:
        return False
    for pin in pins:
        desk.add(pin)
    st.session_state.others = []
    st.session_state.cut = None
    return True


def take(result: Result, pins: Iterable[Pin]) -> bool:
    """Take what another page asks for, unless it contradicts the corrections that are there."""
    desk = log_of(result)
    return _add(result, desk, tuple(pin for pin in pins if pin not in desk.done))


def show_corrections(result: Result) -> None:
    """The corrections so far, and the button that solves again; for a page that has keys of its own."""
    with st.container(border=True, key="correct"):
        st.markdown("**Corrections**")
        _show_log(result, open_graph(result), log_of(result), keys=False)
    outcome = st.session_state.get("outcome")
    if outcome is not None and registry.opaque_id(outcome.out) == result.layer.id:
        _show_outcome(outcome)


def _answers(result: Result, pins: list[Pin]) -> list[Change] | None:
    """What these corrections change in the result that is shown; ``None``, with a card, where they cannot be obeyed."""
    try:
        _, problem = origin_of(result)
        found = answer(problem, pins)
    except InputError as error:
        st.session_state.refused = error
        return None
    return compare_solutions(open_graph(result), found.candidates, found.solution)


def _propose_cut(result: Result, desk: Desk, pins: tuple[Pin, ...]) -> None:
    """Before a cut is taken, it is shown what takes the place of what is cut."""
    now, then = _answers(result, desk.done), _answers(result, [*desk.done, *pins])
    if now is not None and then is not None:
        st.session_state.cut = (result.layer.id, pins, [change for change in then if change not in now])


def _show_cut(result: Result, graph: Graph, desk: Desk) -> None:
    proposal = st.session_state.get("cut")
    if proposal is None or proposal[0] != result.layer.id:
        return
    _, pins, changes = proposal
    me, following = pins[0].cells[0], [pin.cells[1] for pin in pins]
    apart = (Pin("end", "keep", (me,)), *(Pin("begin", "keep", (cell,)) for cell in following))
    replaced = any(change.replaced for change in changes)
    with st.container(border=True, key="cut_proposal"):
        st.markdown("**Cut: what would change**")
        _list(changes)
        with st.container(horizontal=True, gap="small"):
            take = "Keep this" if replaced else "Cut"
            st.button(take, type="primary", shortcut="Enter", key="cut_take", on_click=_add, args=(result, desk, pins))
            if replaced:
                why = "Nothing follows the cell, and nothing comes before what followed it."
                st.button("Only cut", help=why, key="cut_only", on_click=_add, args=(result, desk, apart))
            st.button("Leave", shortcut="Esc", key="cut_leave", on_click=_leave_cut)


def _leave_cut() -> None:
    st.session_state.cut = None


def _list(changes: list[Change]) -> None:
    for change in changes[:SHOWN]:
        st.text(f"{change.what}{': keep?' if change.replaced else '.'}")
    if len(changes) > SHOWN:
        st.caption(f"… and {len(changes) - SHOWN} more")
    if not changes:
        st.text("Nothing else changes.")


def _show_log(result: Result, graph: Graph, desk: Desk, *, keys: bool = True) -> None:
    name, done = namer(graph), desk.done
    made_with = pins_of(result)
    news = set(done) != set(made_with)
    changes = (_answers(result, done) or []) if news else []
    refused = st.session_state.pop("refused", None)
    if refused is not None:
        parts.show_problems(refused, "This correction cannot be made")
    if len(done) > SHOWN:
        st.caption(f"{len(done) - SHOWN} corrections before these")
    for pin in done[-SHOWN:]:
        st.text(f"{in_words(pin, name)}{'' if pin in made_with else ' (new)'}")
    with st.container(horizontal=True, gap="small"):
        undo, redo, solve = ("U", "Y", "A") if keys else (None, None, None)
        st.button("Undo", disabled=not done, on_click=desk.undo, key="undo", shortcut=undo)
        st.button("Redo", disabled=not desk.undone, on_click=desk.redo, key="redo", shortcut=redo)
        pressed = st.button("Solve again", type="primary", disabled=not news, key="solve_again", shortcut=solve)
    if news:
        with st.expander(f"What changes when you solve again ({len(changes)})", key="changes"):
            _list(changes)
            if any(pin.merges for pin in done):
                st.caption("What merged masks change is known when they are measured, as you solve again.")
    if not desk.saved:
        st.caption(
            "This folder is read-only: your corrections are kept only while this page is open. Take them with you, and "
            "track the masks with --pins pins.csv to a folder of your own."
        )
        st.download_button("Download pins.csv", format_pins(done), file_name="pins.csv", key="pins", on_click="ignore")
    seen = st.session_state.setdefault("corrections_seen", {})
    before, seen[desk.folder] = seen.get(desk.folder, done), done
    if pressed and before != done:
        st.warning("Somebody else has corrected meanwhile: look at the list, then press Solve again once more.")
    elif pressed:
        _solve(result, desk)


def _show_changed(result: Result) -> None:
    """The masks that are not in the result as they were given."""
    if changed := changed_masks(result.run or {}):
        with st.expander(f"Masks that are not as they were given ({len(changed)})", key="changed_masks"):
            table = pd.DataFrame({"frame": one["frame"], "what has happened": one["sentence"]} for one in changed)
            st.dataframe(table, hide_index=True, height=min(240, 40 + 36 * len(table)), alt="Changed masks")


def _solve(result: Result, desk: Desk) -> None:
    """Solve again; of two people who press at once, the second is told, and keeps everything."""
    try:
        with owned(desk.folder), st.spinner("Solving …"):
            outcome = corrections.solve_again(result, desk.done, desk.entries)
    except InputError as error:
        parts.show_problems(error, "Not solved; your corrections are kept")
        return
    st.session_state.outcome = outcome
    st.session_state.next_run, st.session_state.next_track = registry.opaque_id(outcome.out), st.session_state.track
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
