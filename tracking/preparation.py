"""From the table of detections to a priced problem: what the movie itself decides before it is solved.

Whether gaps belong to the problem, what the costs are, and how soon a cell may divide again are all
taken from first solutions of the same movie; of a long movie a part is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
from numpy.typing import NDArray

from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.graph.candidates import Candidates, Solution, to_units
from celltrail.data.graph.networkx_graph import to_networkx
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.tracking.candidates.parts import UnpricedCandidates, find_candidates
from celltrail.tracking.costs.choice import choose_model
from celltrail.tracking.costs.pricing import Constants, CostModel, change_constants, price, with_terms
from celltrail.tracking.cycles import PENALTY, shortest_cycle
from celltrail.tracking.measuring.table import DetectionTable, check_voxel, dimensions_of, measure_movie
from celltrail.tracking.solving.solver import solve_candidates

Masks = Mapping[int, NDArray[Any]]

DEFAULT_COSTS = "learned"
AUTO_GAP = 4  # frames a cell may go unseen in a movie that shows gaps
EXCERPT = 40_000  # cells that are enough to tell the costs of a movie, and whether it has gaps
FEWEST_FRAMES = 10  # frames of an excerpt, however full they are
GAP_RATE = 0.005  # share of all links that jump a frame, from which on gaps are part of the problem
RATE_PRIOR = (0.5, 50.0)  # gaps among links that are believed in before any has been seen


@dataclass
class Prepared:
    """A problem with its costs, and what was taken from the movie to set them.

    Attributes
    ----------
    gap_rate : float | None
        Share of links that would jump a frame; ``None`` if it was not asked for.
    settled : Constants
        What the candidates were priced with.
    in_words : list[str]
        Each constant as a sentence.
    """

    problem: UnpricedCandidates
    candidates: Candidates
    model: CostModel
    gap_rate: float | None
    settled: Constants
    constants: dict[str, Any]
    in_words: list[str]

    def explained(self, mapper: Mapper = map, progress: Progress = silent) -> Candidates:
        """The candidates with the terms of their costs."""
        return with_terms(self.candidates, self.problem, self.model, self.settled, mapper=mapper, progress=progress)


def prepare(
    table: DetectionTable,
    solve: Callable[[Candidates], Solution],
    *,
    costs: str = DEFAULT_COSTS,
    max_gap: int | None = None,
    allow_drop: bool = False,
    constants: Mapping[str, float | None] | None = None,
    finder: Callable[..., UnpricedCandidates] = find_candidates,
    explained: bool = True,
    mapper: Mapper = map,
) -> Prepared:
    """Find the candidates of a movie and price them.

    Parameters
    ----------
    solve : Callable[[Candidates], Solution]
        What solves the first, simpler problems.
    costs : str
        Name of a cost model, or a file of ``celltrail fit``.
    max_gap : int | None
        Frames with cells in which a linked cell may go unseen; ``None``: 4 if more than 1 of 200 links would use
        it, else 0.
    allow_drop : bool
        Small detections without a likely past or future may be left out.
    constants : Mapping[str, float | None] | None
        What is given of `celltrail.tracking.costs.pricing.Constants`, by name; the others have their defaults.
    finder : Callable[..., UnpricedCandidates]
        What finds candidates, as `celltrail.tracking.candidates.parts.find_candidates` does.
    explained : bool
        With the terms of the costs.
    mapper : Mapper
        Where candidates are found and priced.

    Raises
    ------
    InputError
        If a constant or the cost model cannot be used.
    """
    given = {name: value for name, value in (constants or {}).items() if value is not None}
    settled = change_constants(given)
    sample = excerpt(table)

    @cache
    def candidates_over(gap: int, *, whole: bool) -> UnpricedCandidates:
        if not whole and sample is table:
            return candidates_over(gap, whole=True)
        return finder(table if whole else sample, max_gap=gap, mapper=mapper)

    model = choose_model(costs, lambda: candidates_over(max_gap or 0, whole=False), solve, settled)
    gap_rate = None
    if max_gap is None:
        wide = candidates_over(AUTO_GAP, whole=False)
        second = solve(price(wide, model, settled, allow_drop=allow_drop, explained=False, mapper=mapper))
        gap_rate = _gap_rate(wide, second)
        max_gap = AUTO_GAP if gap_rate > GAP_RATE else 0
        if max_gap and "gap" not in given:
            settled = replace(settled, gap=gap_cost(wide, second))
        del wide, second
    problem = candidates_over(max_gap, whole=True)
    candidates_over.cache_clear()
    candidates = price(problem, model, settled, allow_drop=allow_drop, explained=explained, mapper=mapper)
    first = solve(candidates)
    candidates.rebirth_frames, source = shortest_cycle(candidates, first)
    candidates.rebirth_cost = int(to_units(PENALTY))
    words = [
        *settled.in_words(),
        f"a second division within {candidates.rebirth_frames} frames of a birth ({source}) "
        f"costs {PENALTY:g} nats more: one birth in {np.exp(PENALTY):,.0f}",
    ]
    settings = {**asdict(settled), "rebirth_frames": candidates.rebirth_frames, "rebirth": PENALTY}
    return Prepared(problem, candidates, model, gap_rate, settled, settings, words)


def gap_cost(wide: UnpricedCandidates, solution: Solution) -> float:
    """What a frame in which a cell goes unseen costs, in nats: minus the logarithm of how often it happens.

    The rate is that of the movie's own first solution, with a prior of one gap in a hundred links that
    weighs as much as 50 links.
    """
    chosen = solution.link_chosen
    seen, all_links = RATE_PRIOR
    rate = (float((wide.links.missed[chosen] > 0).sum()) + seen) / (float(chosen.sum()) + all_links)
    return float(-np.log(rate))


def excerpt(table: DetectionTable) -> DetectionTable:
    """What is asked about a long movie: consecutive frames from its middle, those of about 40,000 cells."""
    start = table.frame_starts()
    if len(table) <= EXCERPT or len(start) <= FEWEST_FRAMES:
        return table
    middle = int(np.searchsorted(start, len(table) // 2, side="right"))
    first = int(np.searchsorted(start, start[middle] - EXCERPT // 2))
    first = max(min(first, middle - FEWEST_FRAMES // 2), 0)
    last = max(int(np.searchsorted(start, start[first] + EXCERPT, side="right")) - 1, first + FEWEST_FRAMES)
    return table.between(start[first], start[min(last, len(start) - 1)])


def _gap_rate(wide: UnpricedCandidates, solution: Solution) -> float:
    """Share of the chosen links over frames in which the cell went unseen."""
    chosen = solution.link_chosen
    return float((wide.links.missed[chosen] > 0).sum() / max(chosen.sum(), 1))


def candidate_graph(
    masks: Path | str | Masks,
    images: Path | str | Masks | None = None,
    *,
    costs: str = DEFAULT_COSTS,
    max_gap: int | None = None,
    voxel: tuple[float, ...] | None = None,
) -> nx.DiGraph[Any]:
    """The candidates of a movie, with costs and their terms, as a graph to look at, edit and solve.

    Parameters
    ----------
    masks, images
        A folder or file, or frame number → array; see `celltrail.tracking.measuring.table.measure_movie`.
    costs, max_gap
        See `prepare`.
    voxel : tuple[float, ...] | None
        Size (z, y, x) or (y, x) in µm.

    Returns
    -------
    networkx.DiGraph
        See `celltrail.data.graph.networkx_graph` for its attributes; give it to `celltrail.tracking.solving.solver.solve`.
    """
    labels = masks if isinstance(masks, Mapping) else open_labels(Path(masks))
    grey = images if images is None or isinstance(images, Mapping) else open_images(Path(images))
    size = check_voxel(voxel, dimensions_of(labels)) or getattr(labels, "voxel", None)
    table = measure_movie(labels, grey, voxel=size, spans=AUTO_GAP + 1 if max_gap is None else max_gap + 1)
    candidates = prepare(table, solve_candidates, costs=costs, max_gap=max_gap).candidates
    candidates.voxel = size
    return to_networkx(candidates)
