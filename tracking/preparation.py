"""From the table of detections to a priced problem: what the movie itself decides before it is solved.

Whether gaps belong to the problem, what the costs are, and how soon a cell may divide again are all
taken from first solutions of the same movie.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from data.frames import open_images, open_labels
from data.graph import Candidates, Solution, to_units
from data.network import to_networkx
from tracking.costs import Constants, CostModel, price
from tracking.cycles import PENALTY, shortest_cycle
from tracking.detections import DetectionTable, check_voxel, dimensions_of, measure_movie
from tracking.models import choose_model
from tracking.problem import Problem, pose
from tracking.solver import solve_candidates

Masks = Mapping[int, NDArray[Any]]

DEFAULT_COSTS = "learned"
AUTO_GAP = 2  # frames a cell may go unseen in a movie that shows gaps
GAP_RATE = 0.005  # share of all links that jump a frame, from which on gaps are part of the problem
RATE_PRIOR = (0.5, 50.0)  # gaps among links that are believed in before any has been seen


@dataclass
class Prepared:
    """A problem with its costs, and what was taken from the movie to set them.

    gap_rate : share of links that would jump a frame; ``None`` if it was not asked for.
    in_words : each constant as a sentence.
    """

    problem: Problem
    candidates: Candidates
    model: CostModel
    gap_rate: float | None
    constants: dict[str, Any]
    in_words: list[str]


def prepare(
    table: DetectionTable,
    solve: Callable[[Candidates], Solution],
    *,
    costs: str = DEFAULT_COSTS,
    max_gap: int | None = None,
    allow_drop: bool = False,
    constants: Constants | None = None,
) -> Prepared:
    """Find the candidates of a movie and price them.

    Parameters
    ----------
    solve : what solves the first, simpler problems.
    costs : name of a cost model, or a file of ``celltrail fit``.
    max_gap : frames with cells in which a linked cell may go unseen; ``None``: 2 if more than 1 of 200
        links would use it, else 0.
    allow_drop : small detections without a likely past or future may be left out.
    """
    constants = constants or Constants()
    problem = pose(table, max_gap=max_gap or 0)
    model = choose_model(costs, problem, solve, constants)
    candidates = price(problem, model, constants, allow_drop=allow_drop)
    first = solve(candidates)
    gap_rate = None
    if max_gap is None:
        wide = pose(table, max_gap=AUTO_GAP)
        with_gaps = price(wide, model, constants, allow_drop=allow_drop)
        second = solve(with_gaps)
        gap_rate = _gap_rate(wide, second)
        if gap_rate > GAP_RATE:
            constants = replace(constants, gap=gap_cost(wide, second))
            problem, candidates = wide, price(wide, model, constants, allow_drop=allow_drop)
            first = solve(candidates)
    candidates.rebirth_frames, source = shortest_cycle(candidates, first)
    candidates.rebirth_cost = int(to_units(PENALTY))
    words = [*constants.in_words(), f"a second division within {candidates.rebirth_frames} frames of a birth ({source}) "
             f"costs {PENALTY:g} nats more: one birth in {np.exp(PENALTY):,.0f}"]  # fmt: skip
    settings = {**asdict(constants), "rebirth_frames": candidates.rebirth_frames, "rebirth": PENALTY}
    return Prepared(problem, candidates, model, gap_rate, settings, words)


def gap_cost(wide: Problem, solution: Solution) -> float:
    """What a frame in which a cell goes unseen costs, in nats: minus the logarithm of how often it happens.

    The rate is that of the movie's own first solution, with a prior of one gap in a hundred links that
    weighs as much as 50 links.
    """
    chosen = solution.link_chosen
    seen, all_links = RATE_PRIOR
    rate = (float((wide.links.missed[chosen] > 0).sum()) + seen) / (float(chosen.sum()) + all_links)
    return float(-np.log(rate))


def _gap_rate(wide: Problem, solution: Solution) -> float:
    """Share of the chosen links over frames in which the cell went unseen."""
    chosen = solution.link_chosen
    return float((wide.links.missed[chosen] > 0).sum() / max(chosen.sum(), 1))


def candidate_graph(
    masks: Path | str | Masks, images: Path | str | Masks | None = None, *, costs: str = DEFAULT_COSTS, max_gap: int | None = None,
    voxel: tuple[float, ...] | None = None,
) -> nx.DiGraph[Any]:  # fmt: skip
    """The candidates of a movie, with costs and their terms, as a graph to look at, edit and solve.

    Parameters
    ----------
    masks, images : a folder or file, or frame number → array; see :func:`tracking.detections.measure_movie`.
    costs, max_gap : see :func:`prepare`.
    voxel : size (z, y, x) or (y, x) in µm.

    Returns
    -------
    networkx.DiGraph
        See :mod:`data.network` for its attributes; give it to :func:`tracking.solver.solve`.
    """
    labels = masks if isinstance(masks, Mapping) else open_labels(Path(masks))
    grey = images if images is None or isinstance(images, Mapping) else open_images(Path(images))
    size = check_voxel(voxel, dimensions_of(labels)) or getattr(labels, "voxel", None)
    table = measure_movie(labels, grey, voxel=size, spans=AUTO_GAP + 1 if max_gap is None else max_gap + 1)
    candidates = prepare(table, solve_candidates, costs=costs, max_gap=max_gap).candidates
    candidates.voxel = size
    return to_networkx(candidates)
