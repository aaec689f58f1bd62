"""What a few frames tell about a movie before it is segmented: how wide cells are, which grey values, whether the model fits.

A movie has one scale (two, where its cells have two sizes: `celltrail.segmentation.prediction.two_sizes`), and grey values
that change slowly (bleaching). Frames that do not agree are stills: each is looked at alone.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.progress import Progress, silent
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.contrast import LEAST
from celltrail.segmentation.prediction.fit import (
    DARK,
    LIGHT,
    at_one,
    darkness_of,
    is_dark,
    judge_fit,
    median_of,
    must_stand_out,
)
from celltrail.segmentation.prediction.granulometry import APART
from celltrail.segmentation.prediction.grey import Limits, mend
from celltrail.segmentation.prediction.ladder import look, search
from celltrail.segmentation.prediction.scale import (
    FAINT,
    GRID,
    LEAST_VOTES,
    Sightings,
    as_wide,
    density,
    find_diameter,
    join,
    near,
)
from celltrail.segmentation.prediction.tiles import USUAL_DIAMETER, limits_at
from celltrail.segmentation.prediction.two_sizes import FEWEST, Size, find_other_size, size_of

logger = logging.getLogger("celltrail")
SAME_SIZE = 1.25  # cells less different than this from those that the model was made for are seen as these are
OWN = 0.5  # so are they where the diameter of these has at least this part of the most votes
SAME = 0.02  # relative difference of diameters that is none
SAMPLES = 5  # frames that are looked at
OTHER_SAMPLES = 3  # frames in which cells of another size are sought
GREY_SAMPLES = 9  # frames whose grey values are
OTHER_SCALE = 1.6  # by which the diameter in a frame differs from the movie's if it is another scale
OTHER_GREY = 0.35  # overlap of the ranges of two frames below which they are not of one movie
DARKER = 1.5  # by how much the range of a frame may fall short of the movie's


@dataclass(frozen=True)
class Survey:
    """How a movie, or one still, is looked at.

    Attributes
    ----------
    trained : float | None
        Diameter of the cells that the model knows, in pixels of the image at factor 1.
    diameter : float | None
        Of the cells here, in pixels; ``None`` where none were found.
    given : bool
        Whether the diameter was given, not found.
    other : float | None
        Diameter of cells of another size that are among them, for which images are looked at once more, see
        `celltrail.segmentation.prediction.two_sizes`; ``None``: there are none.
    factor : float
        By which images are enlarged for the net.
    fits : bool | None
        Whether the images look like what the model knows; ``None`` where there is nothing to judge by.
    agreement, sureness, darkness : float | None
        Medians over what is found, see `celltrail.segmentation.prediction.scale.Sightings`.
    stand_out : bool
        Whether cells must be brighter than their surroundings.
    stills : str
        Why the frames are stills; empty for a movie.
    grey : dict[int, Limits]
        Grey values that become 0 and 1, by frame: of the frames that were looked at.
    """

    trained: float | None
    diameter: float | None
    other: float | None
    given: bool
    factor: float
    fits: bool | None
    agreement: float | None
    sureness: float | None
    darkness: float | None
    stand_out: bool
    stills: str
    grey: dict[int, Limits]

    def limits(self, model: Model, number: int, image: NDArray[Any]) -> Limits:
        """Grey values that become 0 and 1 in a frame: its own, unless its range falls short of that of the movie there."""
        own = limits_at(model, image, self.factor)
        if self.stills or len(self.grey) < 2:
            return own
        usual = self.usual_limits(number)
        holds_no_picture = own[0] >= usual[1] or own[1] <= own[0]  # saturated, or of one grey value
        return own if holds_no_picture or own[1] - own[0] >= (usual[1] - usual[0]) / DARKER else usual

    @property
    def sizes(self) -> tuple[Size, ...]:
        """The sizes for which images are looked at, where these are two."""
        if self.other is None or self.diameter is None or self.trained is None:
            return ()
        return Size(self.diameter, self.factor), size_of(self.other, self.trained)

    def usual_limits(self, number: int) -> Limits:
        """Grey values of the movie around a frame: medians of three frames, so that one odd frame says nothing."""
        frames = sorted(self.grey)
        ends = [np.array([self.grey[frame][side] for frame in frames]) for side in (0, 1)]
        middle = [
            [float(np.median(values[max(i - 1, 0) : i + 2])) for i in range(1, len(values) - 1)] or values.tolist()
            for values in ends
        ]
        at = frames[1:-1] if len(frames) > 2 else frames
        return float(np.interp(number, at, middle[0])), float(np.interp(number, at, middle[1]))

    def as_json(self) -> dict[str, Any]:
        """Plain values for ``run.json``."""
        plain = asdict(self)
        grey = plain.pop("grey")
        plain["kind"] = "stills" if self.stills else "movie"
        plain["why"] = plain.pop("stills") or None
        plain["normalisation"] = (
            "of each image"
            if self.stills
            else {
                "frames": sorted(grey),
                "bottom": [grey[k][0] for k in sorted(grey)],
                "top": [grey[k][1] for k in sorted(grey)],
            }
        )
        return plain


def from_json(plain: Mapping[str, Any]) -> Survey:
    """Undo `Survey.as_json`."""
    values = {"other": None, **plain}  # earlier versions knew one size
    grey = values.pop("normalisation")
    values.pop("kind")
    values["stills"] = values.pop("why") or ""
    limits = (
        {}
        if isinstance(grey, str)
        else dict(zip(grey["frames"], zip(grey["bottom"], grey["top"], strict=True), strict=True))
    )
    return Survey(**values, grey=limits)


def survey(
    images: Mapping[int, NDArray[Any]],
    model: Model,
    *,
    diameter: float | None = None,
    device: torch.device | str = "cpu",
    progress: Progress = silent,
) -> Survey:
    """Look at some frames of a movie, or at a single image.

    Parameters
    ----------
    images : Mapping[int, NDArray[Any]]
        Frame number → grey values (Y, X) or (Z, Y, X), of which the slice with the most contrast is looked at.
    diameter : float | None
        Of the cells in pixels of the image; ``None``: it is found, if the model knows the diameter of its own. A model
        that was made for one movie sees cells as wide as they are there, unless most votes are for another diameter.

    Raises
    ------
    InputError
        If a diameter is given for a model that does not know its own.
    """
    trained = None if model.diameter is None else model.diameter * model.preprocessing.scale
    if diameter is not None and trained is None:
        raise InputError("This model does not say how wide the cells of its training were: leave out --diameter.")
    numbers = sorted(images)
    looked_at = _spread(numbers, SAMPLES if len(numbers) >= 10 * SAMPLES else min(3, len(numbers)))
    base = trained or (model.diameter or USUAL_DIAMETER) * model.preprocessing.scale
    # Where a model has learnt from images in which cells hardly stand out (DIC), this speaks against none of them.
    faint = 1.0 if (model.info.get("darkness") or 0) > DARK * LIGHT else FAINT
    factors: Sequence[float] | None = None
    usual = diameter or model.native_diameter or base
    if diameter is not None:
        factors = [base / diameter * step for step in (0.5**0.5, 1, 2**0.5)]
    elif trained is None:
        factors = [0.5**0.5, 1.0, 2**0.5]
    planes: dict[int, NDArray[Any]] = {}
    seen: dict[int, Sightings] = {}
    begin: float | None = None
    flat = False
    for done, number in enumerate(looked_at):
        progress("look", done, len(looked_at), f"frame {number}")
        try:
            image = mend(np.asarray(images[number]))
        except InputError:
            continue  # told where the frame itself is segmented
        planes[number], flat = plane_of(image), image.ndim == 2
        if factors is not None:
            seen[number] = look(model, planes[number], factors, device=device)
        else:
            seen[number] = search(model, planes[number], begin=begin, faint=faint, device=device)
            begin = find_diameter(density(seen[number], base, faint), seen[number], base)
    progress("look", len(looked_at), len(looked_at))
    votes = {number: density(sightings, base, faint) for number, sightings in seen.items()}
    total = sum(votes.values(), np.zeros(len(GRID)))
    found, factor = diameter, base / usual
    if diameter is None and seen:
        found = find_diameter(total, join(list(seen.values())), base)
        if found is not None and trained is not None:
            factor = base / _seen_as(total, usual, found)
            around = near(join(list(seen.values())), factor)
            clear = around.clearness[~np.isnan(around.clearness)]
            if len(clear) and np.median(clear) < LEAST and not at_one(around):
                # What stands out neither from noise nor from one size to the next has no scale.
                found, factor = None, base / usual
    made_for_it = diameter is None and model.native_diameter is not None and factor == base / usual
    factor = 1.0 if abs(factor - 1) <= SAME else factor
    grey = {}
    for number in _spread(numbers, min(GREY_SAMPLES, len(numbers))):
        if number in planes:
            grey[number] = limits_at(model, planes[number], factor)
        else:
            try:
                grey[number] = limits_at(model, plane_of(mend(np.asarray(images[number]))), factor)
            except InputError:
                continue
    near_by = near(join(list(seen.values())), factor) if seen else None
    dark = median_of(near_by, "darkness")
    if dark is None and planes:  # hardly anything was found: the images as a whole
        dark = round(float(np.median([darkness_of(model, plane) for plane in planes.values()])), 3)
    own = [find_diameter(votes[number], seen[number], base) for number in seen] if factors is None else []
    other = None
    stand_out = not made_for_it and must_stand_out(near_by)
    if (
        own
        and found is not None
        and stand_out
        and flat
        and not is_dark(model, dark)
        and model.instances.method == "tree"
    ):
        holding = [n for n in seen if np.interp(np.log(found), GRID, votes[n]) >= LEAST_VOTES][:OTHER_SAMPLES]
        other = find_other_size(
            model,
            [planes[n] for n in holding],
            [grey.get(n) or limits_at(model, planes[n], factor) for n in holding],
            Size(found, factor),
            base,
            least=FEWEST if judge_fit(model, near_by, dark) else 0,
            device=device,
        )
    if other is not None and found is not None:  # each size is judged by what is found of it
        near_by = join(
            [as_wide(near(join(list(seen.values())), base / size), size, APART**0.5) for size in (found, other)]
        )
    stills = _why_stills(images, [one for one in own if one is not None], [d for d in (found, other) if d], grey)
    return Survey(
        trained=trained,
        diameter=found,
        other=other,
        given=diameter is not None,
        factor=factor,
        fits=judge_fit(model, near_by, dark),
        agreement=median_of(near_by, "agreement"),
        sureness=median_of(near_by, "sureness"),
        darkness=dark,
        stand_out=stand_out,
        stills=stills,
        grey=grey,
    )


def plane_of(image: NDArray[Any]) -> NDArray[Any]:
    """The image itself, or the slice of a stack with the most contrast."""
    if image.ndim != 3:
        return image
    plane: NDArray[Any] = image[int(np.argmax([float(np.std(each[::2, ::2])) for each in image]))]
    return plane


def _spread(numbers: list[int], count: int) -> list[int]:
    """``count`` of the frames, evenly spread, with the first and the last."""
    return [numbers[round(i)] for i in np.linspace(0, len(numbers) - 1, count)] if count else []


def _seen_as(votes: NDArray[np.float64], usual: float, found: float) -> float:
    """The diameter that the net takes cells to have: the usual one unless another one has far more votes."""
    own = float(np.interp(np.log(usual), GRID, votes))
    return usual if max(found / usual, usual / found) <= SAME_SIZE or own >= OWN * float(votes.max()) else found


def _why_stills(
    images: Mapping[int, NDArray[Any]],
    own: list[float],
    found: list[float],
    grey: Mapping[int, Limits],
) -> str:
    """Why frames are not of one movie; empty if they are."""
    sources = getattr(images, "sources", None)
    shapes = {source.shape for source in sources.values()} if sources else {np.shape(images[k]) for k in images}
    if len(shapes) > 1:
        return "their sizes differ"
    other = sum(min(max(one / size, size / one) for size in found) > OTHER_SCALE for one in own) if found else 0
    if len(own) > 2 and other > len(own) // 4:
        return "their cells differ in size"
    order = sorted(grey)
    overlaps = [_overlap(grey[a], grey[b]) for a, b in pairwise(order)]
    if len(overlaps) > 2 and sum(overlap < OTHER_GREY for overlap in overlaps) > len(overlaps) / 2:
        return "their grey values differ"
    return ""


def _overlap(a: Limits, b: Limits) -> float:
    """Intersection over union of two ranges."""
    both = min(a[1], b[1]) - max(a[0], b[0])
    return max(both, 0.0) / max(max(a[1], b[1]) - min(a[0], b[0]), 1e-12)
