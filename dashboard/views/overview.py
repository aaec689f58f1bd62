"""Overview: what this data is, how good the result is, and what the solver proves about it."""

from __future__ import annotations

from typing import Any

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, scores
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.opening.content import Result
from celltrail.data import InputError
from celltrail.data.files.check import find_problems
from celltrail.evaluation.measures.catalogue import definition

TILES_PER_ROW = 6
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


def show_data(selection: state.Selection, result: Result | None) -> None:
    """The data card."""
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
    show_tiles([(name, parts.figure(value), "") for name, value in tiles])


def show_tiles(tiles: list[tuple[str, str, str]]) -> None:
    """Numbers side by side: (name, value, what it means)."""
    for start in range(0, len(tiles), TILES_PER_ROW):
        columns = st.columns(TILES_PER_ROW)
        for column, (name, value, meaning) in zip(columns, tiles[start : start + TILES_PER_ROW], strict=False):
            column.metric(name, value, help=meaning or None, border=True)


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
    names = scores.in_order(values)
    first = [name for name in names if name in scores.FIRST]
    show_tiles([(scores.NAMES.get(name, name), parts.figure(values[name]), definition(name)) for name in first])
    rest = [name for name in names if name not in scores.FIRST]
    if rest:
        with st.expander(f"{len(rest)} more measures"):
            rows = [
                {"measure": scores.NAMES.get(name, name), "value": values[name], "meaning": definition(name)}
                for name in rest
            ]
            st.dataframe(rows, hide_index=True, alt="Further measures with their definitions")


def show_certificate(run: dict[str, Any] | None) -> None:
    """Objective, bound, gap: what the solver proves."""
    st.subheader("Solver's certificate")
    if run is None:
        st.text("This result has no run.json: it was not made by Celltrail, or only part of it was copied.")
        return
    if run.get("status") == "optimal":
        st.caption("Proven: no other lineages explain these masks at a lower cost.")
    elif run.get("status") == "gap":
        st.caption("Not proven: better lineages may exist, but none can be better by more than the gap.")
    tiles = []
    for key, (name, meaning) in CERTIFICATE.items():
        if key in run:
            value = run[key]
            shown = f"{value:.2g}" if key == "relative_gap" and isinstance(value, float) else parts.figure(value)
            tiles.append((name, shown, meaning))
    show_tiles(tiles)


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
    st.subheader("Check of the files")
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
    show_data(selection, result)
    if result is None:
        parts.empty("No result yet", "Segment and track this movie to see its lineages.", "celltrail demo --out demo")
        return
    measured = st.container()  # filled last: a long movie takes its time, and the rest need not wait
    if result.layer.kind == "result":
        show_certificate(result.run)
    if len(result.tracks):
        show_counts(result)
    show_check(selection)
    with measured:
        show_measures(selection, result)


st.title("Overview")
show()
