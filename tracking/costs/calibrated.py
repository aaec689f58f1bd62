"""Costs ``calibrated``: fitted on the movie itself, without any truth.

Links: the movie's own sure links (mutual nearest, twice as near as any rival on both sides) are
the examples for, their rivals the examples against, in a logistic regression; it is fitted again
on what the solver then chose. Divisions: a likelihood ratio of dimensionless features, between
what divisions look like in any movie and what a cell with its neighbour looks like in this one. The
features are not independent, so together they count for as many as in this movie really are.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.tracking.candidates.features import Features, best_other
from celltrail.tracking.candidates.links import LinkTable
from celltrail.tracking.candidates.parts import Part, UnpricedCandidates
from celltrail.tracking.costs.logistic import Linear, fit_logistic
from celltrail.tracking.costs.pricing import Constants, price

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]
BoolArray = NDArray[np.bool_]

REFITS = 2
TWICE = 2.0  # a sure link is that many times shorter than any rival
RIVALS_WITHIN = 0.05  # diameters by which distances are softened in that comparison
SAY_AT_MOST = 4.0  # nats that one feature of a division may add or take, before all are scaled
DIVISION_PRIOR = 0.05  # divisions per candidate pair that passes for one

# What to believe of links before any has been seen.
LINK_PRIOR = Linear(
    -2.0,
    {
        "distance": -1.0,
        "nearer_than_next_target": -1.3,
        "nearer_than_next_source": -0.7,
        "overlap": 1.0,
        "overlaps_more_than_next_target": 4.0,
        "overlaps_more_than_next_source": 4.0,
        "area_change": -1.0,
        "brightness_change": -0.5,
        "texture_change": -0.2,
    },
)

# What divisions look like: mean and standard deviation, in any movie of any modality.
DIVISION_SHAPE = {
    "midpoint": (0.15, 0.20),
    "separation": (1.05, 0.35),
    "opposite": (0.95, 0.30),
    "daughters_to_mother": (0.10, 0.45),
    "small_daughter": (-0.70, 0.50),
    "large_daughter": (-0.50, 0.50),
    "asymmetry": (0.0, 0.50),
    "covered_less": (0.40, 0.30),
    "more_wanted_elsewhere": (-0.70, 0.50),
}


@dataclass(frozen=True)
class CalibratedCosts:
    """Log-odds fitted on the movie itself.

    Attributes
    ----------
    links : Linear
        Logistic model of links.
    background : dict[str, tuple[float, float]]
        Feature → (mean, standard deviation) among cells that did not divide, taken with one neighbour.
    independent : float
        The share of the features of divisions that are independent of each other, see `independent_share`.
    """

    links: Linear
    background: dict[str, tuple[float, float]]
    independent: float = 1.0
    name: str = "calibrated"

    def link(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate links, and their terms."""
        terms = {"intercept": np.full(n, self.links.intercept)} | self.links.terms(features)
        return self.links.logit(features, n), terms

    def division(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate divisions, and their terms: the prior, and the scaled ratio of each feature."""
        prior = np.full(n, np.log(DIVISION_PRIOR / (1 - DIVISION_PRIOR)))
        terms = {"prior": prior}
        for name, shape in DIVISION_SHAPE.items():
            if name in features:
                ratio = _log_normal(features[name], *shape) - _log_normal(features[name], *self.background[name])
                terms[name] = self.independent * np.clip(ratio, -SAY_AT_MOST, SAY_AT_MOST)
        return np.sum(list(terms.values()), axis=0) if n else prior, terms


def _log_normal(x: FloatArray, mean: float, spread: float) -> FloatArray:
    return np.asarray(-np.log(spread) - (x - mean) ** 2 / (2 * spread**2))


def calibrate(
    problem: UnpricedCandidates, solve: Callable[[Candidates], Solution], constants: Constants
) -> CalibratedCosts:
    """Fit the costs to a movie: from its sure links, then twice from what ``solve`` chose with them."""
    movie, links = problem.whole, problem.links
    chosen = sure_links(links, problem.usual.diameter)
    for step in range(REFITS + 1):
        model = CalibratedCosts(
            fit_links(links, movie.link_features, chosen),
            fit_background(movie, chosen),
            independent_share(movie.division_features),
        )
        if step < REFITS:
            chosen = solve(price(problem, model, constants, explained=False)).link_chosen
    return model


def sure_links(links: LinkTable, unit: float) -> BoolArray:
    """Links between adjacent frames that are at most half as long as any rival, on both sides."""
    near = links.distance / unit + RIVALS_WITHIN
    ahead, back = best_other(links.key(links.source), near, np.inf), best_other(links.key(links.target), near, np.inf)
    return np.asarray((links.span == 1) & (TWICE * near < ahead) & (TWICE * near < back))


def rivals_of(links: LinkTable, chosen: BoolArray) -> BoolArray:
    """Links that share their source or their target with a chosen one of the same span, but are not chosen."""
    key_u, key_v = links.key(links.source), links.key(links.target)
    return np.asarray((np.isin(key_u, key_u[chosen]) | np.isin(key_v, key_v[chosen])) & ~chosen)


def fit_links(links: LinkTable, features: Features, chosen: BoolArray) -> Linear:
    """Logistic model of links from those taken as true, against their rivals (adjacent frames only)."""
    examples = np.flatnonzero((chosen | rivals_of(links, chosen)) & (links.span == 1))
    picked = {name: value[examples] for name, value in features.items()}
    return fit_logistic(picked, chosen[examples], prior=LINK_PRIOR)


def fit_background(movie: Part, chosen: BoolArray) -> dict[str, tuple[float, float]]:
    """Mean and spread of division features over pairs of which one link is taken as true."""
    first, second, features = movie.first, movie.second, movie.division_features
    plain = chosen[first] ^ chosen[second] if len(first) else np.zeros(0, dtype=bool)
    background = {}
    for name, (mean, spread) in DIVISION_SHAPE.items():
        values = features[name][plain] if name in features else np.zeros(0)
        background[name] = (
            (float(values.mean()), max(float(values.std()), 0.05)) if len(values) > 20 else (mean, spread)
        )
    return background


def independent_share(features: Features) -> float:
    """How many features of candidate divisions are independent of each other, as a share: n / Σ_ij r_ij².

    r : correlations of the n features that vary. 1: none are correlated, 1/n: all say the same. It is the effective
    number of dimensions (Σλ)² / Σλ², with λ the eigenvalues of r, divided by n. A likelihood ratio that takes the
    features as independent exaggerates; scaled by this share, it counts each piece of evidence about once.
    """
    seen = [features[name] for name in DIVISION_SHAPE if name in features]
    varies = [values for values in seen if len(values) and np.ptp(values) > 0]
    return float(len(varies) / np.sum(np.corrcoef(varies) ** 2)) if len(varies) > 1 else 1.0
