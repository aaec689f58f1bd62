"""How wide the cells of an image are, found with the net itself: it looks at a ladder of sizes, and what it finds votes.

A net knows cells of one diameter D. Shown a picture at factor s, it finds cells of diameter D / s well, parts of larger ones,
and clumps of smaller ones. So every object at every step of the ladder (`ladder`) votes for its own diameter (in pixels of
the image). A vote counts

* by how near the object is to D in pixels of the net (at the right factor both agree: a fixed point),
* by how well the neighbouring steps find the same object (intersection over union; parts and clumps change with the factor),
* by its contrast, in units of the range of grey values, and hardly at all where it does not stand out from noise.

The sureness of the net is no witness: it is surest where there is nothing. The highest place of the density of votes is the
diameter. What is seen near that diameter also tells whether the net knows such cells at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.segmentation.prediction.contrast import LEAST

NEAR = 0.4  # width of the first part of a vote, in natural logarithms of the diameter
SMOOTH = 0.2  # width of the kernel of the density, likewise
FULL_CONTRAST = 0.3  # from this part of the range on, more contrast does not count more
FAINT = 0.05  # of the vote of an object that does not stand out: enough where nothing does, and cells differ by texture
LEAST_VOTES = 0.5  # about as many cells must be found, or none are
SAME_OBJECT = 0.6  # agreement from which an object is the same at neighbouring steps
COLUMNS = ("factor", "diameter", "agreement", "contrast", "clearness", "sureness", "darkness")
GRID = np.linspace(np.log(3.0), np.log(600.0), 300)  # natural logarithms of the diameters to choose from


@dataclass(frozen=True)
class Sightings:
    """Objects found in an image at all steps of the ladder, a row each.

    Attributes
    ----------
    factor : NDArray[np.float64]
        Of the step.
    diameter : NDArray[np.float64]
        Of a circle of equal area, in pixels of the image.
    agreement : NDArray[np.float64]
        Mean intersection over union with the best partner at the neighbouring steps; NaN where these do not see it.
    contrast : NDArray[np.float64]
        Mean inside minus mean of the ring around, in units of the range of grey values.
    clearness : NDArray[np.float64]
        The same in standard deviations of the background (`contrasts`).
    sureness : NDArray[np.float64]
        Highest value of the net's relative distance to the edge: near 1 in the middle of a cell that it knows; NaN for a
        net without it.
    darkness : NDArray[np.float64]
        Of the step (`darkness`).
    """

    factor: NDArray[np.float64]
    diameter: NDArray[np.float64]
    agreement: NDArray[np.float64]
    contrast: NDArray[np.float64]
    clearness: NDArray[np.float64]
    sureness: NDArray[np.float64]
    darkness: NDArray[np.float64]

    def votes(self, trained: float, faint: float = FAINT) -> NDArray[np.float64]:
        """What each object's vote counts, for a net that knows cells of ``trained`` pixels of the image at factor 1."""
        fit = np.exp(-0.5 * (np.log(self.diameter * self.factor / trained) / NEAR) ** 2)
        contrast = 0.2 + np.clip(np.nan_to_num(self.contrast) / FULL_CONTRAST, 0, 1)
        clear = np.where(np.nan_to_num(self.clearness) >= LEAST, 1.0, faint)
        return fit * np.nan_to_num(self.agreement) ** 2 * contrast * clear


def join(parts: Sequence[Sightings]) -> Sightings:
    """Sightings of several images together."""
    return Sightings(*(np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS))


def density(sightings: Sightings, trained: float, faint: float = FAINT) -> NDArray[np.float64]:
    """Density of the votes over `GRID`; about the number of cells where it is highest.

    Parameters
    ----------
    trained : float
        Diameter of the cells that the net knows, in pixels of the image at factor 1.
    faint : float
        Of the vote of an object that does not stand out.
    """
    distance = np.log(sightings.diameter)[:, None] - GRID
    # A larger object counts a little more: parts are more numerous than the cells that they are parts of.
    votes = sightings.votes(trained, faint) * (sightings.diameter / trained) ** 0.5
    total: NDArray[np.float64] = (votes[:, None] * np.exp(-0.5 * (distance / SMOOTH) ** 2)).sum(axis=0)
    return total


def find_diameter(votes: NDArray[np.float64], sightings: Sightings, trained: float) -> float | None:
    """The diameter of the cells in pixels; ``None`` where hardly anything votes.

    The peak of the density tells at which step cells look as trained; the median of all that is found there is then
    what a person would measure (the votes favour objects of the trained size).

    Parameters
    ----------
    votes : NDArray[np.float64]
        `density` of the sightings.
    """
    best = int(votes.argmax())
    if votes[best] < LEAST_VOTES:
        return None
    peak = float(np.exp(GRID[best]))
    around = near(sightings, trained / peak)
    sure = (np.nan_to_num(around.agreement) > SAME_OBJECT) & (np.abs(np.log(around.diameter / peak)) < np.log(3))
    return float(np.median(around.diameter[sure])) if np.count_nonzero(sure) >= 3 else peak


def near(sightings: Sightings, factor: float) -> Sightings:
    """The objects that the steps around a factor have found."""
    return _chosen(sightings, np.abs(np.log(sightings.factor / factor)) <= np.log(2) / 2 + 1e-9)


def as_wide(sightings: Sightings, diameter: float, times: float) -> Sightings:
    """The objects that are at most some times as wide, or as narrow, as a diameter."""
    return _chosen(sightings, np.abs(np.log(sightings.diameter / diameter)) <= np.log(times))


def _chosen(sightings: Sightings, rows: NDArray[np.bool_]) -> Sightings:
    return Sightings(*(getattr(sightings, name)[rows] for name in COLUMNS))
