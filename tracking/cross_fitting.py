"""How sure costs may be: judged on movies that they were not learned from."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from celltrail.data.errors import InputError
from celltrail.tracking.confidence.temperature import Calibration, Known, calibrate
from celltrail.tracking.costs.examples import Example, thin_out
from celltrail.tracking.costs.learned import LearnedCosts, fit_costs
from celltrail.tracking.preparing.preparation import prepare
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve_candidates


def calibrate_costs(examples: Sequence[Example], *, seed: int = 0) -> Calibration:
    """The calibration of costs that are learned from these movies: each data set is tracked with costs from the others.

    Parameters
    ----------
    examples : Sequence[Example]
        Of at least two data sets; a data set is all of a name but its last word. Each is also shown thinned out.
    seed : int

    Returns
    -------
    Calibration
        The default where there is one data set only, or too few errors to learn from.
    """
    datasets = {example.name: example.name.rpartition(" ")[0] or example.name for example in examples}
    known: list[Known] = []
    for dataset in dict.fromkeys(datasets.values()):
        try:
            model = fit_costs([one for one in examples if datasets[one.name] != dataset], seed=seed)
        except InputError:  # the others hold nothing to learn from
            continue
        for example in examples:
            if datasets[example.name] == dataset:
                known.append(_track(example, model, 0))
                known.append(_track(thin_out(example, np.random.default_rng([seed, 9])), model, 1))
    return calibrate(known) if known else Calibration()


def _track(example: Example, model: LearnedCosts, max_gap: int) -> Known:
    prepared = prepare(example.table, solve_candidates, TrackSettings(max_gap=max_gap), model=model, explained=False)
    return Known(prepared.candidates, solve_candidates(prepared.candidates), example.cell, example.tracks)
