"""Overview: one sentence on what is in the movie, how sure it is and what to do next; then pictures, then numbers."""

from __future__ import annotations

from typing import Any

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, scores
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.viewer import Pane, show_viewer
from celltrail.data import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.words import counted
from celltrail.evaluation.measures.catalogue import definition

CERTIFICATE = {
    "status": (
        "Status",
        "'optimal': no better solution exists, proven by the bound. 'gap': one may exist within the gap.",
    ),
    "objective": (
        "Objective",
        "Cost of the solution in nats: the sum of negative log-likelihood ratios. Lower is better.",
    ),
    "bound": ("Lower bound", "No solution can cost less than this (nats)."),
    "gap": ("Gap", "Objective minus bound (nats): how much better a solution could be at most."),
    "relative_gap": ("Relative gap", "The gap relative to what tracking gains over leaving every cell unlinked."),
    "components": ("Components", "Independent problems into which the movie falls; each is solved on its own."),
}


def verdict(selection: state.Selection, result: Result) -> tuple[str, str]:
    """What is in the movie and how sure it is, and what to do next; Markdown."""
    tracks = result.tracks
    divisions = len(tracks.divisions())
    clock, mine = state.clock_of(selection)[0], result.labels.numbers
    frames = counted(len(clock), "frame")
    if 0 < len(mine) < len(clock):
        frames = f"Frames {min(mine)} to {max(mine)} of {frames},"
    words = [f"**{frames} with {counted(len(tracks), 'track')} of cells and {counted(divisions, 'division')}.**"]
    said = (result.run or {}).get("confidence")
    if isinstance(said, dict) and isinstance(said.get("sentence"), str):
        words.append(f"{said['sentence'][:1].upper()}{said['sentence'][1:]}.")
        if float(said.get("expected_wrong") or 0) >= 0.5:
            return " ".join(words), "Answer the most doubtful places first: the page Review asks them one by one."
        return " ".join(words), "Look at a few tracks on the page Browse; then take the numbers from the page Measure."
    words.append("This result does not say how sure it is.")
    return " ".join(words), "The page Errors lists what looks odd in it."


def show_verdict(selection: state.Selection, result: Result) -> None:
    """The sentence on top, with the way to what comes next."""
    what, after = verdict(selection, result)
    with st.container(border=True):
        st.markdown(what)
        st.markdown(f"**Next:** {after}")
        notes = (result.run or {}).get("notes")
        for note in notes if isinstance(notes, list) else []:
            st.text(f"Note: {note}")
        with st.container(horizontal=True):
            for name, page in (
                ("Review", "review"),
                ("Browse", "browse"),
                ("Lineage", "lineage"),
                ("Measure", "measure"),
            ):
                if st.button(name, key=f"next_{page}", type="primary" if f"page {name}" in after else "secondary"):
                    st.switch_page(f"views/{page}.py")


def show_pictures(selection: state.Selection, result: Result | None) -> None:
    """The movie, and beside it how many cells there are."""
    frames, shape = state.clock_of(selection)
    left, right = st.columns(2, gap="medium")
    with left:
        if frames:
            show_viewer(
                [Pane(selection.movie, selection.layer)],
                key="overview_viewer",
                frames=frames,
                shape=shape,
                t=selection.t,
                revision=st.session_state.revision,
                selected={} if selection.layer is None else {selection.layer.id: selection.track},
                place=selection.movie.id,
                height="clamp(200px, 27vw, 700px)",
                compact=True,
                on_frame_change=lambda: state.take_frame(st.session_state.overview_viewer.frame),
            )
    with right:
        if result is not None and len(result.tracks):
            show_counts(result)


