"""The plots, as Plotly figures: the lineage tree, counts over time, features of one track."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
import pandas as pd
import plotly.graph_objects as go
from numpy.typing import NDArray

from celltrail.data import Tracks
from celltrail.data.pictures.colours import certainty_colour, css

QUIET = "#8a97a3"
ACCENT = "#0a7ea4"
CURVES = {"train_loss": "training loss", "loss": "validation loss"}
MANY = 3000  # from so many points on, WebGL draws faster than SVG
CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["lasso2d", "select2d", "autoScale2d"],
}
BRUSH = {"modeBarButtonsToRemove": ["lasso2d", "autoScale2d"]}  # a plot in which a box can be drawn


def carried(point: Mapping[str, Any]) -> list[int]:
    """The numbers that a point of a plot carries, as a selection tells them: a list, or an object with keys 0, 1 …"""
    data = point["customdata"]
    return [int(value) for value in (data.values() if isinstance(data, Mapping) else data)]


def plain_figure(height: int) -> go.Figure:
    """An empty figure with the margins and fonts that all plots share."""
    figure = go.Figure()
    figure.update_layout(
        height=height,
        margin={"l": 8, "r": 8, "t": 8, "b": 8},
        hovermode="closest",
        showlegend=False,
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(0,0,0,0)",
        dragmode="pan",
        uirevision="keep",
    )
    figure.update_xaxes(zeroline=False, automargin=True)
    figure.update_yaxes(zeroline=False, automargin=True)
    return figure


def draw_counts(tracks: Tracks, *, height: int = 220) -> go.Figure:
    """Cells in each frame as a line, and divisions as bars below it."""
    figure = plain_figure(height)
    if not len(tracks):
        return figure
    first, last = int(tracks.begin.min()), int(tracks.end.max())
    change = np.zeros(last - first + 2, dtype=np.int64)
    np.add.at(change, tracks.begin - first, 1)
    np.add.at(change, tracks.end - first + 1, -1)
    frames = np.arange(first, last + 1)
    births = births_per_frame(tracks)
    figure.add_bar(
        x=list(births),
        y=list(births.values()),
        name="divisions",
        marker={"color": "#d55e00"},
        hovertemplate="frame %{x}: %{y} divisions<extra></extra>",
    )
    figure.add_scatter(
        x=frames,
        y=np.cumsum(change)[:-1],
        mode="lines",
        name="cells",
        line={"color": ACCENT, "width": 2},
        hovertemplate="frame %{x}: %{y} cells<extra></extra>",
    )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.15, "x": 0})
    figure.update_xaxes(title="frame", showgrid=False)
    figure.update_yaxes(rangemode="tozero")
    return figure


def births_per_frame(tracks: Tracks) -> dict[int, int]:
    """Last frame of the mother → number of divisions there."""
    counts: dict[int, int] = {}
    for mother in tracks.divisions():
        frame = int(tracks.end[tracks.row_of(mother)])
        counts[frame] = counts.get(frame, 0) + 1
    return dict(sorted(counts.items()))


def draw_feature(cells: pd.DataFrame, feature: str, unit: str, *, t: int, colour: str, height: int = 150) -> go.Figure:
    """A feature of one track over time; its points carry the frame for selection.

    Plots below each other have one axis of time: it spans the life of the track, also where a feature is not known.
    """
    figure = plain_figure(height)
    figure.add_scatter(
        x=cells["frame"],
        y=cells[feature],
        mode="lines+markers",
        marker={"size": 5},
        line={"color": colour, "width": 2},
        customdata=cells[["frame"]],
        hovertemplate=f"frame %{{x}}: %{{y:.4g}} {unit}<extra></extra>",
    )
    figure.add_vline(x=t, line={"color": QUIET, "width": 1, "dash": "dot"})
    first, last = int(cells["frame"].min()), int(cells["frame"].max())
    pad = 0.5 + 0.03 * (last - first)
    figure.update_layout(margin_l=72)
    figure.update_yaxes(title=f"{feature}<br>({unit})", rangemode="tozero", automargin=False)
    figure.update_xaxes(showgrid=False, range=[first - pad, last + pad])
    return figure


def draw_differences(table: pd.DataFrame, *, height: int = 300) -> go.Figure:
    """Paired differences B − A, a dot per movie in the row of each measure."""
    figure = plain_figure(height)
    figure.add_scatter(
        x=table["B − A"],
        y=table["measure"],
        mode="markers",
        marker={"size": 9, "color": ACCENT, "opacity": 0.8},
        customdata=table[["movie"]],
        hovertemplate="%{y} of movie %{customdata[0]}: %{x:+.4f}<extra></extra>",
    )
    figure.add_vline(x=0, line={"color": QUIET, "width": 1})
    figure.update_xaxes(title="B − A")
    figure.update_yaxes(autorange="reversed")
    return figure


def draw_intervals(table: pd.DataFrame, baseline: str) -> go.Figure:
    """Differences to the baseline with their intervals: a row per measure, a colour per variant."""
    variants = list(dict.fromkeys(table["variant"]))
    figure = plain_figure(60 + 26 * max(1, len(table)))
    for i, variant in enumerate(variants):
        mine = table[table["variant"] == variant]
        figure.add_scatter(
            x=mine["difference"],
            y=mine["measure"],
            mode="markers",
            name=escape(variant),
            marker={"size": 8},
            error_x={
                "array": mine["difference_high"] - mine["difference"],
                "arrayminus": mine["difference"] - mine["difference_low"],
            },
            hovertemplate=f"%{{y}}: %{{x:+.4f}}<extra>{i + 1}</extra>",
        )
    figure.add_vline(x=0, line={"color": QUIET, "width": 1})
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.1, "x": 0})
    figure.update_xaxes(title=f"difference to {escape(baseline)}, with 95 % interval")
    figure.update_yaxes(autorange="reversed")
    return figure


def draw_trials(table: pd.DataFrame, *, height: int = 240) -> go.Figure:
    """The value of every trial of a search, and the best so far."""
    figure = plain_figure(height)
    table = table.sort_values("trial")
    figure.add_scatter(
        x=table["trial"],
        y=table["value"],
        mode="markers",
        name="trial",
        marker={"size": 8, "color": ACCENT},
        hovertemplate="trial %{x}: %{y:.4f}<extra></extra>",
    )
    figure.add_scatter(
        x=table["trial"],
        y=table["value"].cummax(),
        mode="lines",
        name="best so far",
        hoverinfo="skip",
        line={"color": QUIET, "shape": "hv"},
    )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.15, "x": 0})
    figure.update_xaxes(title="trial")
    figure.update_yaxes(title="value")
    return figure


def draw_curve(table: pd.DataFrame, names: Sequence[str], title: str, *, height: int = 240) -> go.Figure:
    """A training: some of its columns over the steps."""
    figure = plain_figure(height)
    for name in names:
        rows = table[table[name].notna()]
        figure.add_scatter(
            x=rows["step"],
            y=rows[name],
            mode="lines+markers",
            marker={"size": 5},
            name=CURVES.get(name, name),
            hovertemplate="step %{x}: %{y:.4f}<extra></extra>",
        )
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.15, "x": 0})
    figure.update_xaxes(title="step")
    figure.update_yaxes(title=title)
    return figure


def draw_over_time(
    cells: pd.DataFrame, column: str, mine: pd.DataFrame, *, t: int, colour: str, height: int = 300
) -> go.Figure:
    """A column for one track over time, in front of the median and the middle half of all cells in each frame."""
    figure = plain_figure(height)
    spread = cells.groupby("frame")[column].quantile(np.array([0.25, 0.5, 0.75])).unstack()
    for share, fill in ((0.25, None), (0.75, "tonexty")):
        figure.add_scatter(
            x=spread.index,
            y=spread[share],
            mode="lines",
            line={"width": 0},
            fill=fill,
            hoverinfo="skip",
            fillcolor="rgba(138, 151, 163, 0.25)",
            showlegend=share > 0.5,
            name="middle half of all cells",
        )
    figure.add_scatter(
        x=spread.index,
        y=spread[0.5],
        mode="lines",
        line={"color": QUIET, "width": 1.5},
        name="median of all cells",
        hovertemplate="frame %{x}: median %{y:.4g}<extra></extra>",
    )
    figure.add_scatter(
        x=mine["frame"],
        y=mine[column],
        mode="lines+markers",
        marker={"size": 5},
        line={"color": colour, "width": 2.5},
        name="this track",
        customdata=mine[["frame"]],
        hovertemplate="frame %{x}: %{y:.4g}<extra></extra>",
    )
    figure.add_vline(x=t, line={"color": QUIET, "width": 1, "dash": "dot"})
    figure.update_layout(showlegend=True, legend={"orientation": "h", "y": 1.12, "x": 0})
    figure.update_xaxes(title="frame", showgrid=False)
    figure.update_yaxes(title=column)
    return figure


def draw_scatter(
    table: pd.DataFrame,
    x: str,
    y: str,
    *,
    selected: int,
    colours: Mapping[int, str] | None = None,
    names: Mapping[str, str] | None = None,
    height: int = 300,
) -> go.Figure:
    """Two numbers of every track against each other; points carry (track, first frame), a box chooses some."""
    figure = plain_figure(height)
    known = table[table[x].notna() & table[y].notna()]
    chosen = (known["track"] == selected).to_numpy()
    shades = [(colours or {}).get(label, ACCENT) for label in known["track"].tolist()]
    kind = go.Scattergl if len(known) > MANY else go.Scatter
    figure.add_trace(
        kind(
            x=known[x],
            y=known[y],
            mode="markers",
            customdata=known[["track", "begin"]],
            marker={
                "size": np.where(chosen, 14, 8),
                "color": shades,
                "line": {"width": np.where(chosen, 3, 0.5), "color": QUIET},
            },
            hovertemplate="track %{customdata[0]}: %{x:.4g}, %{y:.4g}<extra></extra>",
        )
    )
    figure.update_layout(dragmode="select")
    figure.update_xaxes(title=(names or {}).get(x, x))
    figure.update_yaxes(title=(names or {}).get(y, y))
    return figure


def draw_map(places: Sequence[tuple[float, float, float]], shape: tuple[int, ...], *, height: int = 220) -> go.Figure:
    """Places in the movie, (x, y, certainty) each, for a box to be drawn around some."""
    figure = plain_figure(height)
    figure.add_scatter(
        x=[x for x, _, _ in places],
        y=[y for _, y, _ in places],
        mode="markers",
        marker={"size": 7, "color": [css(certainty_colour(value)) for *_, value in places]},
        hoverinfo="skip",
    )
    figure.update_layout(dragmode="select")
    figure.update_xaxes(range=[0, shape[-1]], showgrid=False, title="x")
    figure.update_yaxes(range=[shape[-2], 0], showgrid=False, title="y", scaleanchor="x")
    return figure


def draw_histogram(values: NDArray[np.floating[Any]], name: str, count: str, *, height: int = 280) -> go.Figure:
    """How often each value occurs, in twenty bins from 0 to 1."""
    figure = plain_figure(height)
    heights, edges = np.histogram(values, bins=20, range=(0.0, 1.0))
    figure.add_bar(
        x=(edges[:-1] + edges[1:]) / 2,
        y=heights,
        width=0.045,
        marker={"color": ACCENT},
        hovertemplate=f"{name} %{{x:.2f}}: %{{y}} {count}<extra></extra>",
    )
    figure.update_xaxes(title=name, range=[0, 1], showgrid=False)
    figure.update_yaxes(title=count)
    return figure
