"""Hypotheses: several overlapping candidates for the cells of one frame, and the files ``hypTTT.npz`` that hold them.

A plain mask is the special case in which no two candidates overlap. Which of them are cells is decided
by tracking, where the neighbouring frames speak as well.
"""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.npz import read_arrays
from celltrail.data.labels.outlines import close_gaps
from celltrail.data.regular import open_regular
from celltrail.data.types import BoolArray, IntArray
from celltrail.data.words import counted
from celltrail.data.writing.output import output_file

SCHEMA = "celltrail.hypotheses/1"
COUNTED = 2**24  # labels up to here are counted by a table
WIDEST = 50  # pixels; no gap between two cells is closed from farther away
SHARED = 0.05  # two candidates conflict where they share more than this part of the smaller one


@dataclass(frozen=True)
class Hypotheses:
    """The candidates of one frame; one row each.

    Attributes
    ----------
    shape : tuple[int, ...]
        (Y, X) or (Z, Y, X) of the frame.
    bbox : IntArray
        int64 (n, 2·ndim) — box: first corner, then the corner after the last (half-open).
    bits : NDArray[np.uint8]
        uint8 — the masks within the boxes, row by row, packed eight to a byte, one after the other.
    offset : IntArray
        int64 (n + 1,) — where each mask begins in ``bits``.
    score : NDArray[np.float32]
        float32 (n,) — log-odds of being a cell, whole and alone.
    parent : IntArray
        int64 (n,) — row of the smallest candidate that this one is a part of; −1: none.
    region : IntArray
        int64 (n,) — number of the connected region; candidates of different regions never overlap.
    gap : int
        A gap between two chosen candidates is closed up to this many pixels from either side.
    mask_sha256 : str
        `hash_of_mask` of the mask beside it, which is the best choice among them; "": not known.
    """

    shape: tuple[int, ...]
    bbox: IntArray
    bits: NDArray[np.uint8]
    offset: IntArray
    score: NDArray[np.float32]
    parent: IntArray
    region: IntArray
    gap: int = 0
    mask_sha256: str = ""

    def __len__(self) -> int:
        return len(self.score)

    def box(self, row: int) -> tuple[slice, ...]:
        """The box of a candidate, to index the frame with."""
        return self._boxes[row]

    def mask(self, row: int) -> BoolArray:
        """The mask of a candidate within its box; not to be written to."""
        return self._masks[row]

    def pixels(self, row: int) -> IntArray:
        """Flat indices of the pixels of a candidate in the frame, ascending."""
        inside = np.nonzero(self.mask(row))
        corner = self.bbox[row, : len(self.shape)]
        flat: IntArray = np.ravel_multi_index(
            tuple(index + start for index, start in zip(inside, corner.tolist(), strict=True)), self.shape
        ).astype(np.int64)
        return flat

    def areas(self) -> IntArray:
        """Pixels of each candidate."""
        return self._areas

    @cached_property
    def _areas(self) -> IntArray:
        return np.array([np.count_nonzero(mask) for mask in self._masks], dtype=np.int64)

    @cached_property
    def _boxes(self) -> list[tuple[slice, ...]]:
        ndim = len(self.shape)
        return [tuple(map(slice, corners[:ndim], corners[ndim:])) for corners in self.bbox.tolist()]

    @cached_property
    def _masks(self) -> list[BoolArray]:
        bits = np.unpackbits(self.bits).view(np.bool_)  # all at once: one by one takes longer
        bits.flags.writeable = False
        extents = [tuple(side.stop - side.start for side in box) for box in self._boxes]
        begins = (8 * self.offset).tolist()
        return [bits[a : a + prod(extent)].reshape(extent) for a, extent in zip(begins, extents, strict=False)]

    @cached_property
    def conflicts(self) -> IntArray:
        """Pairs of candidates that cannot both be cells, see `find_conflicts`."""
        areas, found = self.areas().tolist(), []
        for one, two in _neighbours(self):
            first, second = _in_common(self, one, two)
            common = np.count_nonzero(self.mask(one)[first] & self.mask(two)[second])
            if common > SHARED * min(areas[one], areas[two]):
                found.append((one, two))
        return np.array(found, dtype=np.int64).reshape(-1, 2)


def pack_hypotheses(
    shape: tuple[int, ...],
    boxes: Sequence[tuple[slice, ...]],
    masks: Sequence[BoolArray],
    score: Iterable[float],
    parent: Iterable[int],
    region: Iterable[int],
    *,
    gap: int = 0,
) -> Hypotheses:
    """Hypotheses from boxes and the masks within them; the other columns are those of `Hypotheses`."""
    packed = [np.packbits(mask.ravel()) for mask in masks]
    bbox = np.array([[s.start for s in box] + [s.stop for s in box] for box in boxes], dtype=np.int64)
    return Hypotheses(
        shape=tuple(shape),
        bbox=bbox.reshape(-1, 2 * len(shape)),
        bits=np.concatenate([np.zeros(0, np.uint8), *packed]),
        offset=np.cumsum([0, *map(len, packed)]).astype(np.int64),
        score=np.array(list(score), dtype=np.float32),
        parent=np.array(list(parent), dtype=np.int64),
        region=np.array(list(region), dtype=np.int64),
        gap=gap,
    )


