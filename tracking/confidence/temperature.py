"""One temperature: what the costs are divided by, so that as many decisions are wrong as are expected to be.

Costs are the sum of features that know of each other, so they are surer of themselves than they should be. The
temperature is learned on movies with a known lineage, tracked with costs that were learned from others: it is the one
under which the true pasts of the cells are likeliest, a movie with many errors weighing no more than others.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from scipy.spatial import cKDTree

from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import NOTHING, Confidence, chosen_past, past_given_used
from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.tracking.confidence.marginals import compute_confidence

VERSION = 1  # of the entry in a cost file
FEWEST_ERRORS = 10  # fewer tell nothing about a temperature
LEAST = 1e-6  # probability below which a surprise counts no more
UNKNOWN = -3  # instead of a row: nobody can say


@dataclass(frozen=True, eq=False)
class Decisions:
    """The pasts that can be judged: detection (rows), whether the chosen one is wrong, and its probability of that."""

    row: IntArray
    wrong: BoolArray
    doubt: FloatArray


def true_past(cell: IntArray, tracks: Tracks, frame: IntArray) -> IntArray:
    """The row of the true past of each detection, int64 (n,): NOTHING where a lineage begins, else UNKNOWN.

    Parameters
    ----------
    cell : IntArray
        The true track of each detection (`celltrail.tracking.costs.examples.true_cells`), 0 where there is none or
        several.
    """
    past = np.full(len(cell), UNKNOWN)
    order = np.lexsort((frame, cell))
    order = order[cell[order] > 0]
    same = cell[order[1:]] == cell[order[:-1]]
    past[order[1:][same]] = order[:-1][same]
    heads = order[np.append(True, ~same)] if len(order) else order
    tails = dict(zip(cell[order].tolist(), order.tolist(), strict=True))  # the last one stays
    parent = dict(zip(tracks.label.tolist(), tracks.parent.tolist(), strict=True))
    for row in heads.tolist():
        mother = parent.get(int(cell[row]), 0)
        if not mother:
            past[row] = NOTHING
        elif mother in tails and frame[tails[mother]] < frame[row]:
            past[row] = tails[mother]
    return past


def judge(
    candidates: Candidates, solution: Solution, confidence: Confidence, cell: IntArray, tracks: Tracks
) -> Decisions:
    """The chosen pasts against the true ones.

    Left out are cells of the first frame, those that went unseen for longer than the programme allows, and those
    whose chosen past is a mask of several cells, or of none, where the true one is not seen.
    """
    frame = candidates.detections.frame
    truth, chosen = true_past(cell, tracks, frame), chosen_past(candidates, solution)
    doubt = 1 - past_given_used(candidates, solution, confidence)
    jump = np.where(truth >= 0, frame - frame[truth], 1)
    links = candidates.links
    reach = int((frame[links.target] - frame[links.source]).max(initial=1))
    known = (truth != UNKNOWN) & np.isfinite(doubt) & (jump <= reach)
    known &= ~((jump > 1) & (chosen >= 0) & (cell[chosen] == 0))
    row = np.flatnonzero(known)
    return Decisions(row, truth[row] != chosen[row], np.clip(doubt[row], 0.0, 1.0))


@dataclass(frozen=True)
class Calibration:
    """What was learned about how sure to be.

    Attributes
    ----------
    temperature : float
        What costs are divided by.
    spread : float
        Standard deviation, between movies, of the logarithm of counted over expected errors.
    seen : Mapping[str, tuple[float, float]]
        The least and the greatest ``step`` and ``distance`` (see `appearance_of`) of the movies that this was learned from.
    movies : int
        How many they were; 0 where nothing was learned.
    """

    temperature: float = 2.5
    spread: float = 0.5
    seen: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    movies: int = 0

    def as_json(self) -> dict[str, Any]:
        """The entry ``confidence`` of a cost file."""
        return {"version": VERSION, **asdict(self)}


def read_calibration(entry: Any) -> Calibration:
    """The entry ``confidence`` of a cost file; the default where there is none, or one of another version."""
    if not isinstance(entry, Mapping) or entry.get("version") != VERSION:
        return Calibration()
    seen = {str(name): (float(low), float(high)) for name, (low, high) in entry["seen"].items()}
    return Calibration(float(entry["temperature"]), float(entry["spread"]), seen, int(entry["movies"]))


def appearance_of(candidates: Candidates, solution: Solution) -> dict[str, float]:
    """What tells movies apart, in diameters of a typical cell: the usual ``step``, and the ``distance`` of neighbours."""
    d, links = candidates.detections, candidates.links
    position = d.position * np.array(candidates.voxel or (1.0, 1.0, 1.0))
    unit = float(np.prod((candidates.voxel or (1.0, 1.0, 1.0))[3 - candidates.ndim :]))
    area = float(np.median(d.area[solution.used])) * unit if solution.used.any() else unit
    diameter = 2 * (area / np.pi) ** 0.5 if candidates.ndim == 2 else 2 * (0.75 * area / np.pi) ** (1 / 3)
    chosen = solution.link_chosen
    steps = np.linalg.norm(position[links.target[chosen]] - position[links.source[chosen]], axis=1)
    near: list[FloatArray] = []
    for frame in np.unique(d.frame[solution.used]).tolist():
        here = position[(d.frame == frame) & solution.used]
        if len(here) > 1:
            near.append(np.asarray(cKDTree(here).query(here, k=2)[0], dtype=np.float64)[:, 1])
    return {
        "step": float(np.median(steps)) / diameter if len(steps) else 0.0,
        "distance": float(np.median(np.concatenate(near))) / diameter if near else 0.0,
    }


@dataclass(frozen=True, eq=False)
class Known:
    """A tracked movie with a known lineage, see `true_past`."""

    candidates: Candidates
    solution: Solution
    cell: IntArray
    tracks: Tracks


def log_likelihood(decisions: Decisions) -> float:
    """Of what is right and what is wrong, in nats; no single surprise counts for more than 14."""
    likely = np.where(decisions.wrong, decisions.doubt, 1 - decisions.doubt)
    return float(np.log(np.maximum(likely, LEAST)).sum())


def share_of_evidence(decisions: Decisions) -> float:
    """What a movie says of a temperature, in nats: its log-likelihood by error, so that no movie outweighs the others."""
    return log_likelihood(decisions) / max(int(decisions.wrong.sum()), FEWEST_ERRORS)


def calibrate(movies: Sequence[Known]) -> Calibration:
    """The temperature under which the pasts of all movies are likeliest, and how far the movies are from each other.

    Parameters
    ----------
    movies : Sequence[Known]
        Tracked with costs that were not learned from them: else the temperature comes out too low.

    Returns
    -------
    Calibration
        The default where the movies show fewer than 10 errors: too few to learn from.
    """
    judged: dict[float, list[Decisions]] = {}

    def value(temperature: float) -> float:
        judged[temperature] = [
            judge(m.candidates, m.solution, compute_confidence(m.candidates, temperature), m.cell, m.tracks)
            for m in movies
        ]
        return -sum(share_of_evidence(one) for one in judged[temperature])

    start = value(Calibration.temperature)
    if sum(int(one.wrong.sum()) for one in judged[Calibration.temperature]) < FEWEST_ERRORS:
        return Calibration()
    best, least, step = Calibration.temperature, start, 0.6
    while step > 0.04:  # the likelihood has one peak
        for temperature in (round(best - step, 3), round(best + step, 3)):
            if 0.5 <= temperature <= 8 and temperature not in judged and value(temperature) < least:
                best, least = temperature, -sum(share_of_evidence(one) for one in judged[temperature])
                break
        else:
            step /= 2
    expected = np.array([one.doubt.sum() for one in judged[best]])
    counted = np.array([float(one.wrong.sum()) for one in judged[best]])
    looks = [appearance_of(m.candidates, m.solution) for m in movies]
    seen = {name: (min(look[name] for look in looks), max(look[name] for look in looks)) for name in looks[0]}
    return Calibration(best, fit_spread(expected, counted), seen, len(movies))


def fit_spread(expected: FloatArray, counted: FloatArray) -> float:
    """The spread between movies under which the counted errors are likeliest (a negative binomial distribution)."""
    from scipy.special import gammaln

    def value(spread: float) -> float:
        k = 1 / np.expm1(spread**2)
        mean = np.maximum(expected, 1e-6)
        return float(
            np.sum(gammaln(counted + k) - gammaln(k) + k * np.log(k / (k + mean)) + counted * np.log(mean / (k + mean)))
        )

    choices = np.arange(0.2, 1.21, 0.02)
    return round(float(choices[int(np.argmax([value(spread) for spread in choices]))]), 2)
