"""How sure a difference is: lineages of the truth are drawn again, the same ones for every variant."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.evaluation.comparing.lineages import Sums, measures_of_sums

FloatArray = NDArray[np.float64]
DRAWS = 5000
LEVEL = 0.95
MOST_UNDEFINED = 0.5  # share of draws without a value above which no interval is given


@dataclass(frozen=True)
class Interval:
    """A value with its interval; ``low`` and ``high`` are ``None`` where too few draws define the measure."""

    value: float
    low: float | None
    high: float | None

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of zero."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def draw_lineages(count: int, *, draws: int = DRAWS, seed: int = 0) -> FloatArray:
    """How often each lineage is drawn: float64 (draws, count); each row sums to ``count``."""
    random = np.random.default_rng(seed)
    return random.multinomial(count, np.full(count, 1 / count), size=draws).astype(np.float64)


def measures_of_draws(sums: Sums, weights: FloatArray) -> dict[str, FloatArray]:
    """Every measure for every draw, from the sums per lineage."""
    names = list(sums)
    totals = weights @ np.stack([sums[name] for name in names], axis=1)
    return measures_of_sums({name: totals[:, n] for n, name in enumerate(names)})


def interval(value: float, draws: FloatArray, level: float = LEVEL) -> Interval:
    """A value with the percentiles of its draws."""
    defined = draws[~np.isnan(draws)]
    if len(defined) < MOST_UNDEFINED * len(draws):
        return Interval(value, None, None)
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return Interval(value, float(low), float(high))


def two_sided(draws: FloatArray) -> float | None:
    """Twice the share of draws on the far side of zero: a p-value of the difference; ``None`` if undefined."""
    defined = draws[~np.isnan(draws)]
    if len(defined) < MOST_UNDEFINED * len(draws):
        return None
    tail = min(float(np.mean(defined <= 0)), float(np.mean(defined >= 0)))
    return min(1.0, max(2 * tail, 1 / len(defined)))


def correct_for_many(values: Mapping[str, float]) -> dict[str, float]:
    """Holm's correction of several p-values."""
    ordered = sorted(values.items(), key=lambda item: item[1])
    corrected, highest = {}, 0.0
    for rank, (name, value) in enumerate(ordered):
        highest = max(highest, min(1.0, value * (len(ordered) - rank)))
        corrected[name] = highest
    return corrected
