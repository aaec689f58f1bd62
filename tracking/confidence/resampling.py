"""Solutions drawn at random, as probable as the costs say: every cost is perturbed, and the programme solved again.

*Perturb and MAP* (Papandreou and Yuille 2011): with Gumbel noise of scale ``T`` on every choice, a choice among
exclusive ones is drawn exactly from ``p ∝ exp(−cost / T)``. A link takes the place of an end and a beginning, so these
two share the noise of one choice. Elsewhere it is an approximation, which needs no messages: a check of the marginals
(:mod:`celltrail.tracking.confidence.marginals`), and the way to the spread of whatever depends on a whole solution.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np

from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.points import joined_tracks
from celltrail.data.graph.candidates import NAT, Candidates, Solution
from celltrail.data.types import IntArray
from celltrail.tracking.solving.solver import solve_candidates

WITHIN = (0.05, 0.95)  # of the draws: a 90 % interval


def draw_solutions(candidates: Candidates, temperature: float, count: int, seed: int = 0) -> Iterator[Solution]:
    """Optimal solutions under perturbed costs; their objectives mean nothing.

    Parameters
    ----------
    candidates : Candidates
        With their pins, which are obeyed in every draw.
    temperature : float
        What the costs are divided by, see `celltrail.data.graph.confidence.Confidence`.
    count : int
        How many.
    """
    rng = np.random.default_rng(seed)

    def perturbed(cost: IntArray, share: float) -> IntArray:
        noise = rng.gumbel(-np.euler_gamma, 1.0, len(cost)) * temperature * np.sqrt(share) * NAT
        return np.asarray(cost - np.rint(noise).astype(np.int64), dtype=np.int64)

    table = candidates.detections
    for _ in range(count):
        yield solve_candidates(
            replace(
                candidates,
                detections=replace(
                    table,
                    appear=perturbed(table.appear, 0.5),
                    disappear=perturbed(table.disappear, 0.5),
                    cost=np.where(table.optional, perturbed(table.cost, 1.0), table.cost),
                ),
                links=replace(candidates.links, cost=perturbed(candidates.links.evidence, 1.0)),
                divisions=replace(candidates.divisions, cost=perturbed(candidates.divisions.cost, 1.0)),
            )
        )


def count_lineages(tracks: Tracks) -> dict[str, float]:
    """What is counted in lineages; NaN where there is nothing to take the mean of. Continuations are joined.

    ``tracks``, ``lineages``, ``divisions``, ``cycles`` (from birth by division to division), ``mean_cycle_frames``,
    ``last_generation`` (mean over the tracks that reach the last frame).
    """
    joined, divided = joined_tracks(tracks), tracks.divisions()
    begin: dict[int, int] = {}
    end: dict[int, int] = {}
    mother: dict[int, int] = {}
    generation: dict[int, int] = {}
    rows: list[list[int]] = tracks.rows()[np.argsort(tracks.begin, kind="stable")].tolist()
    for label, first, last, parent in rows:
        one = joined[label]
        begin.setdefault(one, first)
        end[one] = max(end.get(one, last), last)
        if one == label:
            if parent:
                mother[one] = joined[parent]
            generation[one] = generation[mother[one]] + (parent in divided) if parent else 0
    mothers = {joined[label] for label in divided}
    cycles = [end[one] - begin[one] + 1 for one in mother if one in mothers]
    last = max(end.values(), default=0)
    late = [generation[one] for one in end if end[one] == last]
    return {
        "tracks": float(len(end)),
        "lineages": float(len(end) - len(mother)),
        "divisions": float(len(divided)),
        "cycles": float(len(cycles)),
        "mean_cycle_frames": float(np.mean(cycles)) if cycles else float("nan"),
        "last_generation": float(np.mean(late)) if late else float("nan"),
    }


def interval_of_draws(values: list[float], around: float) -> tuple[float, float]:
    """The 90 % interval around a count of the result; NaN where fewer than half of the draws have a value.

    Draws are less tidy than the truth: they have fewer divisions and more lineages than the result. So it is their
    spread around their own median that counts, not where they lie.
    """
    known = np.array(values)[np.isfinite(values)]
    if 2 * len(known) < len(values) or not len(known):
        return float("nan"), float("nan")
    low, high = around + np.quantile(known - np.median(known), WITHIN)
    return max(float(low), 0.0), float(high)