def show_data(selection: state.Selection, result: Result | None) -> None:
    """What the files hold."""
    frames, shape = state.clock_of(selection)
    images = content.open_movie(selection.movie)
    dtype = images.dtype if images is not None else (result.labels.dtype if result is not None else None)
    voxel = images.voxel if images is not None else None
    tiles: list[tuple[str, Any]] = [
        ("Frames", len(frames)),
        ("Size", " × ".join(str(n) for n in shape) if shape else "–"),
        ("Pixels", str(dtype) if dtype is not None else "–"),
        ("Voxel (µm)", " × ".join(f"{n:g}" for n in voxel) if voxel else "not given"),
    ]
    if result is not None and len(result.tracks):
        tiles += [("Tracks", len(result.tracks)), ("Divisions", len(result.tracks.divisions()))]
    parts.show_tiles([(name, parts.figure(value), "") for name, value in tiles])


def show_measures(selection: state.Selection, result: Result) -> None:
    """Every measure by name, with its definition."""
    st.subheader("Measures against the truth")
    try:
        with st.spinner("Comparing with the truth …"):
            values = scores.measures(selection.movie, result.layer)
    except InputError as error:
        parts.show_problems(error)  # the rest of the page still helps to find the fault
        return
    if values is None:
        st.text(
            "There is no truth for this result. Put it into NN_GT/TRA and NN_GT/SEG, as the Cell Tracking Challenge does."
        )
        return
    truth = selection.movie.truth
    part = None if truth is None else scores.say_part(truth, result.layer)
    if part is not None:
        st.caption(part)
    names = scores.in_order(values)
    first = [name for name in names if name in scores.FIRST and values[name] is not None]
    parts.show_tiles([(scores.NAMES.get(name, name), parts.figure(values[name]), definition(name)) for name in first])
    rest = [name for name in names if name not in first]
    if rest:
        with st.expander(counted(len(rest), "more measure")):
            rows = [
                {"measure": scores.NAMES.get(name, name), "value": values[name], "meaning": definition(name)}
                for name in rest
            ]
            st.dataframe(rows, hide_index=True, alt="Further measures with their definitions")


def show_certificate(run: dict[str, Any] | None) -> None:
    """Objective, bound, gap: what the solver proves."""
    if run is None:
        st.text("This result has no run.json: it was not made by Celltrail, or only part of it was copied.")
        return
    if run.get("status") == "optimal":
        st.caption("Proven: no other lineages explain these masks at a lower cost.")
    elif run.get("status") == "gap":
        st.caption("Not proven: better lineages may exist, but none can be better by more than the gap.")
    if isinstance(run.get("bound_of"), str):
        st.text(f"Bound and gap are of {run['bound_of']}.")
    tiles = []
    for key, (name, meaning) in CERTIFICATE.items():
        if key in run:
            value = run[key]
            shown = f"{value:.2g}" if key == "relative_gap" and isinstance(value, float) else parts.figure(value)
            tiles.append((name, shown, meaning))
    parts.show_tiles(tiles)


def show_counts(result: Result) -> None:
    """Cells and divisions over time."""
    st.subheader("Cells and divisions over time")
    st.plotly_chart(
        charts.draw_counts(result.tracks),
        key="counts",
        config=parts.plot_config(),
        alt="Number of cells and divisions per frame",
    )


def show_check(selection: state.Selection) -> None:
    """Problems of the files, on request: every frame has to be read."""
    if not st.button("Check every file", help="Reads every frame of images, results and truth."):
        return
    with st.spinner("Reading every frame …"):
        problems = find_problems(selection.movie.root)
    if not problems:
        st.success("No problems found.")
        return
    rows = [
        {
            "file": problem.path,
            "frame": problem.frame,
            "label": problem.label,
            "what": problem.what,
            "remedy": problem.remedy,
        }
        for problem in problems
    ]
    st.dataframe(rows, hide_index=True, alt="Problems found in the files")


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = selection.result
    if result is None:
        parts.invite(selection, "No result yet")
    elif len(result.tracks):
        show_verdict(selection, result)
    show_pictures(selection, result)
    measured = st.container()  # filled last: a long movie takes its time, and the rest need not wait
    with st.expander("The data"):
        show_data(selection, result)
    if result is None:
        return
    if result.layer.kind == "result":
        with st.expander("What the solver proves"):
            show_certificate(result.run)
    with st.expander("Check of the files"):
        show_check(selection)
    with measured:
        show_measures(selection, result)


st.title("Overview")
show()
