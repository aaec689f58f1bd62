"""How cells are read from the maps of a net: what is kept with every model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from celltrail.data.settings import Option, described, setting

# Log-odds of being a cell, whole and alone: a constant, then a weight for each of `hypotheses.features`, so that an
# isolated cell of the usual size stands at about 6. ROUND was chosen on the training images of `nuclei` (either half of
# them found as much for the other) and rounded; FLAT, for large flat cells with faint common edges, by cross-validation
# on DIC-C2DH-HeLa 01 (each half of the movie chose for the other), likewise, and such cells may be of any shape.
ROUND = (-0.5, 8.0, 1.5, 1.5, -0.8, 10.0)
FLAT = (-5.0, 4.0, 3.0, 6.0, -1.3, 0.0)
SCORES = {"round": ROUND, "flat": FLAT}


@described
@dataclass(frozen=True)
class InstanceSettings:
    """How cells are read from the maps."""

    method: str = setting(
        "tree",
        Option(
            'The best choice among nested candidates ("tree", see ``candidates``), regions around seeds ("watershed"), '
            'or connected components of the foreground ("components").',
            choices=("tree", "watershed", "components"),
        ),
    )
    threshold: float = setting(
        0.5, Option("A pixel is cell where its probability is at least this.", minimum=0, maximum=1)
    )
    seed: float = setting(
        0.5,
        Option(
            "A seed is a connected region where the map of seeds (the distance if the net has it, else the "
            "probability) is at least this.",
            minimum=0,
            maximum=1,
        ),
    )
    min_size: int = setting(20, Option("Smaller objects are removed, pixels; 0 keeps all.", minimum=0, maximum=10**9))
    min_seed: int = setting(4, Option("Smaller seeds do not count, pixels.", minimum=0, maximum=10**9))
    grow: int = setting(
        1,
        Option(
            "A gap between two cells is closed up to this many pixels from either side: the border that was carved "
            "for training is given back.",
            minimum=0,
            maximum=1000,
        ),
    )
    score: tuple[float, ...] = setting(ROUND, Option('Weights by which "tree" chooses: `ROUND`, `FLAT`, or others.'))


def scaled_settings(settings: InstanceSettings, factor: float) -> InstanceSettings:
    """The settings for an image that the net saw enlarged by ``factor``, and whose maps have its own size again."""
    if factor == 1:
        return settings
    return replace(
        settings,
        min_size=round(settings.min_size / factor**2),
        min_seed=round(settings.min_seed / factor**2),
        grow=round(settings.grow / factor),
    )
