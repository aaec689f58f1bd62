"""Whether a model knows what it sees: it is at one with itself, and what is dark and what is bright lie as it has learnt."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.contrast import darkness, roughness
from celltrail.segmentation.prediction.grey import normalise
from celltrail.segmentation.prediction.scale import Sightings
from celltrail.segmentation.prediction.tiles import limits_at

FITS = 0.75  # agreement between neighbouring sizes from which a model knows what it sees; nuclei: .8 to .95
SURE = 0.77  # or sureness; nuclei: .82 to .95, whole cells and inverted nuclei .54 to .71
DARK = 2.0  # times the darkness of what a model has learnt from, from which images are of another kind
LIGHT = 0.06  # darkness of fluorescence
CLEAR = 5.0  # deviations of the background by which cells stand out where they are brighter at all


def median_of(found: Sightings | None, name: str) -> float | None:
    """Median of a column of what was found; ``None`` where it says nothing."""
    if found is None or len(found.agreement) < 3 or np.isnan(values := getattr(found, name)).all():
        return None
    return round(float(np.nanmedian(values)), 3)


def at_one(found: Sightings | None) -> bool:
    """Whether the net sees the same at neighbouring sizes, or is sure of where the middle of each cell is."""
    return (median_of(found, "agreement") or 0) >= FITS or (median_of(found, "sureness") or 0) >= SURE


def darkness_of(model: Model, plane: NDArray[Any]) -> float:
    """`darkness` of a plane in which no cells are known; 0 where there is nothing to see."""
    step = max(1, round(min(plane.shape) / 512))
    seen = normalise(plane, limits_at(model, plane, 1.0))[::step, ::step]
    return float(np.nan_to_num(darkness(seen, np.zeros(seen.shape, dtype=np.int32), roughness(seen))))


def judge_fit(model: Model, found: Sightings | None, dark: float | None) -> bool | None:
    """Whether a model knows what it sees: it must be at one with itself, and what is dark and bright lie as it has learnt."""
    if is_dark(model, dark):
        return False
    return None if median_of(found, "agreement") is None else at_one(found)


def is_dark(model: Model, dark: float | None) -> bool:
    """Whether what is dark and bright lie otherwise than in the images that a model has learnt from."""
    learnt = model.info.get("darkness")
    return learnt is not None and dark is not None and dark > DARK * max(float(learnt), LIGHT)


def must_stand_out(found: Sightings | None) -> bool:
    """Whether cells must be brighter than their surroundings."""
    clearness = median_of(found, "clearness")
    # Where cells are no brighter than their surroundings (DIC), yet the model is at one with itself, contrast says nothing.
    return not at_one(found) or (clearness is not None and clearness >= CLEAR)
