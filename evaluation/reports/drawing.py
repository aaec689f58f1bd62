"""Small charts as SVG and pictures as inline PNG, for pages that need no network."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks
from celltrail.data.pictures.colours import PLAIN, Colour
from celltrail.data.pictures.lineage_tree import tree_columns

WIDTH, HEIGHT, LEFT, BOTTOM, TOP = 760, 220, 46, 34, 12


def css_colour(colour: Colour) -> str:
    """(red, green, blue) as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def inline_png(picture: NDArray[np.uint8], *, alt: str, largest: int = 640, scale: int = 1) -> str:
    """An RGB picture as an ``<img>`` that holds its own data; larger ones are reduced to ``largest`` pixels."""
    from PIL import Image

    image = Image.fromarray(picture)
    if scale > 1:
        image = image.resize((image.width * scale, image.height * scale), Image.Resampling.NEAREST)
    image.thumbnail((largest, largest))
    stream = io.BytesIO()
    image.save(stream, format="PNG", optimize=True)
    data = base64.b64encode(stream.getvalue()).decode("ascii")
    return f'<img alt="{escape(alt)}" width="{image.width}" src="data:image/png;base64,{data}">'


def _ticks(top: float) -> list[int]:
    """Round numbers from 0 to ``top``, about five."""
    step = max(1, round(top / 5))
    magnitude = 10 ** (len(str(step)) - 1)
    step = max(1, step // magnitude * magnitude)
    return list(range(0, int(top) + 1, step))


def _frame_axis(first: int, last: int, x: Any, height: float) -> list[str]:
    marks = [tick + first for tick in _ticks(last - first)]
    parts = [f'<text x="{x(mark):.1f}" y="{height - BOTTOM + 15}" text-anchor="middle">{mark}</text>' for mark in marks]
    return [*parts, f'<text x="{WIDTH / 2}" y="{height - 3}" text-anchor="middle">frame</text>']


def line_chart(
    frames: Sequence[int], lines: Mapping[str, Sequence[float]], marks: Mapping[str, Sequence[float]], *, label: str
) -> str:
    """Lines over the frames, and below them marks where something happened.

    Parameters
    ----------
    lines : Mapping[str, Sequence[float]]
        Name → one value per frame.
    marks : Mapping[str, Sequence[float]]
        Name → one count per frame, drawn as ticks.
    """
    if not frames:
        return ""
    height = HEIGHT + 18 * len(marks)
    floor = HEIGHT - BOTTOM
    top = max([1.0, *(float(max(values)) for values in lines.values() if len(values))])
    span = max(frames[-1] - frames[0], 1)

    def x(frame: float) -> float:
        return LEFT + (frame - frames[0]) / span * (WIDTH - LEFT - 12)

    def y(value: float) -> float:
        return floor - value / top * (floor - TOP)

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    for tick in _ticks(top):
        parts.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - 12}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y(tick) + 4:.1f}" text-anchor="end">{tick}</text>')
    for number, (name, values) in enumerate(lines.items()):
        points = " ".join(f"{x(frame):.1f},{y(value):.1f}" for frame, value in zip(frames, values, strict=True))
        parts.append(f'<polyline class="line s{number}" points="{points}"><title>{escape(name)}</title></polyline>')
    for number, (name, values) in enumerate(marks.items()):
        base = floor + 8 + 18 * number
        for frame, value in zip(frames, values, strict=True):
            if value:
                parts.append(
                    f'<line class="mark s{number}" x1="{x(frame):.1f}" x2="{x(frame):.1f}" y1="{base}" '
                    f'y2="{base + 13}" stroke-width="{1.5 + value:.1f}">'
                    f"<title>{escape(name)}: {value:g} in frame {frame}</title></line>"
                )
    parts += _frame_axis(frames[0], frames[-1], x, height)
    return "".join([*parts, "</svg>", legend([*lines])])


def legend(names: Sequence[str]) -> str:
    """The names of the lines in their colours."""
    keys = [f'<span class="key s{number}">{escape(name)}</span>' for number, name in enumerate(names)]
    return f'<p class="legend">{"".join(keys)}</p>'


