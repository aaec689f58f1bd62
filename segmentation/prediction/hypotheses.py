"""Hypotheses from maps: the same regions cut at different depths, each with a score.

The map of heights (the relative distance to the edge, or the probability) is flooded from all its
peaks. Basins that meet at a high saddle may be one cell or two: joining them in the order of their
saddles gives a tree of nested candidates, from single basins to the whole connected region. Each is
taken in a normal outline, and in a narrower or wider one where that makes a difference.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial import ConvexHull
from skimage.measure import label as components_of
from skimage.segmentation import watershed

from celltrail.data.files.hypotheses import Hypotheses, pack_hypotheses, paint
from celltrail.data.types import Float32Array
from celltrail.segmentation.net.instance_settings import InstanceSettings
from celltrail.segmentation.prediction.contrast import highest
from celltrail.segmentation.prediction.instances import find_instances, remove_small
from celltrail.segmentation.prediction.tiles import Prediction

PROMINENCE = 0.03  # a peak lower than this above its saddles is noise
SADDLE = 0.1  # basins that meet lower than this are never one cell
OUTLINES = (0.0, -0.25, 0.25)  # normal, wider and narrower: change of the threshold
UNUSUAL = 4.0  # log-odds that a change of the threshold by 1 costs
CUT = 0.25  # of the usual size that is left of a cell where the image cuts it, at least
LARGEST = 12.0  # basins are not joined to more than this many times the area of the usual one
DIFFERENT = 0.07  # an outline is worth a candidate of its own if it changes the area by this part


@dataclass
class Node:
    """A candidate in the tree.

    Attributes
    ----------
    leaves : tuple[int, ...]
        Basins it consists of.
    children : tuple[int, ...]
        The two nodes it was joined from.
    joined : float
        Saddle at which they met (its peak, for a single basin).
    parted : float
        Saddle at which it meets its neighbour (0: it has none).
    """

    leaves: tuple[int, ...]
    children: tuple[int, ...]
    joined: float
    parted: float = 0.0
    parent: int = -1


def label_cells(prediction: Prediction, settings: InstanceSettings) -> NDArray[np.int32]:
    """Label image of the cells in the maps of a frame, by the method of the settings."""
    if settings.method != "tree":
        return find_instances(prediction.probability, prediction.distance, settings)
    candidates = find_hypotheses(prediction, settings)
    return paint(candidates.hypotheses, candidates.best)


@dataclass(frozen=True)
class FoundHypotheses:
    """Candidates of one frame, and the rows of the best disjoint choice among them: label i + 1 is row ``best[i]``."""

    hypotheses: Hypotheses
    best: list[int]


def find_hypotheses(prediction: Prediction, settings: InstanceSettings, usual: float | None = None) -> FoundHypotheses:
    """Candidates for the cells of a frame.

    Rows of one region follow each other, wholes before their parts.

    Parameters
    ----------
    prediction : Prediction
        Maps (Y, X) or (Z, Y, X).
    settings : InstanceSettings
        Thresholds of the model.
    usual : float | None
        Pixels of the usual cell; ``None``: the median of what is found.
    """
    height = prediction.probability if prediction.distance is None else prediction.distance
    basins = flood(height, prediction.probability >= max(settings.threshold + min(OUTLINES), 0.05), settings)
    areas = np.bincount(basins.ravel())[1:]
    typical = usual or (float(np.median(areas)) if len(areas) else 0.0)
    nodes = join_basins(basins, height, LARGEST * typical)
    boxes = ndimage.find_objects(basins)
    region_of = regions(nodes)
    rows: list[tuple[tuple[slice, ...], NDArray[np.bool_], float, int, int]] = []
    rows_of: dict[int, list[int]] = {}
    for index in sorted(range(len(nodes)), key=lambda i: (region_of[i], -i)):
        node = nodes[index]
        box = join_boxes([boxes[leaf - 1] for leaf in node.leaves])
        whole, probability = np.isin(basins[box], node.leaves), prediction.probability[box]
        parent = rows_of[node.parent][0] if node.parent in rows_of else -1
        score = None
        for change, mask in outlines(whole, probability, settings):
            if score is None:
                # Where the usual size is given, a cell that is cut by the image may be smaller.
                size = typical
                if usual and _is_cut(box, basins.shape):
                    size = min(typical, max(float(np.count_nonzero(mask)), CUT * typical))
                score = score_of(features(node, nodes, probability, mask, size), settings.score)
            rows_of.setdefault(index, []).append(len(rows))
            rows.append((box, mask, score - UNUSUAL * abs(change), parent, region_of[index]))
    columns: list[Any] = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(5)]
    hypotheses = pack_hypotheses(basins.shape, *columns, gap=settings.grow)
    return FoundHypotheses(hypotheses, choose_best(nodes, rows_of, hypotheses))


def _is_cut(box: tuple[slice, ...], shape: tuple[int, ...]) -> bool:
    """Whether a box ends where the image does."""
    return any(side.start == 0 or side.stop == length for side, length in zip(box, shape, strict=True))


def outlines(
    whole: NDArray[np.bool_], probability: Float32Array, settings: InstanceSettings
) -> Iterator[tuple[float, NDArray[np.bool_]]]:
    """The change of the threshold and the mask: the normal outline, then others where they differ enough."""
    areas: list[int] = []
    for change in OUTLINES:
        mask = largest_piece(whole & (probability >= settings.threshold + change))
        area = int(np.count_nonzero(mask))
        if area >= max(settings.min_size, 1) and all(abs(area - other) > DIFFERENT * other for other in areas):
            areas.append(area)
            yield change, mask


def flood(height: Float32Array, foreground: NDArray[np.bool_], settings: InstanceSettings) -> NDArray[np.int32]:
    """Basins of all peaks that stand out by `PROMINENCE`, over the widest foreground."""
    smooth = ndimage.gaussian_filter(height, settings.grow)
    inside = np.where(foreground, smooth, 0)
    peaks = ndimage.label(foreground & (inside >= ndimage.maximum_filter(inside, 3)), np.ones((3,) * inside.ndim))[0]
    basins = join_shallow(watershed(-smooth, markers=peaks, mask=foreground), smooth)
    return remove_small(basins, max(settings.min_size // 4, 1)).astype(np.int32)


def join_shallow(basins: NDArray[np.int32], height: Float32Array) -> NDArray[np.int32]:
    """Basins numbered 1 … n anew; one whose peak is less than `PROMINENCE` above its pass to a higher one belongs beyond it."""
    count = int(basins.max(initial=0))
    peak = highest(height, basins)
    into, summit = (
        list(range(count + 1)),
        list(range(count + 1)),
    )  # of each basin; the highest that it is connected with

    def root(table: list[int], index: int) -> int:
        while table[index] != index:
            table[index] = table[table[index]]
            index = table[index]
        return index

    for saddle, a, b in saddles(basins, height, corners=True):
        low, high = root(summit, a), root(summit, b)
        if low == high:
            continue
        beyond = b
        if peak[low] > peak[high]:
            low, high, beyond = high, low, a
        if peak[low] - saddle < PROMINENCE:
            into[root(into, low)] = root(into, beyond)
        summit[low] = high
    roots = np.array([root(into, index) if peak[root(into, index)] >= PROMINENCE else 0 for index in range(count + 1)])
    renumbered = np.unique(np.concatenate([[0], roots]), return_inverse=True)[1][1:].astype(np.int32)
    joined: NDArray[np.int32] = renumbered[basins]
    return joined


def join_basins(basins: NDArray[np.int32], height: Float32Array, largest: float = np.inf) -> list[Node]:
    """The tree of joins: first one node per basin (node i is basin i + 1), then joins by falling saddle.

    Nothing is joined to more than ``largest`` pixels, so that a dense layer of cells stays many small trees.
    """
    count = int(basins.max(initial=0))
    peak = highest(height, basins)
    nodes = [Node((leaf + 1,), (), float(peak[leaf + 1])) for leaf in range(count)]
    area = np.bincount(basins.ravel(), minlength=count + 1)[1:].tolist()  # of each node
    top = list(range(count))  # root node of the tree that each basin is in
    for saddle, a, b in saddles(basins, height):
        if saddle < SADDLE:
            break
        first, second = top[a - 1], top[b - 1]
        if first == second or area[first] + area[second] > largest:
            continue
        joined = Node(tuple(sorted(nodes[first].leaves + nodes[second].leaves)), (first, second), saddle)
        for child in (first, second):
            nodes[child].parted, nodes[child].parent = saddle, len(nodes)
        for leaf in joined.leaves:
            top[leaf - 1] = len(nodes)
        nodes.append(joined)
        area.append(area[first] + area[second])
    return nodes


def saddles(basins: NDArray[np.int32], height: Float32Array, *, corners: bool = False) -> list[tuple[float, int, int]]:
    """Where neighbouring basins meet, by an edge or also by ``corners``: (height of the highest pass, basin, basin), highest first."""
    keys, values = [], []
    count = int(basins.max(initial=0)) + 1
    for offset in product((-1, 0, 1), repeat=basins.ndim):
        if offset <= (0,) * basins.ndim or (np.count_nonzero(offset) > 1 and not corners):
            continue
        first = tuple(slice(max(-o, 0), n - max(o, 0)) for o, n in zip(offset, basins.shape, strict=True))
        second = tuple(slice(max(o, 0), n - max(-o, 0)) for o, n in zip(offset, basins.shape, strict=True))
        a, b = basins[first], basins[second]
        touch = (a != b) & (a > 0) & (b > 0)
        low, high = np.minimum(a, b)[touch].astype(np.int64), np.maximum(a, b)[touch]
        keys.append(low * count + high)
        values.append(np.minimum(height[first], height[second])[touch])
    key, value = np.concatenate(keys), np.concatenate(values)
    pairs, index = np.unique(key, return_inverse=True)
    highest = np.zeros(len(pairs))
    np.maximum.at(highest, index, value)
    order = np.lexsort((pairs, -highest))
    return [(float(highest[i]), int(pairs[i] // count), int(pairs[i] % count)) for i in order]


def regions(nodes: list[Node]) -> list[int]:
    """Number of the tree that each node is in, by its first basin."""
    root = list(range(len(nodes)))
    for index in range(len(nodes) - 1, -1, -1):
        if nodes[index].parent >= 0:
            root[index] = root[nodes[index].parent]
    number: dict[int, int] = {}
    for index in range(len(nodes)):
        number.setdefault(root[index], len(number))
    return [number[r] for r in root]


def join_boxes(boxes: list[tuple[slice, ...]]) -> tuple[slice, ...]:
    """The smallest box around boxes."""
    return tuple(slice(min(s.start for s in axis), max(s.stop for s in axis)) for axis in zip(*boxes, strict=True))


def largest_piece(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The largest connected piece of a mask, without holes."""
    pieces = components_of(mask, connectivity=1)
    if pieces.max() > 1:
        mask = pieces == np.bincount(pieces.ravel())[1:].argmax() + 1
    return ndimage.binary_fill_holes(mask)


