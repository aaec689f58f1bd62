"""A certificate: how many decisions are wrong, from the answers of a person to a random sample of them.

Decisions are drawn with replacement, the doubtful ones more often: in proportion to ``√(p (1 − p))``, where ``p`` is
the probability of being wrong, which makes the estimate as narrow as it can be if the probabilities are right; every
fifth draw is uniform, so that it stays unbiased and narrow enough if they are not. The estimate is the expected
number plus what the answers differ from it (the *difference estimator* of survey sampling, Särndal et al. 1992).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from celltrail.data.types import BoolArray, FloatArray, IntArray
from celltrail.data.words import counted

UNIFORM = 0.2  # share of the draws that do not look at the probabilities
QUANTILE = 1.96  # of the normal distribution: 95 % lie within


@dataclass(frozen=True)
class Certificate:
    """An error rate that rests on answers.

    Attributes
    ----------
    decisions, answered, unsure : int
        All decisions, the answers right or wrong, and those that said "cannot tell".
    wrong : float
        How many decisions are wrong, by an unbiased estimate.
    interval : tuple[float, float]
        95 % of it.
    """

    decisions: int
    answered: int
    unsure: int
    wrong: float
    interval: tuple[float, float]

    @property
    def sentence(self) -> str:
        """The certificate for people."""
        rate, low, high = (100 * value / max(self.decisions, 1) for value in (self.wrong, *self.interval))
        unsure = f"; {self.unsure} could not be told" if self.unsure else ""
        return (
            f"{self.wrong:,.0f} of {counted(self.decisions, 'decision')} are wrong (95 % interval {self.interval[0]:,.0f} to "
            f"{self.interval[1]:,.0f}): {rate:.2g} % ({low:.2g} to {high:.2g} %), by {counted(self.answered, 'answer')}{unsure}"
        )


def chances(doubt: FloatArray) -> FloatArray:
    """With which probability each decision is the next to be drawn, float64 (k,), summing to 1."""
    size = np.sqrt(doubt * (1 - doubt))
    total = float(size.sum())
    even = np.full(len(doubt), 1 / max(len(doubt), 1))
    return even if total <= 0 else (1 - UNIFORM) * size / total + UNIFORM * even


def draw_in_order(doubt: FloatArray, count: int, seed: int = 0) -> IntArray:
    """The numbers of decisions drawn at random, one after the other, some of them several times; int64 (count,).

    The first draws are a sample as well: a person may stop anywhere.
    """
    drawn = np.random.default_rng(seed).choice(len(doubt), size=count, p=chances(doubt))
    return np.asarray(drawn, dtype=np.int64)


def draw(doubt: FloatArray, count: int, seed: int = 0) -> tuple[IntArray, IntArray]:
    """Decisions drawn at random: their numbers, ordered, and how often each was drawn; int64 (k,) each."""
    drawn, times = np.unique(draw_in_order(doubt, count, seed), return_counts=True)
    return drawn, times.astype(np.int64)


def certify(doubt: FloatArray, drawn: IntArray, times: IntArray, wrong: BoolArray, told: BoolArray) -> Certificate:
    """The certificate from answers.

    Parameters
    ----------
    doubt : FloatArray
        float64 (k,), the probability of each decision of the result of being wrong.
    drawn, times : IntArray
        What `draw` gave.
    wrong, told : BoolArray
        bool, of the drawn: whether it is wrong, and whether it could be told. Those that could not are taken to be as
        often wrong as those that could.
    """
    n = int(times[told].sum())
    expected = float(doubt.sum())
    if n == 0:
        return Certificate(len(doubt), 0, int((~told).sum()), expected, (0.0, float(len(doubt))))
    chance, at = chances(doubt), drawn[told]
    difference = (wrong[told].astype(np.float64) - doubt[at]) / chance[at]
    shift = float(np.average(difference, weights=times[told]))
    seen = float(np.average((difference - shift) ** 2, weights=times[told]))
    assumed = float((doubt * (1 - doubt) / chance).sum())  # few answers show few surprises
    error = QUANTILE * np.sqrt(max(seen, assumed) / n)
    found = int(wrong[told].sum())
    wrong_total = min(max(expected + shift, 0.0), float(len(doubt)))
    low = max(expected + shift - error, float(found))
    high = min(max(expected + shift + error, float(found)), float(len(doubt)))
    return Certificate(len(doubt), int(told.sum()), int((~told).sum()), wrong_total, (min(low, high), high))