def from_labels(labels: NDArray[np.integer[Any]], score: float = 0.0) -> Hypotheses:
    """A label image as hypotheses: one candidate per label, in the order of the labels, each a region of its own."""
    from scipy import ndimage

    names = np.unique(np.append(labels, 0))  # labels may be of any size
    index = np.searchsorted(names, labels)
    boxes = ndimage.find_objects(index)
    masks, n = [index[box] == number for number, box in enumerate(boxes, start=1)], len(boxes)
    return pack_hypotheses(labels.shape, boxes, masks, [score] * n, [-1] * n, range(n))


def find_conflicts(hypotheses: Hypotheses, rows: IntArray | None = None) -> IntArray:
    """Pairs of candidates that cannot both be cells: they share more than `SHARED` of the smaller one's pixels.

    ``rows`` : int64 (k,), only among these (None: all).

    Returns
    -------
    int64 (k, 2), rows (i, j) with i < j, in order.
    """
    found = hypotheses.conflicts
    return found if rows is None else found[np.isin(found, rows).all(axis=1)]


def _neighbours(hypotheses: Hypotheses) -> Iterator[tuple[int, int]]:
    """Pairs of rows whose boxes overlap, in order."""
    ndim = len(hypotheses.shape)
    order = np.argsort(hypotheses.bbox[:, 0], kind="stable")
    low, high = hypotheses.bbox[order, :ndim], hypotheses.bbox[order, ndim:]
    # Along the first axis a box meets those that begin before it ends.
    later = np.searchsorted(low[:, 0], high[:, 0]) - np.arange(len(order)) - 1
    first = np.repeat(np.arange(len(order)), later)
    second = first + 1 + np.arange(len(first)) - np.repeat(np.cumsum(later) - later, later)
    meet = ((low[first] < high[second]) & (low[second] < high[first])).all(axis=1)
    pairs = np.sort(np.stack([order[first[meet]], order[second[meet]]], axis=1), axis=1)
    yield from map(tuple, pairs[np.lexsort((pairs[:, 1], pairs[:, 0]))].tolist())


def _in_common(hypotheses: Hypotheses, one: int, two: int) -> tuple[tuple[slice, ...], tuple[slice, ...]]:
    """The part of two boxes that both have, to index the mask of either with."""
    first, second = [], []
    for a, b in zip(hypotheses.box(one), hypotheses.box(two), strict=True):
        low, high = max(a.start, b.start), min(a.stop, b.stop)
        first.append(slice(low - a.start, high - a.start))
        second.append(slice(low - b.start, high - b.start))
    return tuple(first), tuple(second)


def find_cliques(hypotheses: Hypotheses, rows: IntArray | None = None) -> list[IntArray]:
    """Sets of candidates of which at most one is a cell: the maximal cliques of the conflicts, in order.

    Candidates without a conflict are in none. ``rows`` : int64 (k,), only among these (None: all).
    """
    import networkx as nx

    conflicts = find_conflicts(hypotheses, rows=rows)
    graph: nx.Graph[int] = nx.Graph()
    graph.add_edges_from(conflicts.tolist())
    return [np.array(clique, dtype=np.int64) for clique in sorted(sorted(c) for c in nx.find_cliques(graph))]


def depths(parent: IntArray) -> IntArray:
    """In how many other candidates each one lies, following ``parent``; more than all there are in a circle.

    Returns
    -------
    int64 (n,).
    """
    depth, above = np.zeros(len(parent), dtype=np.int64), parent
    while (above >= 0).any() and depth.max() <= len(parent):
        depth += above >= 0
        above = np.where(above >= 0, parent[above], -1)
    return depth


def paint(hypotheses: Hypotheses, chosen: Iterable[int]) -> NDArray[np.int32]:
    """Label image of chosen candidates, numbered 1 … n in the given order, gaps between them closed.

    A shared pixel goes to the first.
    """
    labels = np.zeros(hypotheses.shape, dtype=np.int32)
    for number, row in enumerate(chosen, start=1):
        part = labels[hypotheses.box(row)]
        part[hypotheses.mask(row) & (part == 0)] = number
    return close_gaps(labels, hypotheses.gap).astype(np.int32)


def hash_of_mask(labels: NDArray[np.integer[Any]]) -> str:
    """A label image as a hash, whatever the width of its integers and the file it is kept in."""
    return hashlib.sha256(repr(labels.shape).encode() + np.ascontiguousarray(labels, dtype="<i8").tobytes()).hexdigest()