def features(
    node: Node, nodes: list[Node], probability: Float32Array, mask: NDArray[np.bool_], typical_area: float
) -> tuple[float, ...]:
    """What speaks for a candidate, all without units.

    Mean probability inside minus 0.5; how high its parts are joined, relative to its peak (1 for a
    single basin); how low it is joined to its neighbour, likewise; the squared logarithm of its area
    over the usual one; its `solidity` minus 1.
    """
    peak = max(nodes[leaf - 1].joined for leaf in node.leaves)
    inside = float(probability[mask].mean()) - 0.5
    together = min(node.joined / max(peak, 1e-6), 1.0)
    apart = 1 - min(node.parted / max(peak, 1e-6), 1.0)
    unusual = float(np.log(np.count_nonzero(mask) / typical_area)) ** 2
    return inside, together, apart, unusual, solidity(mask) - 1


def solidity(mask: NDArray[np.bool_]) -> float:
    """Area over that of the convex hull, at most 1: two cells taken for one have a notch where they meet.

    The hull is that of the middles of the sides of the pixels, so that a disc of pixels is convex.
    """
    border = np.argwhere(mask & ~ndimage.binary_erosion(mask))
    middles = np.concatenate([np.eye(mask.ndim), -np.eye(mask.ndim)]) / 2
    hull = ConvexHull((border[:, None] + middles).reshape(-1, mask.ndim))
    return min(float(np.count_nonzero(mask) / hull.volume), 1.0)


