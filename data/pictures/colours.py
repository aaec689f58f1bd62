"""Colours of tracks: safe for the colour-blind, different for neighbours and for sisters.

The palette is that of Okabe and Ito (2008) without black, its blue lightened so that it stands
out on dark images. The closest pair is 33 apart in CIE 1976 ΔE for normal sight, and at least 16
apart in simulated deuteranopia, protanopia and tritanopia (Machado et al. 2009).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.tracks import Tracks

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (230, 159, 0),  # orange
    (86, 180, 233),  # sky blue
    (0, 158, 115),  # bluish green
    (240, 228, 66),  # yellow
    (76, 125, 255),  # blue
    (213, 94, 0),  # vermilion
    (204, 121, 167),  # reddish purple
)
PLAIN: Colour = (255, 255, 255)  # a label that belongs to no track
# Certainty, from sure (blue) to surely wrong (red), over a yellow that stands out: blue and orange are told apart by
# anybody. Even steps of √(1 − p), so that .99 and .9 differ as .5 and .1 do.
CERTAINTY: tuple[Colour, ...] = ((76, 143, 214), (120, 170, 190), (230, 190, 60), (236, 130, 30), (214, 50, 20))
CERTAINTY_TICKS = (1.0, 0.99, 0.9, 0.5, 0.0)
SURE = 0.995  # from here on a cell has the colour of certainty itself
CERTAINTY_UNIT = "probability that the past is right"


def css(colour: Colour) -> str:
    """(red, green, blue) as ``#rrggbb``."""
    return "#{:02x}{:02x}{:02x}".format(*colour)


def certainty_place(probability: float) -> float:
    """Where a probability of being right lies in the colour bar, from 0 (sure) to 1 (surely wrong)."""
    return float(np.sqrt(np.clip(1 - probability, 0, 1)))


def certainty_colour(probability: float) -> Colour:
    """The colour of a probability of being right; white where it is not known."""
    return PLAIN if probability != probability else certainty_at(certainty_place(probability))


def certainty_at(place: float) -> Colour:
    """The colour at a place of the colour bar, from 0 to 1."""
    at = place * (len(CERTAINTY) - 1)
    low = min(int(at), len(CERTAINTY) - 2)
    (r0, g0, b0), (r1, g1, b1), part = CERTAINTY[low], CERTAINTY[low + 1], at - low
    return round(r0 + part * (r1 - r0)), round(g0 + part * (g1 - g0)), round(b0 + part * (b1 - b0))


def doubtful_cells(right: Mapping[tuple[int, int], float]) -> dict[int, list[tuple[int, Colour]]]:
    """Label → (frame, colour) of its cells whose past is not sure, from (frame, label) → probability of being right."""
    found: dict[int, list[tuple[int, Colour]]] = {}
    for (frame, label), value in sorted(right.items()):
        if value < SURE:
            found.setdefault(label, []).append((frame, certainty_colour(value)))
    return found


def colour_of_tracks(tracks: Tracks, neighbours: Iterable[tuple[int, int]] = ()) -> dict[int, Colour]:
    """A colour of `PALETTE` for every track, the same in every picture of one result.

    Greedy colouring in the order (begin, label): a track avoids the colours of its mother and its
    sisters, then those of its neighbours, then those used most. A continuation (the only child)
    keeps the colour of its parent.

    Parameters
    ----------
    tracks : Tracks
        Tracks neighbours : pairs of labels that lie beside each other in some frame, see `neighbours_in`.

    Returns
    -------
    dict
        label → (red, green, blue), 0 … 255.
    """
    children = tracks.children()
    near: dict[int, set[int]] = {}
    for a, b in neighbours:
        near.setdefault(a, set()).add(b)
        near.setdefault(b, set()).add(a)
    chosen: dict[int, int] = {}
    used = np.zeros(len(PALETTE))
    for row in np.lexsort((tracks.label, tracks.begin)).tolist():
        label, parent = int(tracks.label[row]), int(tracks.parent[row])
        sisters = children.get(parent, []) if parent else []
        if len(sisters) == 1 and parent in chosen:
            chosen[label] = chosen[parent]
            continue
        penalty = used / (used.sum() + 1)
        for kin in (parent, *sisters):
            if kin in chosen:
                penalty[chosen[kin]] += 1000
        for neighbour in near.get(label, ()):
            if neighbour in chosen:
                penalty[chosen[neighbour]] += 1
        chosen[label] = int(np.argmin(penalty))
        used[chosen[label]] += 1
    return {label: PALETTE[index] for label, index in chosen.items()}


def neighbours_in(masks: Mapping[int, NDArray[Any]], *, samples: int = 12) -> set[tuple[int, int]]:
    """Pairs of labels (smaller first) that lie beside each other, in up to ``samples`` frames spread over the movie.

    Two cells are neighbours when their centres are closer than three times the movie's median radius.
    """
    from scipy.spatial import cKDTree

    frames = sorted(masks)
    picked = sorted({frames[i] for i in np.linspace(0, len(frames) - 1, samples).astype(int)}) if frames else []
    pairs: set[tuple[int, int]] = set()
    for frame in picked:
        labels = masks[frame]
        coordinates = np.nonzero(labels)
        values, index = np.unique(labels[coordinates], return_inverse=True)
        if len(values) < 2:
            continue
        area = np.bincount(index)
        centres = np.stack([np.bincount(index, axis) / area for axis in coordinates], axis=1)
        radius = float(np.median(area)) ** (1 / labels.ndim) / (1.77 if labels.ndim == 2 else 1.61)
        found = cKDTree(centres).query_pairs(3 * radius, output_type="ndarray")
        pairs |= {(int(a), int(b)) for a, b in np.sort(values[found].astype(np.int64), axis=1).tolist()}
    return pairs
