"""Lineage trees as pictures: time runs downwards, daughters hang below their mother."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from celltrail.data.errors import InputError
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.points import joined_tracks
from celltrail.data.pictures.colours import (
    CERTAINTY,
    CERTAINTY_TICKS,
    CERTAINTY_UNIT,
    PALETTE,
    Colour,
    certainty_colour,
    certainty_place,
    doubtful_cells,
)
from celltrail.data.words import counted

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_LINEAGES = 400  # in one picture; more could not be told apart


def tree_columns(tracks: Tracks, *, divided_first: bool = False) -> dict[int, float]:
    """Where each track stands from left to right: leaves in order, a mother above the middle of her daughters.

    Continuations (only children) stand in the column of their parent. Lineages are ordered by
    begin and label, one unit of space per leaf; where asked, those that divide come first.
    """
    above = tracks.roots() if divided_first else {}
    divided = {above[mother] for mother in tracks.divisions()} if divided_first else set()
    children = tracks.children()
    begin = dict(zip(tracks.label.tolist(), tracks.begin.tolist(), strict=True))
    columns: dict[int, float] = {}
    leaves = 0
    roots = sorted(
        (label for label, parent in zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True) if parent == 0),
        key=lambda label: (label not in divided, begin[label], label),
    )
    stack = [(root, False) for root in reversed(roots)]
    while stack:
        label, visited = stack.pop()
        below = sorted(children.get(label, []), key=lambda child: (begin[child], child))
        if not below:
            columns[label] = float(leaves)
            leaves += 1
        elif visited:
            columns[label] = sum(columns[child] for child in below) / len(below)
        else:
            stack.append((label, True))
            stack += [(child, False) for child in reversed(below)]
    return columns


def write_tree(
    tracks: Tracks,
    path: Path,
    colours: Mapping[int, Colour] | None = None,
    *,
    interval: float | None = None,
    only_divided: bool = False,
    right: Mapping[tuple[int, int], float] | None = None,
) -> None:
    """Draw all lineages into one SVG or PNG file.

    Parameters
    ----------
    colours : Mapping[int, Colour] | None
        Label → colour, see `celltrail.data.pictures.colours.colour_of_tracks`.
    interval : float | None
        Seconds between frames, for the axis of time; otherwise in frames.
    only_divided : bool
        Leave out lineages without a division.
    right : Mapping[tuple[int, int], float] | None
        (frame, label) → the probability that the past of a cell is right: the colours say it, with a colour bar.

    Raises
    ------
    InputError
        If there are more than 400 lineages, or none.
    """
    from matplotlib import rc_context

    figure = plot_lineages(tracks, colours, interval=interval, only_divided=only_divided, right=right)
    metadata = {"Date": None} if path.suffix.lower() == ".svg" else {}
    with rc_context({"svg.hashsalt": "celltrail"}):  # same tree, same bytes
        figure.savefig(path, format=path.suffix[1:].lower(), dpi=150, metadata=metadata)


def plot_lineages(
    tracks: Tracks,
    colours: Mapping[int, Colour] | None = None,
    *,
    interval: float | None = None,
    only_divided: bool = False,
    right: Mapping[tuple[int, int], float] | None = None,
) -> Figure:
    """All lineages as a figure of matplotlib, which a notebook shows; see `write_tree` for the parameters."""
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    roots = tracks.roots()
    dividing = {roots[mother] for mother in tracks.divisions()}
    shown = [row for row in tracks.rows().tolist() if not only_divided or roots[row[0]] in dividing]
    lineages = len({roots[row[0]] for row in shown})
    if not 0 < lineages <= MOST_LINEAGES:
        remedy = (
            "leave out those without a division with --divided" if lineages and not only_divided else "choose others"
        )
        raise InputError(f"A tree of {counted(lineages, 'lineage')} cannot be drawn (1 to {MOST_LINEAGES}): {remedy}.")
    tracks = Tracks.from_rows(shown)
    columns, joined = tree_columns(tracks), joined_tracks(tracks)
    hour = 3600.0
    step, unit = (1.0, "frame") if interval is None else (interval / hour, "hours")
    width = max(columns.values()) + 1
    figure = Figure(figsize=(min(max(4.0, 0.22 * width), 60.0), 6.0), layout="constrained")
    axes = figure.add_subplot()
    lines, shades = [], []
    doubts = doubtful_cells(right or {})
    if right is not None:
        colours = dict.fromkeys(columns, certainty_colour(1.0))
    end_of = dict(zip(tracks.label.tolist(), tracks.end.tolist(), strict=True))
    for label, begin, end, parent in tracks.rows().tolist():
        shade = [value / 255 for value in (colours or {}).get(label, PALETTE[label % len(PALETTE)])]
        x = columns[label]
        lines.append([(x, begin * step), (x, (end + 0.8) * step)])
        shades.append(shade)
        if parent:
            mother = columns[parent]
            lines.append([(mother, (end_of[parent] + 0.8) * step), (x, begin * step)])
            shades.append(shade)
        for frame, colour in doubts.get(label, []):
            since = frame - 0.9 if frame > begin else begin
            lines.append([(x, since * step), (x, max(frame, begin + 0.7) * step)])
            shades.append([value / 255 for value in colour])
        if joined[label] == label:
            axes.annotate(
                str(label),
                (x, begin * step),
                fontsize=6,
                ha="left",
                va="top",
                xytext=(2, -1),
                textcoords="offset points",
            )
    axes.add_collection(LineCollection(lines, colors=shades, linewidths=1.6, capstyle="round"))
    axes.set_xlim(-0.7, width)
    axes.set_ylim((int(tracks.end.max()) + 1.5) * step, (int(tracks.begin.min()) - 0.5) * step)
    axes.set_xticks([])
    axes.set_ylabel(unit)
    for side in ("top", "right", "bottom"):
        axes.spines[side].set_visible(False)
    if right is not None:
        _draw_colour_bar(figure, axes)
    return figure


def _draw_colour_bar(figure: Figure, axes: Axes) -> None:
    """What the colours of certainty stand for."""
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import LinearSegmentedColormap

    shades = LinearSegmentedColormap.from_list("certainty", [[v / 255 for v in colour] for colour in CERTAINTY])
    bar = figure.colorbar(ScalarMappable(cmap=shades), ax=axes, shrink=0.5, aspect=30, label=CERTAINTY_UNIT)
    bar.set_ticks([certainty_place(value) for value in CERTAINTY_TICKS], labels=[f"{v:g}" for v in CERTAINTY_TICKS])
    bar.ax.invert_yaxis()
