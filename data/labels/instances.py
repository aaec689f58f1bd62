"""Is this an instance mask? One place decides it for all commands, from the pixels of a few frames.

An instance mask has a number of its own for every cell. Black-and-white masks, maps of classes (inside and border, two
kinds of cells) and maps of probabilities look alike and are not: there one number lies on many separate parts. Pictures
are none of these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.words import counted

SAMPLE = 7  # frames that are looked at, spread over the movie
WINDOW = 2048  # pixels in y and x in which pictures are told from masks
SAME_AS_NEIGHBOUR = 0.8  # share of neighbours inside of objects that are equal; in pictures few are
SMALLEST_REGION = 20  # pixels of a region of one value, on average: what is smaller is noise
MANY_CLASSES = 8  # a map of classes has fewer
LARGE_PART = 0.25  # of the largest part with the same number; smaller ones are crumbs
DISTANT = 2.0  # parts further apart than this many of their radii together are two cells
PAIR = 2  # cells that have the same number by mistake; in a map of classes more have
BACKGROUND = 0.5  # share of the frame from which a "cell" that touches three sides is the background

Array = NDArray[Any]


@dataclass(frozen=True)
class Parts:
    """The separate parts of the labels of one frame.

    Attributes
    ----------
    value, area : NDArray[np.int64]
        int64 (n,), of each part that is no crumb.
    radius : NDArray[np.float64]
        float64 (n,).
    centre : NDArray[np.float64]
        float64 (n, ndim).
    background : tuple[int, float] | None
        The label that covers most of the frame and touches its sides, with its share; or ``None``.
    """

    value: NDArray[np.int64]
    area: NDArray[np.int64]
    radius: NDArray[np.float64]
    centre: NDArray[np.float64]
    background: tuple[int, float] | None

    @property
    def shared(self) -> NDArray[np.bool_]:
        """Which parts share their label with others."""
        _, index, count = np.unique(self.value, return_inverse=True, return_counts=True)
        return np.asarray(count[index] > 1)

    @property
    def is_semantic(self) -> bool:
        """Whether more than half of the parts share their label with others, one of them with many, or all share it."""
        several = 2 * int(self.shared.sum()) > len(self.value)
        many = np.unique(self.value, return_counts=True)[1].max(initial=0) > PAIR
        return bool(several and (many or self.shared.all()))

    @property
    def doubles(self) -> list[int]:
        """Labels that lie on parts far from each other, ascending."""
        found = []
        for label in np.unique(self.value[self.shared]):
            mine = np.flatnonzero(self.value == label)
            first = mine[np.argmax(self.area[mine])]
            distance = np.linalg.norm(self.centre[mine] - self.centre[first], axis=1)
            if (distance > DISTANT * (self.radius[mine] + self.radius[first])).any():
                found.append(int(label))
        return found


def find_parts(labels: Array) -> Parts:
    """The connected parts of the labels of a frame (Y, X) or (Z, Y, X); corners connect."""
    from skimage.measure import label as connect

    ndim = labels.ndim
    none = np.zeros(0)
    if not labels.any():
        return Parts(none.astype(np.int64), none.astype(np.int64), none, np.zeros((0, ndim)), None)
    _, dense = np.unique(labels, return_inverse=True)
    dense = dense.reshape(labels.shape) + int(labels.min() > 0)
    part = connect(dense, background=0, connectivity=ndim)
    place = np.nonzero(part)
    number = part[place]
    area = np.bincount(number)[1:]
    first = np.zeros(len(area) + 1, np.int64)
    first[number[::-1]] = np.arange(len(number))[::-1]
    value = labels[place][first[1:]].astype(np.int64)
    centre = np.stack([np.bincount(number, weights=axis)[1:] / area for axis in place], axis=1)
    _, index = np.unique(value, return_inverse=True)
    largest = np.zeros(int(index.max()) + 1, np.int64)
    np.maximum.at(largest, index, area)
    kept = area >= LARGE_PART * largest[index]
    radius = np.sqrt(area / np.pi) if ndim == 2 else np.cbrt(3 * area / (4 * np.pi))
    return Parts(value[kept], area[kept], radius[kept], centre[kept], _background_of(labels))


def parts_apart(mask: NDArray[np.bool_]) -> NDArray[np.int64]:
    """The cells of a mask that lie far from each other: 0 for the largest (and outside), 1, 2 … for the others.

    What is too small for a cell, or near one, belongs to the nearest. The rule is that of `Parts.doubles`.
    """
    parts = find_parts(mask.astype(np.uint8))
    main = int(np.argmax(parts.area)) if len(parts.area) else 0
    away = np.linalg.norm(parts.centre - parts.centre[main], axis=1) if len(parts.area) else np.zeros(0)
    far = np.flatnonzero(away > DISTANT * (parts.radius + parts.radius[main])) if len(away) else np.zeros(0, np.int64)
    result = np.zeros(mask.shape, np.int64)
    if len(far):
        centre = np.concatenate([parts.centre[[main]], parts.centre[far]])
        where = np.argwhere(mask)
        result[tuple(where.T)] = _owner(mask, where, centre)
    return result


def _owner(mask: NDArray[np.bool_], where: NDArray[np.int64], centre: NDArray[np.float64]) -> NDArray[np.int64]:
    """To which of some centres each connected part of a mask is nearest, for each of its voxels ``where``."""
    from skimage.measure import label as connect

    number = connect(mask, connectivity=mask.ndim)[tuple(where.T)] - 1
    count = np.bincount(number)
    middle = np.stack([np.bincount(number, weights=axis) / count for axis in where.T], axis=1)
    nearest = np.linalg.norm(middle[:, np.newaxis] - centre, axis=2).argmin(axis=1)
    return np.asarray(nearest[number])


def _background_of(labels: Array) -> tuple[int, float] | None:
    values, counts = np.unique(labels[labels > 0], return_counts=True)
    most = int(np.argmax(counts))
    share = float(counts[most] / labels.size)
    if share < BACKGROUND:
        return None
    sides = [labels[..., 0, :], labels[..., -1, :], labels[..., 0], labels[..., -1]]
    touched = sum(bool((side == values[most]).any()) for side in sides)
    return (int(values[most]), share) if touched >= 3 else None


def sample_frames(movie: Mapping[int, Array], count: int = SAMPLE) -> list[int]:
    """Frame numbers spread evenly over a movie, the first and the last included."""
    numbers = sorted(movie)
    places = np.unique(np.linspace(0, len(numbers) - 1, min(count, len(numbers))).round().astype(int))
    return [numbers[place] for place in places]


def mask_problem(parts: Sequence[Parts]) -> str | None:
    """Why the frames of a movie are no instance masks, and what to do; ``None`` where they are.

    Parameters
    ----------
    parts : Sequence[Parts]
        Of all frames of a movie, or of some spread over it.
    """
    filled = [frame for frame in parts if len(frame.value)]
    if not filled:
        return None
    backgrounds = [frame.background for frame in filled if frame.background is not None]
    if 2 * len(backgrounds) > len(filled):
        label, share = backgrounds[0]
        return (
            f"in {len(backgrounds)} of {counted(len(filled), 'frame')} the 'cell' with the label {label} covers {100 * share:.0f} % of the frame "
            "and touches its sides, so it is the background: give the background the number 0."
        )
    values = sorted({int(value) for frame in filled for value in np.unique(frame.value)[:5]})
    semantic = [frame for frame in filled if frame.is_semantic]
    single = len(values) == 1 and bool(semantic)
    if 2 * len(semantic) > len(filled) and _are_grey(semantic):
        return (
            "these are grey values or probabilities, not masks, in which every cell has a number of its own: "
            "segment the images first, or give the masks."
        )
    if 2 * len(semantic) > len(filled) or single:
        most = max(int(np.unique(frame.value, return_counts=True)[1].max()) for frame in filled)
        what = (
            f"hold one label only ({values[0]})"
            if single
            else f"hold a few labels ({', '.join(map(str, values[:5]))} …)"
        )
        return (
            f"the masks {what}, in up to {most} separate pieces of one label: these are binary masks or a map of classes, but "
            "every cell needs a number of its own: label the connected parts with --split-binary, or give instance masks."
        )
    return None


def _are_grey(frames: Sequence[Parts]) -> bool:
    """Whether most labels of the frames lie on crumbs alone: levels of a picture, not classes."""
    many = [frame for frame in frames if len(np.unique(frame.value)) > MANY_CLASSES]
    tiny = [frame for frame in many if float(np.median(frame.area)) < SMALLEST_REGION]
    return 2 * len(tiny) > len(frames)


def mask_warning(parts: Sequence[Parts]) -> str | None:
    """What to say of masks that are odd, but may be right: one cell in the whole movie."""
    filled = [frame for frame in parts if len(frame.value)]
    values = {int(value) for frame in filled for value in frame.value}
    if len(filled) > 1 and len(values) == 1 and not any(frame.shared.any() for frame in filled):
        return f"the masks hold one label only ({values.pop()}), in one piece in every frame: check that there is one cell only."
    return None


def judge_masks(masks: Mapping[int, Array], name: object = "") -> tuple[str, ...]:
    """Look at a few frames; returns warnings (none: all is well).

    Parameters
    ----------
    masks : Mapping[int, Array]
        Frame number → integer labels (Y, X) or (Z, Y, X).
    name : object
        What the sentences begin with; otherwise the path of the movie.

    Raises
    ------
    InputError
        Where these are no instance masks.
    """
    path = str(name or getattr(masks, "path", "") or "The movie")
    parts = [find_parts(np.asarray(masks[number])) for number in sample_frames(masks)]
    if problem := mask_problem(parts):
        raise InputError(f"{path}: {problem}")
    warning = mask_warning(parts)
    return (f"{path}: {warning}",) if warning else ()


def looks_like_mask(frame: Array) -> bool | None:
    """Whether a frame (Y, X) or (Z, Y, X) is a mask of any kind, not a picture; ``None`` where it is flat.

    In a mask nearly every pixel of an object equals its neighbour, an object has one value, and it borders on the
    background; in a picture of few grey levels the levels are nested.
    """
    from skimage.measure import label as connect

    plane = frame[frame.shape[0] // 2] if frame.ndim == 3 else frame
    plane = plane[tuple(slice(max(0, (n - WINDOW) // 2), (n + WINDOW) // 2) for n in plane.shape)]
    if plane.dtype.kind == "f" and not np.array_equal(plane, np.rint(plane)):
        return False
    values, dense, counts = np.unique(plane, return_inverse=True, return_counts=True)
    if len(values) < 2:
        return None
    dense = dense.reshape(plane.shape)
    ground = 0 if values[0] == 0 and counts[0] >= 0.05 * plane.size else int(np.argmax(counts))
    if values[0] == 0 and counts[0] < 0.05 * plane.size and counts[ground] < 0.5 * plane.size:
        ground = 0  # cells fill the frame
    left, right = dense[:, :-1], dense[:, 1:]
    inside = (left != ground) & (right != ground)
    if not inside.any() or float((left == right)[inside].mean()) <= SAME_AS_NEIGHBOUR:
        return False
    if len(values) == 2:
        return True
    shifted = np.where(dense == ground, 0, np.where(dense < ground, dense + 1, dense))
    region = connect(shifted, background=0, connectivity=1)
    area = np.bincount(region.ravel())[1:]
    if float(area.mean()) < SMALLEST_REGION and len(area) > 2 * (len(values) - 1):
        return False
    first = np.unique(region, return_index=True)[1][1 if (region == 0).any() else 0 :]
    value = shifted.ravel()[first]
    largest = np.zeros(len(values) + 1, np.int64)
    np.maximum.at(largest, value, area)
    one_each = float(largest.sum() / area.sum()) > SAME_AS_NEIGHBOUR
    if not one_each and len(values) > 4:
        return False
    return _borders_on_ground(shifted, len(values))


def _borders_on_ground(shifted: Array, count: int) -> bool:
    """Whether more than half of the values border on the background (0), or the cells fill the frame."""
    if np.count_nonzero(shifted == 0) < 0.05 * shifted.size:
        return True
    bordering = np.zeros(count + 1, bool)
    for one, other in ((shifted[:, 1:], shifted[:, :-1]), (shifted[1:], shifted[:-1])):
        bordering[one[other == 0]] = True
        bordering[other[one == 0]] = True
    present = np.unique(shifted[shifted > 0])
    outer = bordering[present]
    if len(present) == 2:
        return bool(outer[1])  # the higher value outside: a border, or a second class; inside: the bright middle
    return bool(2 * outer.sum() > len(present))


def looks_like_masks(movie: Mapping[int, Array]) -> bool:
    """Whether a movie holds masks of any kind, from a few of its frames; flat ones do not count."""
    seen = []
    for number in sample_frames(movie, 5):
        try:
            seen.append(looks_like_mask(np.asarray(movie[number])))
        except InputError:  # said where the frame is read
            continue
    decided = [verdict for verdict in seen if verdict is not None]
    return bool(decided) and all(decided)


def refuse_masks(images: Mapping[int, Array]) -> None:
    """Raise `InputError` if a movie holds masks, not pictures of cells."""
    if looks_like_masks(images):
        path = getattr(images, "path", "The movie")
        raise InputError(f"{path} holds masks, not images: give the folder with the grey images.")


def split_parts(labels: Array) -> NDArray[np.int32]:
    """Every connected part of a black-and-white mask or a map of classes as a cell of its own, numbered 1 … n.

    Parts of different classes are different cells. A class that only lines the other (a border) goes to the nearest part.
    """
    from skimage.measure import label as connect
    from skimage.segmentation import expand_labels

    values = [int(value) for value in np.unique(labels) if value > 0]
    border = next((value for value in values if len(values) == 2 and _is_border(labels == value, labels)), None)
    classes = np.where(labels == border, 0, labels) if border is not None else labels
    parts = np.asarray(connect(classes.astype(np.int64), background=0, connectivity=1), dtype=np.int32)
    if border is not None:
        grown = expand_labels(parts, distance=float(sum(labels.shape)))
        parts = np.where(labels > 0, grown, 0).astype(np.int32)
    return parts


def _is_border(mask: NDArray[np.bool_], labels: Array) -> bool:
    """Whether a class is thin everywhere, and each of its parts touches the other class."""
    from scipy import ndimage

    thin = ndimage.binary_erosion(mask, structure=np.ones((5,) * mask.ndim, bool)).sum() < 0.05 * mask.sum()
    parts, count = ndimage.label(mask, structure=np.ones((3,) * mask.ndim, bool))
    other = ndimage.binary_dilation((labels > 0) & ~mask, structure=np.ones((3,) * mask.ndim, bool))
    touching = len(np.unique(parts[other & (parts > 0)]))
    return bool(thin and 2 * touching > count)
