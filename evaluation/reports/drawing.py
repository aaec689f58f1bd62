"""Small charts as SVG and pictures as inline PNG, for pages that need no network."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from markupsafe import Markup
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.data.pictures.colours import PLAIN, Colour, css
from celltrail.data.pictures.lineage_tree import tree_columns
from celltrail.evaluation.reports.rendering import draw


@dataclass(frozen=True)
class Size:
    """Extent of a chart and its margins, pixels."""

    height: float
    left: int = 46
    width: int = 760
    top: int = 12
    bottom: int = 34


class Png(NamedTuple):
    """A picture that is part of the page."""

    alt: str
    width: int
    data: str


def inline_png(picture: NDArray[np.uint8], *, alt: str, largest: int = 640, scale: int = 1) -> Png:
    """An RGB picture as PNG in letters, for an ``<img>``; larger ones are reduced to ``largest`` pixels."""
    from PIL import Image

    image = Image.fromarray(picture)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    image.thumbnail((largest, largest))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    return Png(alt, image.width, base64.b64encode(stream.getvalue()).decode("ascii"))


def _ticks(top: float) -> list[int]:
    """Round numbers from 0 to ``top``, about five."""
    step = max(1, round(top / 5))
    magnitude = 10 ** (len(str(step)) - 1)
    step = max(1, step // magnitude * magnitude)
    return list(range(0, int(top) + 1, step))


def _time_axis(first: int, last: int, size: Size) -> tuple[Callable[[float], float], list[int]]:
    """Where a frame lies from left to right, and the frames that are named below."""
    span, room = max(last - first, 1), size.width - size.left - 12
    return lambda frame: size.left + (frame - first) / span * room, [tick + first for tick in _ticks(last - first)]


def line_chart(
    frames: Sequence[int], lines: Mapping[str, Sequence[float]], marks: Mapping[str, Sequence[float]], *, label: str
) -> Markup:
    """Lines over the frames, and below them marks where something happened.

    Parameters
    ----------
    lines : Mapping[str, Sequence[float]]
        Name → one value per frame.
    marks : Mapping[str, Sequence[float]]
        Name → one count per frame, drawn as ticks.
    """
    if not frames:
        return Markup()
    size = Size(height=220 + 18 * len(marks))
    floor = 220 - size.bottom
    top = max([1.0, *(float(max(values)) for values in lines.values() if len(values))])
    x, frame_ticks = _time_axis(frames[0], frames[-1], size)
    return draw(
        "line_chart",
        size=size,
        label=label,
        x=x,
        y=lambda value: floor - value / top * (floor - size.top),
        ticks=_ticks(top),
        frame_ticks=frame_ticks,
        frames=frames,
        lines=lines,
        marks=marks,
        floor=floor,
    )


def lineage_chart(
    tracks: Tracks,
    colours: Mapping[int, Colour],
    *,
    doubts: Mapping[int, Sequence[tuple[int, Colour]]] | None = None,
    most: int = 60,
) -> tuple[Markup, int]:
    """Lineages as trees over time: a line per track, a fork per division; ``doubts``: label → (frame, colour) on it.

    Returns the SVG, and how many tracks it shows: whole lineages, those with most tracks first, until
    ``most`` tracks are shown.
    """
    if len(tracks) == 0:
        return Markup(), 0
    roots = tracks.roots()
    sizes = Counter(roots.values())
    shown: set[int] = set()
    room = most
    for root in sorted(sizes, key=lambda root: (-sizes[root], root)):
        if shown and sizes[root] > room:
            break
        shown.add(root)
        room -= sizes[root]
    drawn = Tracks.from_rows(row for row in tracks.rows().tolist() if roots[row[0]] in shown)
    children, row = drawn.children(), tree_columns(drawn)
    span = {label: (begin, end) for label, begin, end, _ in drawn.rows().tolist()}
    size = Size(height=Size.top + 11 * (int(max(row.values())) + 1) + Size.bottom)
    x, frame_ticks = _time_axis(int(tracks.begin.min()), int(tracks.end.max()), size)
    lines = [
        (
            label,
            *span[label],
            css(colours.get(label, PLAIN)),
            [(child, span[child][0]) for child in children.get(label, [])],
            [(frame, css(colour)) for frame, colour in (doubts or {}).get(label, [])],
        )
        for label in row
    ]
    chart = draw(
        "lineage_chart",
        size=size,
        label="lineages over time",
        x=x,
        y=lambda label: size.top + 6 + 11 * row[label],
        frame_ticks=frame_ticks,
        tracks=lines,
    )
    return chart, len(row)


def bar_chart(rows: Mapping[str, Mapping[str, float]], *, label: str) -> Markup:
    """One stacked bar per row: name → part → size."""
    names = list(dict.fromkeys(part for row in rows.values() for part in row))
    top = max([1e-9, *(sum(row.values()) for row in rows.values())])
    size = Size(height=Size.top + 30 * len(rows), left=150)
    return draw("bar_chart", size=size, label=label, rows=rows, names=names, top=top, step=30)


def interval_chart(rows: Mapping[str, tuple[float, float | None, float | None]], *, label: str) -> Markup:
    """Differences with their intervals around zero: name → (value, low, high)."""
    widest = max([1e-9, *(abs(value) for row in rows.values() for value in row if value is not None)])
    reach = widest * 1.05
    size = Size(height=Size.top + 24 * len(rows) + Size.bottom - 10, left=150)
    return draw(
        "interval_chart",
        size=size,
        label=label,
        x=lambda value: size.left + (value / reach + 1) / 2 * (size.width - size.left - 20),
        rows=rows,
        ticks=(-widest, 0.0, widest),
        step=24,
    )
