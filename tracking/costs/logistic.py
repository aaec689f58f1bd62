"""Logistic regression on named features: small, deterministic, readable."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

RIDGE = 1.0  # strength of the prior that standardised coefficients are near 0 (variance 1/RIDGE)
ITERATIONS = 60
CLOSE = 1e-8


@dataclass(frozen=True)
class Linear:
    """Log-odds as a sum: ``intercept + Σ coefficient · feature``; unknown features count as 0."""

    intercept: float
    coefficients: dict[str, float]

    def terms(self, features: Mapping[str, FloatArray]) -> dict[str, FloatArray]:
        """The contribution of each feature to the log-odds."""
        return {name: value * features[name] for name, value in self.coefficients.items() if name in features}

    def logit(self, features: Mapping[str, FloatArray], n: int) -> FloatArray:
        """Log-odds of ``n`` candidates."""
        total = np.full(n, self.intercept)
        for term in self.terms(features).values():
            total += term
        return total


def fit_logistic(
    features: Mapping[str, FloatArray],
    positive: NDArray[np.bool_],
    *,
    weight: FloatArray | None = None,
    prior: Linear | None = None,
    ridge: float = RIDGE,
) -> Linear:
    """Fit by Newton's method, with a ridge that pulls the coefficients towards those of a ``prior``.

    Parameters
    ----------
    features : Mapping[str, FloatArray]
        Name → float64 (n,).
    positive : NDArray[np.bool_]
        bool (n,).
    weight : FloatArray | None
        float64 (n,), default 1.
    prior : Linear | None
        What to believe without data; all coefficients 0 if not given.
    ridge : float
        How strongly, in examples, for a feature in units of its standard deviation.

    Returns
    -------
    Linear
        In the units of the features. Features that do not vary keep the coefficient of the prior.
    """
    names = list(features)
    if not names or not len(positive):
        return prior or Linear(0.0, dict.fromkeys(names, 0.0))
    believed = np.array([prior.coefficients.get(name, 0.0) if prior else 0.0 for name in names])
    raw = np.stack([features[name] for name in names], axis=1)
    weight = np.ones(len(positive)) if weight is None else weight
    mean, spread = raw.mean(axis=0), raw.std(axis=0)
    varies = spread > 1e-9
    spread = np.where(varies, spread, 1.0)
    design = np.concatenate([np.ones((len(raw), 1)), np.where(varies, (raw - mean) / spread, 0.0)], axis=1)
    start = np.concatenate([[prior.intercept + believed @ mean if prior else 0.0], believed * spread])
    penalty = np.diag([ridge if prior else 1e-6, *[ridge] * len(names)])
    beta = start.copy()
    for _ in range(ITERATIONS):
        p = 1 / (1 + np.exp(-np.clip(design @ beta, -40, 40)))
        gradient = design.T @ (weight * (positive - p)) - penalty @ (beta - start)
        hessian = (design * (weight * np.maximum(p * (1 - p), 1e-9))[:, None]).T @ design + penalty
        step = np.linalg.solve(hessian, gradient)
        step *= min(1.0, 5.0 / max(np.abs(step).max(), 1e-12))
        beta += step
        if np.abs(step).max() < CLOSE:
            break
    coefficients = beta[1:] / spread
    return Linear(float(beta[0] - coefficients @ mean), dict(zip(names, coefficients.tolist(), strict=True)))
