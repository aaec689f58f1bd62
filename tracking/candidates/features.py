"""Scale-free features of candidate links and divisions.

Every feature is a ratio, a share, or a distance in cell diameters, so that it means the same in
every movie, in 2D and 3D. Features that need images are 0 where there are none.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from celltrail.data.columns import ranges, take
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.candidates.links import LinkTable, mother_size, shift_until, typical_diameter
from celltrail.tracking.measuring.table import DetectionTable

Features = dict[str, FloatArray]

CLIP = 8.0  # no single feature says more than this many units
HISTORY = 3  # frames before a division that say what is usual for the mother
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


def best_rival(
    table: DetectionTable, group: IntArray, other_end: IntArray, value: FloatArray, default: float, aside: BoolArray
) -> FloatArray:
    """As `best_other`, but what excludes each other is no rival; nor are other readings of masks rivals of plain masks.

    Parameters
    ----------
    aside : BoolArray
        bool (m,), rows that begin or end in another reading of a mask.
    """
    best = np.full(len(group), default)
    best[~aside] = best_other(group[~aside], value[~aside], default)
    # only groups in which there is a choice need a look at every pair
    tied = ~aside & np.isin(other_end, _tied(table))
    for asked, over in ((tied, ~aside), (aside, np.ones(len(group), dtype=np.bool_))):
        if asked.any():
            rows = np.flatnonzero(over & np.isin(group, group[asked]))
            found = _best_compatible(table, group[rows], other_end[rows], value[rows], default)
            known = aside[rows] == aside[asked].any()
            best[rows[known]] = found[known]
    return best


def _tied(table: DetectionTable) -> IntArray:
    """The rows that exclude each other, other readings of masks not counted."""
    plain = ~table.beside[table.clique_row]
    ids = table.clique_id[plain]
    return table.clique_row[plain][np.bincount(ids, minlength=1)[ids] > 1] if len(ids) else ids


def _best_compatible(
    table: DetectionTable, group: IntArray, other_end: IntArray, value: FloatArray, default: float
) -> FloatArray:
    """For each row the least value among the rows of its group whose other end may be used together with its own."""
    order = np.argsort(group, kind="stable")
    begin = np.searchsorted(group[order], group, side="left")
    size = np.searchsorted(group[order], group, side="right") - begin
    row, place = ranges(begin, size)
    rival = order[place]
    real = (other_end[row] != other_end[rival]) & ~table.exclude_each_other(other_end[row], other_end[rival])
    best = np.full(len(group), default)
    np.minimum.at(best, row[real], value[rival[real]])
    return best


@dataclass(frozen=True)
class Usual:
    """What is usual in a movie: taken once from all of it, so that features can be made piece by piece.

    Attributes
    ----------
    diameter : float
        Of a typical cell;
    step : float
        How far cells move in a frame, drift removed (both in the voxel's x).
    area, compactness : FloatArray
        float64 (n,), of each cell over the up to three frames before, its own where there are none.
    after : IntArray
        int64 (n,), the cell of the next frame that each is most alike, both ways; −1: none.
    last : int
        The last frame.
    """

    diameter: float
    step: float
    area: FloatArray
    compactness: FloatArray
    after: IntArray
    last: int

    def between(self, begin: int, end: int) -> Usual:
        """The same for the rows ``begin`` to ``end`` (not included) of the movie."""
        after = self.after[begin:end]
        return replace(
            self,
            area=self.area[begin:end],
            compactness=self.compactness[begin:end],
            after=np.where(after < end, after - begin, -1).clip(-1),
        )


def what_is_usual(table: DetectionTable, links: LinkTable) -> Usual:
    """What the candidate links of a whole movie say about it."""
    beside = table.beside
    plain = take(links, ~(beside[links.source] | beside[links.target])) if beside.any() else links
    before, after = steady_steps(table, plain)
    if beside.any():
        its_before, its_after = steady_steps(table, links)
        before[beside], after[beside] = its_before[beside], its_after[beside]
    return Usual(
        diameter=typical_diameter(table),
        step=usual_step(table, plain),
        area=np.exp(before_now(np.log(table.area.astype(np.float64)), before)),
        compactness=before_now(table.compactness, before),
        after=after,
        last=int(table.frame.max(initial=0)),
    )


def link_features(table: DetectionTable, links: LinkTable, usual: Usual) -> Features:
    """Features of candidate links; name → float64 (m,), clipped at ±8."""
    u, v = links.source, links.target
    size = np.sqrt(table.diameter[u] * table.diameter[v])
    d, overlap = links.distance / usual.diameter, links.overlap(table)
    far = 4.0
    key_u, key_v, aside = links.key(u), links.key(v), table.beside[u] | table.beside[v]
    ahead, back = best_rival(table, key_u, v, d, far, aside), best_rival(table, key_v, u, d, far, aside)
    over_ahead = -best_rival(table, key_u, v, -overlap, 0.0, aside)
    over_back = -best_rival(table, key_v, u, -overlap, 0.0, aside)
    area = table.area.astype(np.float64)
    features = {
        "distance": links.distance / size,
        "unusual_step": np.log1p(links.distance / usual.step),
        "nearer_than_next_target": np.log((d + SOFTEN) / (ahead + SOFTEN)),
        "nearer_than_next_source": np.log((d + SOFTEN) / (back + SOFTEN)),
        "overlap": overlap,
        "overlaps_more_than_next_target": overlap - over_ahead,
        "overlaps_more_than_next_source": overlap - over_back,
        "area_change": np.abs(np.log(area[v] / area[u])),
        "compactness_change": np.abs(table.compactness[v] - table.compactness[u]),
        "elongation_change": np.abs(np.log(table.elongation[v] / table.elongation[u])),
        "brightness_change": np.abs(table.brightness[v] - table.brightness[u]),
        "texture_change": np.abs(table.texture[v] - table.texture[u]),
    }
    return _clean(features)


def usual_step(table: DetectionTable, links: LinkTable) -> float:
    """How far cells of this movie move in a frame, drift removed: 75 % of the mutual nearest pairs move less."""
    smallest = 0.02 * typical_diameter(table)
    near = np.flatnonzero(links.span == 1)
    u, v, d = links.source[near], links.target[near], links.distance[near]
    ahead, back = best_other(u, d, np.inf), best_other(v, d, np.inf)
    steps = d[(d < ahead) & (d < back)]
    return max(float(np.percentile(steps, 75)), smallest) if len(steps) else typical_diameter(table)


def steady_steps(table: DetectionTable, links: LinkTable) -> tuple[IntArray, IntArray]:
    """For each detection the one before and the one after that it is most alike, both ways; −1: none.

    Alike: largest overlap, then smallest distance, among candidates in adjacent frames.
    """
    row = np.flatnonzero(links.span == 1)
    u, v = links.source[row], links.target[row]
    worth = links.distance[row] / typical_diameter(table) - 4 * links.overlap(table)[row]
    best_of_u, best_of_v = (_best(group, worth, len(table)) for group in (u, v))
    before, after = np.full(len(table), -1), np.full(len(table), -1)
    mutual = row[(best_of_u[u] == np.arange(len(row))) & (best_of_v[v] == np.arange(len(row)))]
    after[links.source[mutual]] = links.target[mutual]
    before[links.target[mutual]] = links.source[mutual]
    return before, after


def _best(group: IntArray, worth: FloatArray, n: int) -> IntArray:
    """For each group 0…n−1 the row with the smallest worth; −1: none."""
    best = np.full(n, -1)
    order = np.lexsort((worth, group))[::-1]
    best[group[order]] = order
    return best


def before_now(values: FloatArray, before: IntArray) -> FloatArray:
    """Each detection's mean value over the up to three frames before; its own where there are none."""
    total, count, at = np.zeros(len(values)), np.zeros(len(values)), before
    for _ in range(HISTORY):
        known = at >= 0
        total[known] += values[at[known]]
        count[known] += 1
        at = np.where(known, before[at], -1)
    return np.where(count > 0, total / np.maximum(count, 1), values)


def division_features(
    table: DetectionTable, links: LinkTable, first: IntArray, second: IntArray, of_links: Features, usual: Usual
) -> Features:
    """Features of candidate divisions, given as pairs of links; name → float64 (d,), clipped at ±8."""
    u, v, w = links.source[first], links.target[first], links.target[second]
    place, area = table.place, table.area.astype(np.float64)
    size = mother_size(table, usual.diameter)[u]
    expected = place[u] + shift_until(table, links, first) * table.scale
    to_v, to_w = place[v] - expected, place[w] - expected
    length_v, length_w = np.linalg.norm(to_v, axis=1), np.linalg.norm(to_w, axis=1)
    cosine = np.sum(to_v * to_w, axis=1) / np.maximum(length_v * length_w, 1e-9)
    cover_v, cover_w = links.shared[first] / area[v], links.shared[second] / area[w]
    separation = np.linalg.norm(to_v - to_w, axis=1) / size
    after = usual.after
    both_go_on = (after[v] >= 0) & (after[w] >= 0)
    later = np.linalg.norm(place[after[v]] - place[after[w]], axis=1) / size
    nearer, more = of_links["nearer_than_next_source"], of_links["overlaps_more_than_next_source"]
    brightness, texture = table.brightness, table.texture
    features = {
        "midpoint": np.linalg.norm((to_v + to_w) / 2, axis=1) / size,
        "separation": separation,
        "separation_off": np.abs(np.log(np.maximum(separation, 0.1))),
        "near_daughter": np.minimum(length_v, length_w) / size,
        "far_daughter": np.maximum(length_v, length_w) / size,
        "opposite": -cosine,
        "covered_more": np.maximum(cover_v, cover_w),
        "covered_less": np.minimum(cover_v, cover_w),
        "daughters_to_mother": np.log((area[v] + area[w]) / area[u]),
        "daughters_to_mother_off": np.abs(np.log((area[v] + area[w]) / area[u])),
        "daughters_to_usual": np.log((area[v] + area[w]) / usual.area[u]),
        "small_daughter": np.log(np.minimum(area[v], area[w]) / usual.area[u]),
        "large_daughter": np.log(np.maximum(area[v], area[w]) / usual.area[u]),
        "asymmetry": np.abs(np.log(area[v] / area[w])),
        "mother_size": np.log(table.diameter[u] / usual.diameter),
        "mother_shrinks": np.log(area[u] / usual.area[u]),
        "mother_rounds": table.compactness[u] - usual.compactness[u],
        "mother_brightness": brightness[u],
        "mother_texture": texture[u],
        "daughters_alike": np.abs(brightness[v] - brightness[w]),
        "daughters_texture_alike": np.abs(texture[v] - texture[w]),
        "less_wanted_elsewhere": np.minimum(nearer[first], nearer[second]),
        "more_wanted_elsewhere": np.maximum(nearer[first], nearer[second]),
        "less_covered_elsewhere": np.maximum(more[first], more[second]),
        "more_covered_elsewhere": np.minimum(more[first], more[second]),
        "apart_later": np.where(both_go_on, later - separation, 0.0),
        "one_does_not_go_on": (~both_go_on & (table.frame[v] < usual.last)).astype(np.float64),
    }
    return _clean(features)


def _clean(features: Features) -> Features:
    return {
        name: np.clip(np.nan_to_num(value, nan=0.0, posinf=CLIP, neginf=-CLIP), -CLIP, CLIP)
        for name, value in features.items()
    }
