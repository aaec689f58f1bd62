"""Divisions of which one daughter is outside the image: a mother at the side, and one small cell further inside.

The daughter that nobody can see is taken to be the mirror image of her sister in the place to which drift takes
the mother. Where that image lies outside, a link from the mother to the seen daughter may be such a division. It
has the same rows as the link, so the link carries the lower of both costs, and a term that says which one it is.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from celltrail.data.columns import take
from celltrail.data.types import FloatArray, IntArray
from celltrail.tracking.candidates.features import Features, division_features
from celltrail.tracking.candidates.links import DAUGHTER_RADIUS, WITH_ONE_DAUGHTER, LinkTable, mother_size
from celltrail.tracking.candidates.parts import Part
from celltrail.tracking.measuring.table import PER_ROW, DetectionTable

# Features that are what they are only because the sister is taken to be a mirror image.
ASSUMED = (
    "midpoint",
    "opposite",
    "asymmetry",
    "daughters_alike",
    "daughters_texture_alike",
    "apart_later",
)


def mirror_images(table: DetectionTable, links: LinkTable, rows: IntArray) -> FloatArray:
    """Centres of the targets of some links, mirrored in where drift takes their sources; float64 (k, 3), in voxels."""
    source, target = links.source[rows], links.target[rows]
    expected = table.position[source] + table.shift[1][source]
    return np.asarray(2 * expected - table.position[target])


def find_lone_daughters(part: Part) -> IntArray:
    """The links of a part that may be divisions with one daughter outside the image, int64 (k,), rows of its links.

    The daughter is in the next frame, near enough to the mother to be hers, and clearly smaller than she, who
    else has only moved; she is seen whole, else she may be the mother on her way out of the image. The centre of
    her mirror image, and so most of it, is outside.
    """
    table, links = part.table, part.links
    reach = DAUGHTER_RADIUS * mother_size(table, part.usual.diameter)
    small = table.area[links.target] <= WITH_ONE_DAUGHTER * table.area[links.source]
    hers = (links.span == 1) & small & (links.distance <= reach[links.source]) & (table.border[links.target] > 0)
    rows = np.flatnonzero(hers)
    centre = mirror_images(table, links, rows)[:, 3 - table.ndim :]
    outside = (centre < -0.5) | (centre > np.array(table.shape) - 0.5)
    return rows[outside.any(axis=1)]


def lone_daughter_features(part: Part, rows: IntArray) -> Features:
    """Features of divisions into the targets of some links and their mirror images; name → float64 (k,).

    See `celltrail.tracking.candidates.features.division_features`. The sister is like the daughter that is seen in all but her
    place; features that are what they are only because this is assumed are left out, so that they say nothing.
    """
    table, links, k = part.table, part.links, len(rows)
    daughter, n = links.target[rows], len(table)
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(table, name), getattr(table, name)[daughter]]) for name in PER_ROW
    }
    columns["position"][n:] = mirror_images(table, links, rows)
    both = replace(table, **columns)
    sister = n + np.arange(k)
    pair = replace(take(links, np.tile(rows, 2)), target=np.concatenate([daughter, sister]))
    of_links = {name: np.tile(value[rows], 2) for name, value in part.link_features.items()}
    here = np.arange(k)
    usual = replace(part.usual, after=np.append(part.usual.after, part.usual.after[daughter]))
    features = division_features(both, pair, here, here + k, of_links, usual)
    return {name: value for name, value in features.items() if name not in ASSUMED}
