"""What a few frames tell about a movie before it is segmented: how wide cells are, which grey values, whether the model fits.

A movie has one scale, and grey values that change slowly (bleaching). Frames that do not agree are stills: each is looked
at alone.
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
from celltrail.segmentation.prediction.contrast import LEAST, darkness, roughness
from celltrail.segmentation.prediction.grey import Limits, mend, normalise
from celltrail.segmentation.prediction.ladder import look, search
from celltrail.segmentation.prediction.scale import FAINT, GRID, Sightings, density, find_diameter, join, near
from celltrail.segmentation.prediction.tiles import USUAL_DIAMETER, limits_at

logger = logging.getLogger("celltrail")
SAME_SIZE = 1.25  # cells less different than this from those that the model was made for are seen as these are
OWN = 0.5  # so are they where the diameter of these has at least this part of the most votes
FITS = 0.75  # agreement between neighbouring sizes from which a model knows what it sees; nuclei: .8 to .95
SURE = 0.77  # or sureness; nuclei: .82 to .95, whole cells and inverted nuclei .54 to .71
DARK = 2.0  # times the darkness of what a model has learnt from, from which images are of another kind
LIGHT = 0.06  # darkness of fluorescence
CLEAR = 5.0  # deviations of the background by which cells stand out where they are brighter at all
SAME = 0.02  # relative difference of diameters that is none
SAMPLES = 5  # frames that are looked at
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
    values = dict(plain)
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
    for done, number in enumerate(looked_at):
        progress("look", done, len(looked_at), f"frame {number}")
        try:
            planes[number] = plane_of(mend(np.asarray(images[number])))
        except InputError:
            continue  # told where the frame itself is segmented
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
            if len(clear) and np.median(clear) < LEAST and not _at_one(around):
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
    own = [find_diameter(votes[number], seen[number], base) for number in seen] if factors is None else []
    stills = _why_stills(images, [one for one in own if one is not None], found, grey)
    dark = _median(near_by, "darkness")
    if dark is None and planes:  # hardly anything was found: the images as a whole
        dark = round(float(np.median([_darkness_of(model, plane) for plane in planes.values()])), 3)
    return Survey(
        trained=trained,
        diameter=found,
        given=diameter is not None,
        factor=factor,
        fits=_fits(model, near_by, dark),
        agreement=_median(near_by, "agreement"),
        sureness=_median(near_by, "sureness"),
        darkness=dark,
        stand_out=not made_for_it and _must_stand_out(near_by),
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


def _median(found: Sightings | None, name: str) -> float | None:
    """Median of a column of what was found; ``None`` where it says nothing."""
    if found is None or len(found.agreement) < 3 or np.isnan(values := getattr(found, name)).all():
        return None
    return round(float(np.nanmedian(values)), 3)


def _at_one(found: Sightings | None) -> bool:
    """Whether the net sees the same at neighbouring sizes, or is sure of where the middle of each cell is."""
    return (_median(found, "agreement") or 0) >= FITS or (_median(found, "sureness") or 0) >= SURE


def _darkness_of(model: Model, plane: NDArray[Any]) -> float:
    """`darkness` of a plane in which no cells are known; 0 where there is nothing to see."""
    step = max(1, round(min(plane.shape) / 512))
    seen = normalise(plane, limits_at(model, plane, 1.0))[::step, ::step]
    return float(np.nan_to_num(darkness(seen, np.zeros(seen.shape, dtype=np.int32), roughness(seen))))


def _fits(model: Model, found: Sightings | None, dark: float | None) -> bool | None:
    """Whether a model knows what it sees: it must be at one with itself, and what is dark and bright lie as it has learnt."""
    learnt = model.info.get("darkness")
    if learnt is not None and dark is not None and dark > DARK * max(float(learnt), LIGHT):
        return False
    return None if _median(found, "agreement") is None else _at_one(found)


def _must_stand_out(found: Sightings | None) -> bool:
    """Whether cells must be brighter than their surroundings."""
    clearness = _median(found, "clearness")
    # Where cells are no brighter than their surroundings (DIC), yet the model is at one with itself, contrast says nothing.
    return not _at_one(found) or (clearness is not None and clearness >= CLEAR)


def _why_stills(
    images: Mapping[int, NDArray[Any]],
    own: list[float],
    found: float | None,
    grey: Mapping[int, Limits],
) -> str:
    """Why frames are not of one movie; empty if they are."""
    sources = getattr(images, "sources", None)
    shapes = {source.shape for source in sources.values()} if sources else {np.shape(images[k]) for k in images}
    if len(shapes) > 1:
        return "their sizes differ"
    other = sum(max(one / found, found / one) > OTHER_SCALE for one in own) if found else 0
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
