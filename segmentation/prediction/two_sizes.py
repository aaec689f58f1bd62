"""Cells of two sizes in one image: nuclei beside much larger ones. Each is read where the net sees it at the size it knows.

A net that is shown an image at the size that suits small cells sees pieces of the large ones; at the size that suits the large
ones it sees nothing of the small. So the image is read twice. Where the readings exclude each other, the one that explains the
pixels there better stays: a cell has high log-odds where the net sees it at its own size; its pieces, and clumps of cells, have
low ones.

Most movies have one size, and must not pay for others. So a look at the grey values comes first: whether there are `strangers`.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.files.hypotheses import Hypotheses, pack_hypotheses, paint
from celltrail.segmentation.net.instance_settings import scaled_settings
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.net.resize import LARGEST_FACTOR
from celltrail.segmentation.prediction.granulometry import strangers
from celltrail.segmentation.prediction.grey import Limits, normalise
from celltrail.segmentation.prediction.hypotheses import FoundHypotheses, find_hypotheses, label_cells
from celltrail.segmentation.prediction.ladder import best_overlap, window_around
from celltrail.segmentation.prediction.tiles import Prediction, predict

FEWEST, SHARE = 3, 0.05  # cells that one size loses, and their part of all cells, below which they are debris
SURE = 4.5  # log-odds of such cells; lone cells of the usual size stand at about 6
PIECES = 1.0  # log-odds that several small cells must be better than a large one that they fill: it may be bent
CHECKED = 448, 1024  # sides, in pixels of the net, of the part of an image in which narrow and wide cells are checked


class Size(NamedTuple):
    """A diameter in pixels of the image, and the factor by which the image is enlarged for cells of it."""

    diameter: float
    factor: float


def size_of(diameter: float, trained: float) -> Size:
    """The size of cells of a diameter, for a net that knows ``trained`` pixels of the image at factor 1."""
    return Size(diameter, min(trained / diameter, LARGEST_FACTOR))


def find_other_size(
    model: Model,
    planes: list[NDArray[Any]],
    limits: list[Limits],
    size: Size,
    trained: float,
    *,
    least: int = FEWEST,
    device: torch.device | str = "cpu",
) -> float | None:
    """The diameter of cells of another size than the usual ones; ``None`` where there are none, or hardly any.

    Parameters
    ----------
    planes : list[NDArray[Any]]
        Images (Y, X) of a movie.
    limits : list[Limits]
        Grey values that become 0 and 1 in each.
    size : Size
        Of the usual cells.
    trained : float
        Diameter that the net knows, in pixels of the image at factor 1.
    least : int
        Mistakes that one look must make in an image, for a second one to be worth its time.
    """
    seen = [strangers(normalise(plane, ends), size.diameter) for plane, ends in zip(planes, limits, strict=True)]
    if not seen:
        return None
    options: dict[str, Any] = {"stand_out": True, "device": device}
    best: tuple[float, float] | None = None
    for side, fewest in ((0, FEWEST), (1, 1)):  # wide ones merge, and fade out in their opening: one tells of others
        found = [each[side] for each in seen]
        most = int(np.argmax([len(each) for each in found]))
        if len(found[most]) < fewest:
            continue
        diameter = float(np.median(found[most][:, 2]))
        other = size_of(diameter, trained)
        window, seen_there = _fullest(
            planes[most].shape, found[most], round(CHECKED[side] / max(size.factor, other.factor))
        )
        if seen_there < fewest:
            continue
        gain = _gain(model, planes[most][window], (size, other), limits=limits[most], **options)
        if gain is None:
            continue
        gain *= len(found[most]) / seen_there  # in the whole image
        if gain >= least and (best is None or gain > best[0]):
            best = gain, diameter
    return None if best is None else best[1]


def _fullest(shape: tuple[int, ...], things: NDArray[np.float64], side: int) -> tuple[tuple[slice, slice], int]:
    """The window of a side around that thing which has most of the others in it, and how many these are."""
    near = np.abs(things[:, None, :2] - things[None, :, :2]).max(axis=2) <= side / 2
    y, x = things[near.sum(axis=1).argmax(), :2].round().astype(int).tolist()
    window = window_around(shape, (y, x), side)
    inside = [(part.start <= things[:, k]) & (things[:, k] < part.stop) for k, part in enumerate(window)]
    return window, int(np.count_nonzero(inside[0] & inside[1]))


def _gain(model: Model, image: NDArray[Any], sizes: tuple[Size, Size], **options: Any) -> float | None:
    """How many mistakes are undone where an image is read for two sizes and not for the first alone; ``None``: it has one.

    Mistakes are sure cells of the other size that are not found, and what is found inside such cells in their place.
    """
    usual, other = sizes
    both = read_two_sizes(model, image, sizes, **options)[1]
    width = 2 * np.sqrt(both.hypotheses.areas()[both.best] / np.pi)
    of_other = np.abs(np.log(width / other.diameter)) < np.abs(np.log(width / usual.diameter))
    sure = np.concatenate([[False], of_other & (both.hypotheses.score[both.best] >= SURE)])
    if np.count_nonzero(sure) < max(FEWEST, SHARE * len(width)):
        return None
    maps = predict(model, image, factor=usual.factor, **options)
    alone = find_hypotheses(maps, scaled_settings(model.instances, usual.factor))
    cells, known = paint(both.hypotheses, both.best), paint(alone.hypotheses, alone.best)
    lost = best_overlap(cells, known, len(width)) <= 0.5
    wrong = best_overlap(known, cells, len(alone.best)) <= 0.5
    inside = np.bincount(known[sure[cells]], minlength=len(wrong) + 1)[1:]
    wrong &= 2 * inside > np.bincount(known.ravel(), minlength=len(wrong) + 1)[1:]
    return float(np.count_nonzero(sure[1:] & lost) + np.count_nonzero(wrong))


def label_part(
    model: Model,
    image: NDArray[Any],
    *,
    factor: float = 1.0,
    sizes: tuple[Size, ...] = (),
    inner: tuple[slice, ...] = (),
    **options: Any,
) -> NDArray[np.int32]:
    """Label image of the cells in an image, or of its part ``inner``; other options are those of `predict`."""
    if sizes:
        both = read_two_sizes(model, image, sizes, inner=inner, **options)[1]
        return paint(both.hypotheses, both.best)
    maps = _maps(model, image, inner, factor=factor, **options)
    return label_cells(maps, scaled_settings(model.instances, factor))


def _maps(model: Model, image: NDArray[Any], inner: tuple[slice, ...], **options: Any) -> Prediction:
    """What the net says about a part of an image, with all of the image around it."""
    maps = predict(model, image, **options)
    return Prediction(maps.probability[inner], None if maps.distance is None else maps.distance[inner])


def read_two_sizes(
    model: Model,
    image: NDArray[Any],
    sizes: tuple[Size, ...],
    *,
    inner: tuple[slice, ...] = (),
    factor: float | None = None,
    **options: Any,
) -> tuple[Prediction, FoundHypotheses]:
    """The cells of an image (Y, X) that is looked at for cells of two sizes.

    Parameters
    ----------
    inner : tuple[slice, ...]
        The part that is read.
    factor
        Not needed: each size has its own. Other options are those of `predict`.

    Returns
    -------
    Prediction
        The probability, everywhere that of the reading which was chosen there; no distance.
    FoundHypotheses
        See `choose`.
    """
    small, large = sorted(sizes)
    maps, found = [], []
    for size in (small, large):
        maps.append(_maps(model, image, inner, factor=size.factor, **options))
        settings = scaled_settings(model.instances, size.factor)
        found.append(find_hypotheses(maps[-1], settings, np.pi / 4 * size.diameter**2))
    both, won = choose(*found)
    return Prediction(np.where(won, maps[1].probability, maps[0].probability), None), both


def choose(small: FoundHypotheses, large: FoundHypotheses) -> tuple[FoundHypotheses, NDArray[np.bool_]]:
    """Of two readings of an image what explains it better: a large cell, or the small ones inside it.

    Better is the higher sum of log-odds over the pixels. What one reading has won is cut out of the candidates of the other;
    those that lose more than half of their pixels are dropped.

    Returns
    -------
    FoundHypotheses
        First the candidates of the small reading.
    bool, shape of the image
        Where cells of the large reading were chosen.
    """
    owner, areas = _painted(small.hypotheses, small.best), small.hypotheses.areas()[small.best]
    value = areas * small.hypotheses.score[small.best]
    won, beaten = [], np.zeros(len(areas), dtype=bool)
    for row in large.best:
        pixels = large.hypotheses.pixels(row)
        inside = 2 * np.bincount(owner.ravel()[pixels], minlength=len(areas) + 1)[1:] > areas
        better = PIECES * areas[inside].sum() if np.count_nonzero(inside) > 1 else 0.0
        if large.hypotheses.score[row] * len(pixels) >= value[inside].sum() - better:
            won.append(row)
            beaten |= inside
    kept = [row for row, out in zip(small.best, beaten, strict=True) if not out]
    theirs = _painted(large.hypotheses, won) > 0
    rows = _left(FoundHypotheses(small.hypotheses, kept), theirs, 0, 0)
    mine = np.zeros(theirs.shape, dtype=bool)  # with all alternatives: different regions never overlap
    for box, mask, *_ in rows:
        mine[box] |= mask
    regions = 1 + max((row[4] for row in rows), default=-1)
    rows += _left(FoundHypotheses(large.hypotheses, won), mine, len(rows), regions)
    *columns, chosen = [list(column) for column in zip(*rows, strict=True)] or [[] for _ in range(6)]
    gap = min(small.hypotheses.gap, large.hypotheses.gap)
    both = pack_hypotheses(small.hypotheses.shape, *columns, gap=gap)
    return FoundHypotheses(both, np.flatnonzero(chosen).tolist()), theirs


def _painted(hypotheses: Hypotheses, rows: list[int]) -> NDArray[np.int32]:
    """Label image of candidates, gaps left open."""
    return paint(replace(hypotheses, gap=0), rows)


def _left(found: FoundHypotheses, taken: NDArray[np.bool_], first: int, region: int) -> list[tuple[Any, ...]]:
    """What is left of the candidates of the regions with a chosen one: box, mask, score, parent, region, chosen."""
    hypotheses, best = found.hypotheses, set(found.best)
    regions = {int(number): region + i for i, number in enumerate(np.unique(hypotheses.region[found.best]))}
    rows: list[tuple[Any, ...]] = []
    number_of: dict[int, int] = {-1: -1}
    for row in range(len(hypotheses)):
        own = regions.get(int(hypotheses.region[row]))
        mask = hypotheses.mask(row) & ~taken[hypotheses.box(row)]
        if own is None or 2 * np.count_nonzero(mask) <= np.count_nonzero(hypotheses.mask(row)):
            continue
        number_of[row] = first + len(rows)
        parent = number_of.get(int(hypotheses.parent[row]), -1)
        rows.append((hypotheses.box(row), mask, hypotheses.score[row], parent, own, row in best))
    return rows
