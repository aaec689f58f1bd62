"""One frame segmented before the whole movie is: does this model fit these images?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.registry import Movie
from celltrail.data import InputError
from celltrail.data.pictures.render import outline_image
from celltrail.data.words import counted


@dataclass(frozen=True)
class Trial:
    """What a model finds in a frame: picture with outlines, number of cells, their diameter, and whether it fits.

    ``diameter`` : in pixels; ``None`` where no cell was found. ``fits`` : ``None`` where there is nothing to judge by.
    """

    picture: NDArray[Any]
    cells: int
    diameter: float | None
    fits: bool | None

    @property
    def in_words(self) -> str:
        """One sentence."""
        if self.diameter is None or not self.cells:
            return "No cells were found in this frame: try another model, or train one on a few frames."
        text = f"{counted(self.cells, 'cell')}, about {self.diameter:.0f} pixels across."
        if self.fits is False:
            text += " These images look like nothing that the model knows: look closely, or train one on a few frames."
        return text


def try_model(movie: Movie, model: str, frame: int, diameter: float | None = None) -> Trial:
    """Segment one frame as ``celltrail segment`` would: the scale is found on a few frames of the movie.

    Raises
    ------
    InputError
        If the model or the images cannot be read.
    """
    if movie.images is None:
        raise InputError("This movie has no images to segment.")
    return _try_model(movie, content.images_stamp(movie), model, frame, diameter)


@lru_cache(maxsize=8)
def _try_model(movie: Movie, _stamp: str, model: str, frame: int, diameter: float | None) -> Trial:
    from celltrail.segmentation.net.checkpoint import load_model
    from celltrail.segmentation.prediction.first_look import survey
    from celltrail.segmentation.prediction.grey import mend
    from celltrail.segmentation.prediction.movie import label_frame, survey_of_still, view

    images = content.open_movie(movie)
    assert images is not None
    loaded = load_model(model)
    found = survey(images, loaded, diameter=diameter, device="cpu")
    image = mend(np.asarray(images[frame]))
    own = survey_of_still(found, frame, image, loaded, "cpu") if found.stills else found
    labels = label_frame(loaded, image, tta=None, memory_mb=1024, device="cpu", **view(own, loaded, frame, image))
    picture = outline_image(np.asarray(images[frame]), labels, limits=content.grey_range(movie))
    return Trial(picture, len(np.unique(labels)) - int((labels == 0).any()), own.diameter, own.fits)
