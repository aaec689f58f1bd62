"""How probable the choices of a solution are: ``confidence.*`` in ``graph.npz``, and what follows for cells and tracks.

Two questions are asked of every detection that is used: what was its *past* (it appears, continues a cell, is a
daughter), and what is its *future* (it disappears, continues, divides). The probability that one cell is the past
of another is that of their link and of all divisions that contain the pair.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import Candidates, Solution, load_graph
from celltrail.data.regular import open_regular
from celltrail.data.types import FloatArray, IntArray

Probability = NDArray[np.float32]
LEAST_USE = 1e-6  # probability of a detection that is used, in quotients
NOTHING, UNUSED = -1, -2  # instead of a row: it appears or disappears; it is left out


@dataclass(frozen=True, eq=False)
class Confidence:
    """Marginal probabilities of the variables of `celltrail.data.graph.candidates.Candidates`, chosen or not.

    Attributes
    ----------
    link : Probability
        float32 (m,).
    division : Probability
        float32 (d,).
    appear, disappear, used : Probability
        float32 (n,).
    temperature : float
        What the costs were divided by.
    """

    link: Probability
    division: Probability
    appear: Probability
    disappear: Probability
    used: Probability
    temperature: float

    def arrays(self) -> dict[str, Any]:
        """What ``graph.npz`` holds of it, by name."""
        return {f"confidence.{column.name}": np.asarray(getattr(self, column.name)) for column in fields(self)}


@dataclass(frozen=True, eq=False)
class Pairs:
    """Who may be the past of whom, ordered by (target, source).

    Attributes
    ----------
    source, target : IntArray
        int64 (k,), rows of the detections.
    probability : FloatArray
        float64 (k,).
    """

    source: IntArray
    target: IntArray
    probability: FloatArray


def pairs_of(candidates: Candidates, confidence: Confidence) -> Pairs:
    """The probability that one cell is the past of another, as the same cell or as its mother."""
    links, divisions, n = candidates.links, candidates.divisions, len(candidates.detections)
    source = np.concatenate([links.source, divisions.mother, divisions.mother]).astype(np.int64)
    target = np.concatenate([links.target, divisions.first, divisions.second]).astype(np.int64)
    value = np.concatenate([confidence.link, confidence.division, confidence.division]).astype(np.float64)
    code, index = np.unique(target * max(n, 1) + source, return_inverse=True)
    total = np.bincount(index, weights=value, minlength=len(code)).astype(np.float64) if len(code) else np.zeros(0)
    return Pairs(code % max(n, 1), code // max(n, 1), np.minimum(total, 1.0))


def chosen_past(candidates: Candidates, solution: Solution) -> IntArray:
    """The row of the past of each detection, int64 (n,); `NOTHING` where it appears, `UNUSED` if left out."""
    links, divisions = candidates.links, candidates.divisions
    past = np.where(solution.used, NOTHING, UNUSED)
    past[links.target[solution.link_chosen]] = links.source[solution.link_chosen]
    for daughter in (divisions.first, divisions.second):
        past[daughter[solution.division_chosen]] = divisions.mother[solution.division_chosen]
    return past


def past_probability(candidates: Candidates, solution: Solution, confidence: Confidence) -> FloatArray:
    """The probability that the chosen past of each detection is right, float64 (n,); NaN where it is not used.

    A detection of the first frame has no past to be wrong about: NaN as well.
    """
    past, pairs, n = chosen_past(candidates, solution), pairs_of(candidates, confidence), len(solution.used)
    right = np.where(past == NOTHING, confidence.appear.astype(np.float64), np.nan)
    mine = pairs.source == past[pairs.target]
    right[pairs.target[mine]] = pairs.probability[mine]
    frame = candidates.detections.frame
    right[frame == (frame.min() if n else 0)] = np.nan
    return right


def past_given_used(candidates: Candidates, solution: Solution, confidence: Confidence) -> FloatArray:
    """The same if the detection is a cell at all, as the solution says: the probability of the past over that of its use.

    Whether a mask was rightly read is a question of its own, and the same for all of its links.
    """
    used = np.maximum(confidence.used.astype(np.float64), LEAST_USE)
    return np.minimum(past_probability(candidates, solution, confidence) / used, 1.0)


def future_probability(candidates: Candidates, solution: Solution, confidence: Confidence) -> FloatArray:
    """The same for the chosen future: whether it disappears, continues as that cell, or divides into those two."""
    links, divisions = candidates.links, candidates.divisions
    right = np.where(solution.disappears & solution.used, confidence.disappear.astype(np.float64), np.nan)
    right[links.source[solution.link_chosen]] = confidence.link[solution.link_chosen]
    right[divisions.mother[solution.division_chosen]] = confidence.division[solution.division_chosen]
    frame = candidates.detections.frame
    right[frame == frame.max(initial=0)] = np.nan
    return right


def load_with_confidence(path: Path) -> tuple[Candidates, Solution, IntArray, Confidence]:
    """Read ``graph.npz`` with its probabilities: candidates, solution, track of each detection, confidence.

    Raises
    ------
    InputError
        If the file is missing, holds no solution, or no probabilities (an earlier version made it).
    """
    candidates, solution, track = load_graph(path)
    confidence = read_confidence(path)
    if solution is None or track is None:
        raise InputError(f"{path} holds candidates without a solution: run 'celltrail track' first.")
    if confidence is None:
        raise InputError(f"{path} holds no probabilities (an earlier version made it): run 'celltrail track' again.")
    return candidates, solution, track, confidence


def read_confidence(path: Path) -> Confidence | None:
    """What ``graph.npz`` says of it; ``None`` for a result of an earlier version."""
    with open_regular(path) as stream, np.load(stream, allow_pickle=False) as archive:
        if any(f"confidence.{column.name}" not in archive for column in fields(Confidence)):
            return None
        values = {column.name: archive[f"confidence.{column.name}"] for column in fields(Confidence)}
    return Confidence(**{**values, "temperature": float(values["temperature"])})