def score_of(values: tuple[float, ...], weights: tuple[float, ...]) -> float:
    """Log-odds of a candidate with these features: a constant, then a weight for each (none for the last ones: 0)."""
    return weights[0] + float(np.dot(weights[1:], values[: len(weights) - 1]))


def choose_best(nodes: list[Node], rows_of: dict[int, list[int]], hypotheses: Hypotheses) -> list[int]:
    """The disjoint candidates of the best score: a whole where it is better than the mean of its parts.

    Means are weighted by area, so that many small parts do not win by their number. Exact, from the
    parts to the whole.

    Parameters
    ----------
    rows_of : dict[int, list[int]]
        For each node the rows of its outlines (none, if all were too small).
    """
    areas = hypotheses.areas()
    value: dict[int, float] = {}
    choice: dict[int, list[int]] = {}
    for index, node in enumerate(nodes):  # parts come before their whole
        value[index], choice[index] = -np.inf, []
        if index in rows_of:
            best = max(rows_of[index], key=lambda row: (float(hypotheses.score[row]), -row))
            value[index], choice[index] = float(hypotheses.score[best]), [best]
        parts = [child for child in node.children if choice[child]]
        if parts:
            weight = [sum(int(areas[row]) for row in choice[child]) for child in parts]
            mean = float(np.average([value[child] for child in parts], weights=weight))
            if mean > value[index]:
                value[index], choice[index] = mean, [row for child in parts for row in choice[child]]
    chosen = [row for index, node in enumerate(nodes) if node.parent < 0 for row in choice[index]]
    return sorted(row for row in chosen if hypotheses.score[row] > 0)
