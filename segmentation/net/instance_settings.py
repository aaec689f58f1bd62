"""How cells are read from the maps of a net: what is kept with every model."""

from __future__ import annotations

from dataclasses import dataclass

# Log-odds of being a cell, whole and alone: a constant, then a weight for each of `candidates.features`, so that an
# isolated cell of the usual size stands at about 6. ROUND was chosen by hand; FLAT, for large flat cells with faint
# common edges, by cross-validation on DIC-C2DH-HeLa 01 (each half of the movie chose for the other) and rounded.
ROUND = (-3.0, 4.0, 4.0, 3.0, -0.5)
FLAT = (-5.0, 4.0, 3.0, 6.0, -1.3)
SCORES = {"round": ROUND, "flat": FLAT}


@dataclass(frozen=True)
class InstanceSettings:
    """How cells are read from the maps.

    Attributes
    ----------
    method : str
        "tree" (the best choice among nested candidates, see ``candidates``), "watershed" from seeds, or
        "components" (connected components of the foreground).
    threshold : float
        A pixel is cell where its probability is at least this.
    seed : float
        A seed is a connected region where the map of seeds (the distance if the net has it, else the probability)
        is at least this.
    min_size : int
        Smaller objects are removed, pixels. 0 keeps all.
    min_seed : int
        Smaller seeds do not count, pixels.
    grow : int
        A gap between two cells is closed up to this many pixels from either side: the border that was carved for
        training is given back.
    score : tuple[float, ...]
        Weights by which "tree" chooses: `ROUND`, `FLAT`, or others.
    """

    method: str = "tree"
    threshold: float = 0.5
    seed: float = 0.5
    min_size: int = 20
    min_seed: int = 4
    grow: int = 1
    score: tuple[float, ...] = ROUND
