"""Measure: numbers of every cell and every track, to look at and to take away."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, measured, track_list
from celltrail.dashboard.judging.measured import CellNumbers, Units
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.opening.content import Result
from celltrail.data.words import counted

AT_ONCE = 20_000  # cells; more are measured when asked, because every pixel is read
HIDDEN = ("frame", "label", "track", "minutes", "at_border")


def choose_units(result: Result) -> Units:
    """Size of a pixel and time between frames, where the files do not tell."""
    left, middle, _ = st.columns([1, 1, 2])
    pixel = None
    if len(result.labels.shape) == 2:
        pixel = left.number_input(
            "Pixel size (µm)",
            min_value=0.0,
            value=None,
            key="measure_pixel",
            placeholder="as the files say",
            help="Adds columns in µm. Empty: from the metadata, else pixels only.",
        )
    seconds = middle.number_input(
        "Seconds between frames",
        min_value=0.0,
        value=None,
        key="measure_seconds",
        placeholder="as the files say",
        help="Adds columns in minutes. Empty: from the metadata, else frames only.",
    )
    return Units(pixel or None, seconds or None)


def take_measures(selection: state.Selection, result: Result, units: Units) -> CellNumbers | None:
    """The measurements: at once for a short movie, after a click for a long one."""
    found = measured.known(selection.movie, result, units)
    count = measured.count_cells(result)
    if found is not None:
        return found
    if count > AT_ONCE and not st.button(
        f"Measure {counted(count, 'cell')}", type="primary", help="Reads every frame."
    ):
        return None
    bar = st.progress(0.0, text="measure")
    found = measured.measure(
        selection.movie,
        result,
        units,
        lambda stage, done, total, note="": bar.progress(done / max(total, 1), text=stage),
    )
    bar.empty()
    return found


def take_row(found: CellNumbers) -> None:
    """A row of the table was clicked."""
    rows = st.session_state.measure_table.selection.rows
    if rows:
        row = found.tracks.iloc[rows[0]]
        state.look_at(t=int(row["begin"]), track=int(row["track"]))


def take_point(key: str) -> None:
    """A point of a plot was clicked: go to its frame, and to its track where it names one."""
    points = st.session_state[key].selection.points
    if points:
        data = charts.carried(points[0])
        state.look_at(t=data[-1], track=data[0] if len(data) == 2 else None)


def numbers_of(table: pd.DataFrame, but: Sequence[str]) -> list[str]:
    """The columns that hold numbers: in a movie of one frame there is no speed."""
    return [name for name in table.select_dtypes("number").columns if name not in but and table[name].notna().any()]


def place_of(names: list[str], wanted: str) -> int:
    """Where a column stands; the first, where it is missing."""
    return names.index(wanted) if wanted in names else 0


def show_tracks(result: Result, found: CellNumbers, selected: int) -> None:
    """Every track as a row, and two of its numbers against each other."""
    colours = content.colours_by(result, st.session_state.get("colour_by", "track"))
    numbers = numbers_of(found.tracks, ("track", "mother"))
    left, right = st.container(key="beside_numbers").columns([3, 2])
    with left:
        st.dataframe(
            found.tracks,
            key="measure_table",
            hide_index=True,
            height=380,
            selection_mode="single-row",
            on_select=lambda: take_row(found),
            alt="Tracks with birth, fate, length, speed and size",
        )
    with right:
        across, up = st.columns(2)
        x = across.selectbox("Across", numbers, index=numbers.index("frames"), key="measure_x")
        y = up.selectbox("Up", numbers, index=place_of(numbers, "mean_speed_px"), key="measure_y")
        st.plotly_chart(
            charts.draw_scatter(found.tracks, x, y, selected=selected, colours=colours),
            key="measure_scatter",
            config=parts.plot_config() | charts.BRUSH,
            on_select=lambda: track_list.take_brush("measure_scatter", result),
            selection_mode=("points", "box"),
            alt=f"{y} against {x} of every track; a box chooses tracks",
        )
        if track_list.chosen_tracks(result):
            st.caption(
                f"{counted(len(track_list.chosen_tracks(result)), 'track')} chosen: the page Browse colours only them."
            )


def show_cells(selection: state.Selection, result: Result, found: CellNumbers, selected: int) -> None:
    """A number of the selected track over time, in front of all cells."""
    columns = numbers_of(found.cells, HIDDEN)
    column = st.selectbox("Over time", columns, index=place_of(columns, "speed_px"), key="measure_column", width=220)
    mine = found.cells[found.cells["track"] == selected].sort_values("frame")
    colour = content.track_colours(result).get(selected, charts.ACCENT)
    if mine.empty:
        st.caption("Click a track in the table or a point of the plot to see it in front of all cells.")
    st.plotly_chart(
        charts.draw_over_time(found.cells, column, mine, t=selection.t, colour=colour),
        key="measure_time",
        config=parts.plot_config(),
        on_select=lambda: take_point("measure_time"),
        selection_mode="points",
        alt=f"{column} of track {selected} over time, with the median of all cells",
    )


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = parts.tracked(selection, "Nothing to measure yet")
    if result is None:
        return
    found = take_measures(selection, result, choose_units(result))
    if found is None:
        return
    selected = found.joined.get(selection.track, 0)
    st.subheader("Tracks")
    parts.colour_choice(result)
    show_tracks(result, found, selected)
    st.subheader(f"Track {selected}" if selected else "Cells")
    show_cells(selection, result, found, selected)
    name = f"{selection.movie.root.name}-{result.layer.folder.name}"
    with st.container(horizontal=True):
        for title, table, file in (
            ("tracks", found.tracks, f"{name}-tracks.csv"),
            ("cells", found.cells, f"{name}.csv"),
        ):
            st.download_button(
                f"Download {title}",
                table.to_csv(index=False, lineterminator="\n", float_format="%.6g"),
                file_name=file,
                mime="text/csv",
                key=f"measure_{title}",
                on_click="ignore",
            )
    st.caption(
        "The page Formats of the documentation explains every column; 'celltrail measure' writes the same tables."
    )


st.title("Measure")
show()
