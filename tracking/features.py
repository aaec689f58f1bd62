"""Scale-free features of candidate links and divisions.

Every feature is a ratio, a share, or a distance in cell diameters, so that it means the same in
every movie, in 2D and 3D. Features that need images are 0 where there are none.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from tracking.candidates import LinkTable, typical_diameter
from tracking.detections import DetectionTable

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
Features = dict[str, FloatArray]

CLIP = 8.0  # no single feature says more than this many units
SOFTEN = 0.05  # diameters added to distances before their ratio is taken


def best_other(group: IntArray, value: FloatArray, default: float) -> FloatArray:
    """For each row, the smallest ``value`` among the other rows of its group (``default``: none)."""
    order = np.lexsort((value, group))
    first = np.ones(len(group), dtype=bool)
    first[1:] = group[order][1:] != group[order][:-1]
    head = np.maximum.accumulate(np.where(first, np.arange(len(group)), 0))
    sorted_value = value[order]
    has_second = np.zeros(len(group), dtype=bool)
    has_second[:-1] = ~first[1:]
    second = np.where(has_second[head], sorted_value[np.minimum(head + 1, len(group) - 1)], default)
    other = np.empty(len(group))
    other[order] = np.where(first, second, sorted_value[head])
    return other


def link_features(table: DetectionTable, links: LinkTable) -> Features:
    """Features of candidate links; name → float64 (m,), clipped at ±8."""
    if not len(links):
        return {}
    unit = typical_diameter(table)
    u, v = links.source, links.target
    size = np.sqrt(table.diameter[u] * table.diameter[v])
    d = links.distance / unit
    far = 4.0
    key_u, key_v = u * (links.span.max() + 1) + links.span, v * (links.span.max() + 1) + links.span
    ahead, back = best_other(key_u, d, far), best_other(key_v, d, far)
    over_ahead, over_back = -best_other(key_u, -links.overlap, 0.0), -best_other(key_v, -links.overlap, 0.0)
    area = table.area.astype(np.float64)
    features = {
        "distance": links.distance / size,
        "nearer_than_next_target": np.log((d + SOFTEN) / (ahead + SOFTEN)),
        "nearer_than_next_source": np.log((d + SOFTEN) / (back + SOFTEN)),
        "overlap": links.overlap,
        "overlaps_more_than_next_target": links.overlap - over_ahead,
        "overlaps_more_than_next_source": links.overlap - over_back,
        "area_change": np.abs(np.log(area[v] / area[u])),
        "compactness_change": np.abs(table.compactness[v] - table.compactness[u]),
        "elongation_change": np.abs(np.log(table.elongation[v] / table.elongation[u])),
        "brightness_change": np.abs(table.brightness[v] - table.brightness[u]),
        "texture_change": np.abs(table.texture[v] - table.texture[u]),
    }
    return _clean(features)


def division_features(table: DetectionTable, links: LinkTable, first: IntArray, second: IntArray) -> Features:
    """Features of candidate divisions, given as pairs of links; name → float64 (d,), clipped at ±8."""
    u, v, w = links.source[first], links.target[first], links.target[second]
    place, area = table.place, table.area.astype(np.float64)
    size = np.maximum(table.diameter[u], 0.5 * typical_diameter(table))
    expected = place[u] + table.shift[1][u] * table.scale
    to_v, to_w = place[v] - expected, place[w] - expected
    length_v, length_w = np.linalg.norm(to_v, axis=1), np.linalg.norm(to_w, axis=1)
    cosine = np.sum(to_v * to_w, axis=1) / np.maximum(length_v * length_w, 1e-9)
    cover_v, cover_w = links.cover_target[first], links.cover_target[second]
    features = {
        "midpoint": np.linalg.norm((to_v + to_w) / 2, axis=1) / size,
        "separation": np.linalg.norm(to_v - to_w, axis=1) / size,
        "near_daughter": np.minimum(length_v, length_w) / size,
        "far_daughter": np.maximum(length_v, length_w) / size,
        "opposite": -cosine,
        "covered_more": np.maximum(cover_v, cover_w),
        "covered_less": np.minimum(cover_v, cover_w),
        "daughters_to_mother": np.log((area[v] + area[w]) / area[u]),
        "small_daughter": np.log(np.minimum(area[v], area[w]) / area[u]),
        "large_daughter": np.log(np.maximum(area[v], area[w]) / area[u]),
        "asymmetry": np.abs(np.log(area[v] / area[w])),
        "mother_compactness": table.compactness[u],
        "daughter_compactness": np.minimum(table.compactness[v], table.compactness[w]),
        "mother_elongation": np.log(table.elongation[u]),
        "daughter_elongation": np.log(np.minimum(table.elongation[v], table.elongation[w])),
        "mother_size": np.log(table.diameter[u] / typical_diameter(table)),
        "daughters_alike": np.abs(table.brightness[v] - table.brightness[w]),
        "daughters_brighter": (table.brightness[v] + table.brightness[w]) / 2 - table.brightness[u],
        "mother_brightness": table.brightness[u],
        "mother_texture": table.texture[u],
    }
    return _clean(features)


def _clean(features: Features) -> Features:
    return {
        name: np.clip(np.nan_to_num(value, nan=0.0, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)
        for name, value in features.items()
    }