def labels_of(hypotheses: Hypotheses, mask: NDArray[np.integer[Any]]) -> IntArray:
    """What the candidates of a frame are called: one that equals a mask has its label, the others have labels above.

    Gaps between masks were closed, so equal is what shares more than half of all pixels of both, and the most.

    Returns
    -------
    int64 (n,).
    """
    top, areas = int(mask.max(initial=0)), hypotheses.areas()
    if top >= COUNTED:
        names = np.unique(np.append(mask, 0))
        found = labels_of(hypotheses, np.searchsorted(names, mask))
        return np.where(found < len(names), names.take(found, mode="clip"), found - len(names) + top + 1)
    labels, shared = np.arange(len(hypotheses)) + top + 1, np.zeros(len(hypotheses))
    size = np.bincount(mask.ravel())
    for row in range(len(hypotheses)):
        met = np.bincount(mask[hypotheses.box(row)][hypotheses.mask(row)])
        if len(met) > 1 and met[1:].any():
            label = int(met[1:].argmax()) + 1
            share = met[label] / (areas[row] + size[label] - met[label])
            if share > 0.5:
                labels[row], shared[row] = label, share
    for label in np.unique(labels[labels <= top]).tolist():
        rows = np.flatnonzero(labels == label)
        beaten = rows[rows != rows[shared[rows].argmax()]]
        labels[beaten] = beaten + top + 1
    return labels.astype(np.int64)


def write_hypotheses(path: Path, hypotheses: Hypotheses) -> None:
    """Write ``hypTTT.npz``, whole or not at all."""
    with output_file(path, overwrite=True) as work, work.open("wb") as stream:
        np.savez_compressed(
            stream,
            schema=np.array(SCHEMA),
            shape=np.array(hypotheses.shape, dtype=np.int64),
            bbox=hypotheses.bbox,
            bits=hypotheses.bits,
            offset=hypotheses.offset,
            score=hypotheses.score,
            parent=hypotheses.parent,
            region=hypotheses.region,
            gap=np.array(hypotheses.gap, dtype=np.int64),
            mask_sha256=np.array(hypotheses.mask_sha256),
        )


def read_hypotheses(path: Path) -> Hypotheses:
    """Read ``hypTTT.npz``.

    Raises
    ------
    InputError
        If the file is missing, damaged, of another schema, or does not fit together.
    """
    path = Path(path)
    try:
        arrays = read_arrays(path)
        if str(arrays["schema"]) != SCHEMA:
            raise InputError(
                f"{path} has the schema {arrays['schema']}, expected {SCHEMA}: run 'celltrail segment' again."
            )
        result = Hypotheses(
            shape=tuple(arrays["shape"].tolist()),
            bbox=arrays["bbox"].astype(np.int64),
            bits=arrays["bits"].astype(np.uint8),
            offset=arrays["offset"].astype(np.int64),
            score=arrays["score"].astype(np.float32),
            parent=arrays["parent"].astype(np.int64),
            region=arrays["region"].astype(np.int64),
            gap=int(arrays.get("gap", 0)),
            mask_sha256=str(arrays.get("mask_sha256", "")),
        )
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run 'celltrail segment'.") from None
    except InputError:
        raise
    except Exception as error:  # noqa: BLE001 (numpy and zipfile raise many kinds for a damaged archive)
        raise InputError(
            f"{path} is not a hypotheses file ({type(error).__name__}): run 'celltrail segment' again."
        ) from None
    if problem := _problem_of(result):
        raise InputError(f"{path} does not fit together ({problem}): run 'celltrail segment' again.")
    return result


def read_mask_hash(path: Path) -> str:
    """`Hypotheses.mask_sha256` of a file, without reading more of it; "" where it holds none, or cannot be read."""
    try:
        with open_regular(path) as stream, np.load(stream, allow_pickle=False) as arrays:
            return str(arrays["mask_sha256"])
    except (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile):
        return ""


def _problem_of(found: Hypotheses) -> str | None:
    n, ndim = len(found.score), len(found.shape)
    if (
        found.bbox.shape != (n, 2 * ndim)
        or len(found.offset) != n + 1
        or len(found.parent) != n
        or len(found.region) != n
    ):
        return "tables of unequal length"
    low, high = found.bbox[:, :ndim], found.bbox[:, ndim:]
    if n and ((low < 0).any() or (high <= low).any() or (high > np.array(found.shape)).any()):
        return "a box outside of the frame"
    if not np.array_equal(np.diff(found.offset), (np.prod(high - low, axis=1) + 7) // 8) or found.offset[-1] != len(
        found.bits
    ):
        return "masks of another size than their boxes"
    if n and not ((found.parent >= -1) & (found.parent < n)).all():
        return "a parent that is not there"
    if (depths(found.parent) > n).any():
        return "candidates that are parts of each other"
    if not np.isfinite(found.score).all():
        return "a score that is no finite number"
    if not 0 <= found.gap <= WIDEST:
        return f"a gap of {counted(found.gap, 'pixel')}"
    return None