def lineage_chart(tracks: Tracks, colours: Mapping[int, Colour], *, most: int = 60) -> tuple[str, int]:
    """Lineages as trees over time: a line per track, a fork per division.

    Returns the SVG, and how many tracks it shows: whole lineages, those with most tracks first, until
    ``most`` tracks are shown.
    """
    if len(tracks) == 0:
        return "", 0
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
    first, last = int(tracks.begin.min()), int(tracks.end.max())
    height = TOP + 11 * (int(max(row.values())) + 1) + BOTTOM

    def x(frame: float) -> float:
        return LEFT + (frame - first) / max(last - first, 1) * (WIDTH - LEFT - 12)

    def y(label: int) -> float:
        return TOP + 6 + 11 * row[label]

    parts = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="lineages over time">']
    for label in row:
        begin, end = span[label]
        colour = css_colour(colours.get(label, PLAIN))
        for child in children.get(label, []):
            parts.append(
                f'<path class="fork" d="M{x(end):.1f} {y(label):.1f} L{x(span[child][0]):.1f} {y(child):.1f}"/>'
            )
        parts.append(
            f'<line x1="{x(begin):.1f}" x2="{x(end) + 1:.1f}" y1="{y(label):.1f}" y2="{y(label):.1f}" '
            f'stroke="{colour}" stroke-width="4"><title>track {label}: frames {begin} to {end}</title></line>'
        )
    parts += _frame_axis(first, last, x, height)
    return "".join([*parts, "</svg>"]), len(row)


def bar_chart(rows: Mapping[str, Mapping[str, float]], *, label: str) -> str:
    """One stacked bar per row: name → part → size."""
    parts_of = list(dict.fromkeys(part for row in rows.values() for part in row))
    top = max([1e-9, *(sum(row.values()) for row in rows.values())])
    left, step = 150, 30
    height = TOP + step * len(rows)
    drawn = [f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">']
    for number, (name, row) in enumerate(rows.items()):
        y = TOP + step * number
        drawn.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        x = float(left)
        for part, size in row.items():
            width = size / top * (WIDTH - left - 70)
            drawn.append(
                f'<rect class="bar s{parts_of.index(part)}" x="{x:.1f}" y="{y}" width="{width:.1f}" height="20">'
                f"<title>{escape(part)}: {size:g}</title></rect>"
            )
            x += width
        drawn.append(f'<text x="{x + 6:.1f}" y="{y + 15}">{sum(row.values()):g}</text>')
    return "".join([*drawn, "</svg>", legend(parts_of)])


def interval_chart(rows: Mapping[str, tuple[float, float | None, float | None]], *, label: str) -> str:
    """Differences with their intervals around zero: name → (value, low, high)."""
    ends = [abs(x) for row in rows.values() for x in row if x is not None]
    reach = max([1e-9, *ends]) * 1.05
    left, step = 150, 24
    height = TOP + step * len(rows) + BOTTOM - 10

    def x(value: float) -> float:
        return left + (value / reach + 1) / 2 * (WIDTH - left - 20)

    drawn = [
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(label)}">',
        f'<line class="zero" x1="{x(0):.1f}" x2="{x(0):.1f}" y1="{TOP}" y2="{height - BOTTOM + 10}"/>',
    ]
    for number, (name, (value, low, high)) in enumerate(rows.items()):
        y = TOP + step * number + 12
        drawn.append(f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(name)}</text>')
        if low is not None and high is not None:
            drawn.append(
                f'<line class="mark s0" x1="{x(low):.1f}" x2="{x(high):.1f}" y1="{y}" y2="{y}" stroke-width="3">'
                f"<title>{escape(name)}: {value:+.4f} ({low:+.4f} to {high:+.4f})</title></line>"
            )
        drawn.append(f'<circle class="bar s0" cx="{x(value):.1f}" cy="{y}" r="4.5"/>')
    for value in (-reach / 1.05, 0.0, reach / 1.05):
        drawn.append(f'<text x="{x(value):.1f}" y="{height - 6}" text-anchor="middle">{value:+.3f}</text>')
    return "".join([*drawn, "</svg>"])
