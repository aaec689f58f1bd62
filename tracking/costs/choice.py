"""The cost models by name: ``calibrated``, ``learned``, ``mixed``, or a file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.graph.candidates import Candidates, Solution
from celltrail.tracking.candidates.features import Features
from celltrail.tracking.candidates.parts import UnpricedCandidates
from celltrail.tracking.costs.calibrated import calibrate, sure_links
from celltrail.tracking.costs.learned import load_costs
from celltrail.tracking.costs.pricing import Constants, CostModel

FloatArray = NDArray[np.float64]

NAMES = ("calibrated", "learned", "mixed")
FEWEST_SURE = 50  # sure links below which a movie cannot speak for itself


@dataclass(frozen=True)
class MixedCosts:
    """Links: the mean of the log-odds of two models. Divisions: those of the second."""

    own: CostModel
    general: CostModel
    name: str = "mixed"

    def link(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate links, and their terms."""
        one, its_terms = self.own.link(features, n)
        two, more_terms = self.general.link(features, n)
        terms = {name: its_terms.get(name, 0) / 2 + more_terms.get(name, 0) / 2 for name in {**its_terms, **more_terms}}
        return (one + two) / 2, {name: np.asarray(term) for name, term in terms.items()}

    def division(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate divisions, and their terms."""
        return self.general.division(features, n)


def choose_model(
    costs: str,
    find_candidates: Callable[[], UnpricedCandidates],
    solve: Callable[[Candidates], Solution],
    constants: Constants,
) -> CostModel:
    """The cost model of that name, or from that file (``mixed:FILE`` mixes with it), ready for this movie.

    Parameters
    ----------
    find_candidates : Callable[[], UnpricedCandidates]
        Gives the candidates of the movie, or of a part of it, if they are to be asked. A movie with fewer than 50
        sure links is not asked about itself: it gets ``learned`` costs.

    Raises
    ------
    InputError
        If there is no such model or file.
    """
    general = load_costs(Path(costs.removeprefix("mixed:"))) if costs.startswith("mixed:") else None
    if costs not in NAMES and general is None:
        if not costs.endswith(".json"):
            raise InputError(
                f"'{costs}' is not a choice for costs: choose {', '.join(NAMES)}, or a .json file "
                "made by 'celltrail fit'."
            )
        return load_costs(Path(costs))
    if costs == "learned":
        return load_costs()
    problem = find_candidates()
    if int(sure_links(problem.links, problem.usual.diameter).sum()) < FEWEST_SURE:
        return general or load_costs()
    own = calibrate(problem, solve, constants)
    return own if costs == "calibrated" else MixedCosts(own, general or load_costs())
