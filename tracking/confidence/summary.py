"""What the probabilities say of a movie as a whole: how many decisions are expected to be wrong, and in what interval."""

from __future__ import annotations

from typing import Any

import numpy as np

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.data.graph.confidence import Confidence, chosen_past, pairs_of, past_given_used
from celltrail.data.types import FloatArray
from celltrail.data.words import counted
from celltrail.tracking.confidence.readings import doubtful_masks
from celltrail.tracking.confidence.temperature import Calibration, appearance_of

UNLIKE = 1.25  # a movie this much beyond what calibration has seen is unlike it
WIDER = 1.25  # and its interval is so much wider, in the logarithm
GUESSED = "the model that made the masks does not know such images"
MISSED = 1.5  # what a missing link costs in LNK, where a wrong one costs 1


def summarise(
    candidates: Candidates,
    solution: Solution,
    confidence: Confidence,
    calibration: Calibration,
    *,
    guessed: bool = False,
) -> dict[str, Any]:
    """What ``run.json`` says under ``confidence``.

    Parameters
    ----------
    candidates : Candidates
    solution : Solution
    confidence : Confidence
    calibration : Calibration
        What the temperature was learned from, and how far movies are from what is expected of them.
    guessed : bool
        The model that made the masks does not know such images, so that the masks themselves may be wrong.

    Returns
    -------
    dict
        ``decisions`` (pasts of the cells after the first frame), ``expected_wrong``, its 90 % ``interval``,
        ``expected_wrong_links``, ``expected_wrong_divisions``, ``expected_misread_masks`` (groups that stand or fall
        together), ``expected_LNK``, ``temperature``,
        ``alternatives_to_masks`` (how many), ``unlike`` (sentences on what calibration has not seen), ``sentence``.
    """
    doubt = 1 - past_given_used(candidates, solution, confidence)
    asked = np.isfinite(doubt)
    past = chosen_past(candidates, solution)
    expected = float(doubt[asked].sum())
    unlike = [*compare_with_seen(appearance_of(candidates, solution), calibration), *([GUESSED] if guessed else [])]
    low, high = interval_of(expected, calibration.spread * (WIDER if unlike else 1.0), int(asked.sum()))
    misread = float(doubtful_masks(candidates, solution, confidence)[1].sum())
    alternatives = len(np.unique(candidates.clique_detection))
    chosen = solution.division_chosen
    return {
        "decisions": int(asked.sum()),
        "expected_wrong": round(expected, 3),
        "interval": [low, high],
        "expected_wrong_links": round(float(doubt[asked & (past >= 0)].sum()), 3),
        "expected_wrong_divisions": round(float((1 - confidence.division[chosen].astype(np.float64)).sum()), 3),
        "expected_misread_masks": round(misread, 3),
        "expected_LNK": expected_lnk(candidates, solution, confidence),
        "temperature": confidence.temperature,
        "alternatives_to_masks": alternatives,
        "unlike": unlike,
        "sentence": _sentence(expected, int(asked.sum()), low, high, alternatives, misread, unlike),
    }


def interval_of(expected: float, spread: float, most: int) -> tuple[int, int]:
    """The 90 % interval of the number of errors: chance, and movies that differ by ``spread`` (negative binomial)."""
    from scipy.stats import nbinom

    if expected <= 0:
        return 0, 0
    k = 1 / np.expm1(spread**2)
    low, high = (int(nbinom.ppf(share, k, k / (k + expected))) for share in (0.05, 0.95))
    return min(low, most), min(high, most)


def compare_with_seen(look: dict[str, float], calibration: Calibration) -> list[str]:
    """In what a movie is unlike those that the probabilities were calibrated on, as sentences."""
    words = {"step": "cells move {} diameters a frame", "distance": "cells lie {} diameters apart"}
    return [
        f"{words[name].format(f'{look[name]:.2g}')} (calibrated on {low:.2g} to {high:.2g})"
        for name, (low, high) in calibration.seen.items()
        if name in words and not low / UNLIKE <= look[name] <= high * UNLIKE
    ]


def expected_lnk(candidates: Candidates, solution: Solution, confidence: Confidence) -> float | None:
    """The measure LNK that these probabilities expect; ``None`` where no link is expected."""
    pairs, past = pairs_of(candidates, confidence), chosen_past(candidates, solution)
    chosen = pairs.source == past[pairs.target]
    true = float(pairs.probability.sum())
    if true <= 0:
        return None
    wrong = float((1 - pairs.probability[chosen]).sum())
    missing = float(pairs.probability[~chosen].sum())
    kind = float(_other_kind(candidates, solution, confidence).sum())
    cost = wrong + MISSED * missing + kind
    return round(max(1 - cost / (MISSED * true), 0.0), 6)


def _other_kind(candidates: Candidates, solution: Solution, confidence: Confidence) -> FloatArray:
    """The probability that a chosen link is a division, and the other way round; float64 (k,), summed by its reader."""
    links, divisions, n = candidates.links, candidates.divisions, max(len(candidates.detections), 1)
    code = links.source * n + links.target
    daughters = np.concatenate([divisions.mother * n + divisions.first, divisions.mother * n + divisions.second])
    born = np.concatenate([confidence.division, confidence.division]).astype(np.float64)
    divided = np.concatenate([solution.division_chosen, solution.division_chosen])
    as_division = born[np.isin(daughters, code[solution.link_chosen])]
    as_link = confidence.link[np.isin(code, daughters[divided])].astype(np.float64)
    return np.concatenate([as_division, as_link])


def _sentence(
    expected: float, decisions: int, low: int, high: int, alternatives: int, misread: float, unlike: list[str]
) -> str:
    masks = (
        f"alternatives to the masks ({alternatives:,}) were weighed as well ({_about(misread)} may be misread)"
        if alternatives
        else "the masks are taken as given"
    )
    odd = f"; less is known about movies like this: {' and '.join(unlike)}" if unlike else ""
    verb = "is" if expected < 1.5 else "are"
    return f"{_about(expected)} of {counted(decisions, 'link')} {verb} expected to be wrong (90 % interval {low:,} to {high:,}); {masks}{odd}"


def _about(expected: float) -> str:
    return f"about {expected:,.0f}" if expected >= 1.5 else "about one" if expected >= 0.5 else "fewer than one"
