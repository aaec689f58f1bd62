"""All tracks of a result: found by number, filtered, and chosen in a plot; what is chosen there is coloured in the viewer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.opening.content import Result
from celltrail.data.words import counted

AXES = {"length": "frames", "speed": "speed (pixels per frame)", "area": "area (pixels)", "certainty": "certainty"}


@dataclass(frozen=True)
class Filter:
    """Which tracks are listed: one by its number, or all that pass; ``None``: any."""

    number: int | None = None
    frames: tuple[float, float] | None = None
    divides: bool = False
    speed: tuple[float, float] | None = None
    certainty: float = 1.0

    def keep(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows that pass. A track without a speed (of one frame) passes only where no speed is asked for."""
        kept = np.ones(len(table), dtype=bool)
        if self.number is not None:
            kept &= (table["track"] == self.number).to_numpy()
        for column, limits in (("frames", self.frames), ("speed", self.speed)):
            if limits is not None:
                kept &= table[column].between(*limits).to_numpy()
        if self.divides:
            kept &= (table["daughters"] != "").to_numpy()
        if "certainty" in table and self.certainty < 1:
            kept &= (table["certainty"] <= self.certainty).to_numpy()
        return table[kept]


def track_table(result: Result) -> pd.DataFrame:
    """One row per track: first and last frame, kin, speed and certainty."""
    tracks, children = result.tracks, result.tracks.children()
    columns = {
        "track": tracks.label,
        "first frame": tracks.begin,
        "last frame": tracks.end,
        "frames": tracks.end - tracks.begin + 1,
        "mother": [str(parent or "") for parent in tracks.parent.tolist()],
        "daughters": [", ".join(map(str, children.get(label, []))) for label in tracks.label.tolist()],
        "speed": _feature(result, "speed"),
    }
    if "certainty" in content.features_of(result):
        columns["certainty"] = _feature(result, "certainty")
    return pd.DataFrame(columns)


def _feature(result: Result, name: str) -> list[float]:
    values = content.track_feature(result, name)
    return [values.get(label, float("nan")) for label in result.tracks.label.tolist()]


def choose(table: pd.DataFrame) -> Filter:
    """The filter, behind one button."""
    with st.popover("Find and filter", icon=":material/filter_alt:"):
        number = st.number_input("Track number", min_value=1, value=None, step=1, key="find_track", placeholder="any")
        frames = _range("Frames", table["frames"], "filter_frames", 1)
        divides = st.checkbox("Only those that divide", key="filter_divides")
        speed = _range("Speed (pixels per frame)", table["speed"].dropna().round(2), "filter_speed", 0.01)
        certainty = (
            st.slider(
                "Certainty at most",
                0.0,
                1.0,
                1.0,
                key="filter_certainty",
                help="The probability that all links of a track are right, and its beginning.",
            )
            if "certainty" in table
            else 1.0
        )
    return Filter(number, frames, divides, speed, certainty)


def _range(name: str, values: pd.Series, key: str, step: float) -> tuple[float, float] | None:
    """A range of values; ``None`` where it is not narrowed."""
    if not len(values) or values.min() == values.max():
        return None
    kind = int if step == 1 else float
    low, high = kind(values.min()), kind(values.max() + (0 if step == 1 else step))
    chosen: tuple[float, float] = st.slider(name, low, high, (low, high), key=key)
    return None if chosen == (low, high) else chosen


def chosen_tracks(result: Result) -> list[int]:
    """The tracks that were chosen in a plot; empty: none, and all are shown."""
    brushed: dict[str, list[int]] = st.session_state.setdefault("brushed", {})
    return brushed.get(result.layer.id, [])


def take_brush(key: str, result: Result) -> None:
    """A box was drawn in a plot: its tracks are chosen. One point that was clicked is shown."""
    chosen = [charts.carried(point) for point in st.session_state[key].selection.points]
    labels = sorted({track for track, _ in chosen})
    if len(labels) == 1:
        state.look_at(t=chosen[0][-1], track=labels[0])
    chosen_tracks(result)
    st.session_state.brushed[result.layer.id] = labels if len(labels) > 1 else []


def show(result: Result, selected: int) -> None:
    """The table with its filter, and beside it a plot of what passes."""
    table = track_table(result)
    with st.container(horizontal=True, vertical_alignment="center"):
        passed = choose(table).keep(table)
        told = f"{len(passed):,} of {counted(len(table), 'track')}"
        chosen = chosen_tracks(result)
        if chosen:
            told += f"; **{len(chosen):,}** chosen in a plot: only they are coloured"
        st.markdown(told)
        if chosen:
            st.button(
                "Colour all again", key="forget_brush", on_click=st.session_state.brushed.pop, args=(result.layer.id,)
            )
    left, right = st.container(key="beside_tracks").columns([3, 2], gap="medium")
    with left:
        _show_table(passed, selected)
    with right:
        _show_plot(result, passed, selected)


def _show_table(table: pd.DataFrame, selected: int) -> None:
    labels = table["track"].tolist()
    starts = table["first frame"].tolist()

    def take_row() -> None:
        rows = st.session_state.track_table.selection.rows
        if rows:
            state.look_at(t=int(starts[rows[0]]), track=int(labels[rows[0]]))

    st.dataframe(
        table.assign(**{"": ["▸" if label == selected else "" for label in labels]})[["", *table.columns]],
        key="track_table",
        hide_index=True,
        on_select=take_row,
        selection_mode="single-row",
        height=300,
        column_config={
            "": st.column_config.TextColumn(width=28),
            "speed": st.column_config.NumberColumn(format="%.2f", help="Pixels per frame, the mean."),
            "certainty": st.column_config.ProgressColumn(
                format="percent", min_value=0, max_value=1, width=120, help="That the whole track is right."
            ),
        },
        alt="Tracks with first and last frame, mother, daughters, speed and certainty",
    )


def _show_plot(result: Result, table: pd.DataFrame, selected: int) -> None:
    names = [name for name in AXES if name in content.features_of(result) or name == "length"]
    across, up = st.columns(2)
    x = across.selectbox("Across", names, index=0, key="tracks_x", format_func=AXES.__getitem__)
    y = up.selectbox("Up", names, index=1, key="tracks_y", format_func=AXES.__getitem__)
    kept = set(table["track"].tolist())
    points = pd.DataFrame({"track": result.tracks.label, "begin": result.tracks.begin})
    for name in {x, y}:
        points[name] = _feature(result, name)
    points = points[points["track"].isin(kept)]
    colours = content.colours_by(result, st.session_state.get("colour_by", "track"))
    st.plotly_chart(
        charts.draw_scatter(points, x, y, selected=selected, colours=colours, names=AXES, height=230),
        key="tracks_plot",
        config=parts.plot_config() | charts.BRUSH,
        on_select=lambda: take_brush("tracks_plot", result),
        selection_mode=("points", "box"),
        alt=f"{AXES[y]} against {AXES[x]} of every track; a box chooses tracks",
    )
