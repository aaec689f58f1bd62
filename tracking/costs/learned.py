"""Costs ``learned``: two logistic models, fitted on movies whose lineage is known.

The models see the same features as everything else, in units of the movie, so what one movie
teaches holds in another. Each movie counts the same. To learn from what is missing as well, the
movies are shown again with masks taken away: then a cell may have no right partner at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.regular import read_json
from celltrail.data.running.json_text import to_json
from celltrail.data.settings import LARGEST
from celltrail.data.types import BoolArray, FloatArray
from celltrail.tracking.candidates.features import Features
from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.confidence.temperature import Calibration, read_calibration
from celltrail.tracking.costs.examples import Example, thin_out, true_choices, without_images
from celltrail.tracking.costs.logistic import Linear, fit_logistic

SCHEMA = "celltrail.costs/1"
LINK_WEIGHT = 1000.0  # what the true links of one movie weigh together
DIVISION_WEIGHT = 300.0  # what the true divisions of one movie weigh together
RIDGE = 30.0
THINNED = 1  # how many times a movie is shown again with masks taken away


@dataclass(frozen=True)
class LearnedCosts:
    """Log-odds of links and divisions as learned from known lineages; ``trained_on`` names them."""

    links: Linear
    divisions: Linear
    trained_on: tuple[dict[str, Any], ...] = ()
    name: str = "learned"
    calibration: Calibration = field(default_factory=Calibration)

    def link(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate links, and their terms."""
        return self.links.logit(features, n), {"intercept": np.full(n, self.links.intercept)} | self.links.terms(
            features
        )

    def division(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of candidate divisions, and their terms."""
        terms = {"intercept": np.full(n, self.divisions.intercept)} | self.divisions.terms(features)
        return self.divisions.logit(features, n), terms


def fit_costs(examples: Sequence[Example], *, seed: int = 0) -> LearnedCosts:
    """Learn the log-odds of links and divisions from movies whose lineage is known.

    Raises
    ------
    InputError
        If there is no true link to learn from.
    """
    link_parts: list[tuple[Features, BoolArray, FloatArray]] = []
    division_parts: list[tuple[Features, BoolArray, FloatArray]] = []
    notes = []
    for example in examples:
        shown = [example, *(thin_out(example, np.random.default_rng([seed, k])) for k in range(THINNED))]
        if np.isfinite(example.table.brightness).any():
            shown += [without_images(version) for version in shown]
        counts = (0, 0)
        for version in reversed(shown):
            movie = find_candidates(version.table).whole
            links, divisions = true_choices(version, movie)
            counts = int(links.sum()), int(divisions.sum())
            if counts[0]:
                weight = np.full(len(links), LINK_WEIGHT / counts[0] / len(shown))
                link_parts.append((movie.link_features, links, weight))
            if counts[1]:
                weight = np.full(len(divisions), DIVISION_WEIGHT / counts[1] / len(shown))
                division_parts.append((movie.division_features, divisions, weight))
        notes.append(
            {
                "name": example.name,
                "detections": len(example.table),
                "links": counts[0],
                "divisions": counts[1],
                **example.source,
            }
        )
    if not link_parts or not division_parts:
        raise InputError("These movies hold no link, or no division, to learn from: give truth with both.")
    return LearnedCosts(_fit(link_parts), _fit(division_parts), tuple(notes))


def _fit(parts: list[tuple[Features, BoolArray, FloatArray]]) -> Linear:
    features = {name: np.concatenate([part[0][name] for part in parts]) for name in parts[0][0]}
    positive, weight = (np.concatenate([part[column] for part in parts]) for column in (1, 2))
    return fit_logistic(features, positive.astype(bool), weight=weight, ridge=RIDGE)


def costs_as_json(model: LearnedCosts, constants: Mapping[str, Any], sentences: Sequence[str], version: str) -> str:
    """The text of a cost file (schema ``celltrail.costs/1``)."""
    return to_json(
        {
            "schema": SCHEMA,
            "version": version,
            "meaning": "log-odds of a candidate = intercept + sum of coefficient times feature; cost = minus log-odds",
            "links": {"intercept": model.links.intercept, "coefficients": model.links.coefficients},
            "divisions": {"intercept": model.divisions.intercept, "coefficients": model.divisions.coefficients},
            "constants": {**constants, "in_words": list(sentences)},
            "confidence": model.calibration.as_json(),
            "trained_on": list(model.trained_on),
        }
    )


def load_costs(path: Path | None = None) -> LearnedCosts:
    """Read a cost file; the shipped one if no path is given.

    Raises
    ------
    InputError
        If the file is missing, is not a cost file, or is one of another version.
    """
    source = Path(__file__).with_name("learned.json") if path is None else Path(path)
    name = "learned" if path is None else str(path)
    try:
        content = read_json(source)
    except FileNotFoundError:
        raise InputError(
            f"{path} does not exist: give 'calibrated', 'learned', 'mixed', or a file made by 'celltrail fit'."
        ) from None
    except (ValueError, OSError):
        raise InputError(f"{path} is not a cost file: make one with 'celltrail fit'.") from None
    schema = content.get("schema") if isinstance(content, dict) else None
    if schema != SCHEMA:
        raise InputError(f"{path} has the schema {schema}, expected {SCHEMA}: make it again with 'celltrail fit'.")
    try:
        links, divisions = (_linear(content[key]) for key in ("links", "divisions"))
        calibration = read_calibration(content.get("confidence"))
    except (KeyError, TypeError, ValueError, AttributeError):
        raise InputError(f"{path} lacks coefficients: make it again with 'celltrail fit'.") from None
    return LearnedCosts(links, divisions, tuple(content.get("trained_on", ())), name, calibration)


def calibration_of(model: object) -> Calibration:
    """How sure the costs of a model may be: what was learned with it, or with the shipped costs where nothing was."""
    own = getattr(getattr(model, "general", model), "calibration", None)
    return own if isinstance(own, Calibration) and own.movies else load_costs().calibration


def _linear(entry: Mapping[str, Any]) -> Linear:
    named: dict[str, Any] = {"": entry["intercept"], **entry["coefficients"]}
    if not all(isinstance(value, int | float) and abs(value) <= LARGEST for value in named.values()):
        raise ValueError("coefficients that are no numbers")
    values = {name: float(value) for name, value in named.items()}
    return Linear(values.pop(""), values)
