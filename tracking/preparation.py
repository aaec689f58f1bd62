"""From the table of detections to a priced problem: what the movie itself decides before it is solved.

Where cells may have gone unseen, how often they do, and how soon a cell may divide again are all taken from a first
solution of the same movie, in which nothing goes unseen. What the costs are may be asked of the movie, too; of a long
one, a part is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from celltrail.tracking.candidates.features import link_features
from celltrail.tracking.candidates.gaps import count_unseen, find_gaps, find_loose, plausible
from celltrail.tracking.candidates.links import LinkTable, join_links
from celltrail.tracking.candidates.parts import UnpricedCandidates, find_candidates
from celltrail.tracking.costs.choice import choose_model
from celltrail.tracking.costs.pricing import Constants, CostModel, change_constants, price, unseen_cost, with_terms
from celltrail.tracking.cycles import PENALTY, shortest_cycle
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import DetectionTable, check_voxel, dimensions_of, measure_movie
from celltrail.tracking.solving.solver import solve_candidates

Masks = Mapping[int, NDArray[Any]]

DEFAULT_COSTS = "learned"
USUAL_GAP = 4  # frames a cell may go unseen, if nothing else is said
LONGEST_GAP = 100  # frames that may be asked for
EXCERPT = 40_000  # cells that are enough to tell the costs of a movie
FEWEST_FRAMES = 10  # frames of an excerpt, however full they are
RATE_PRIOR = (0.5, 50.0)  # gaps among links that are believed in before any has been seen


@dataclass
class Prepared:
    """A problem with its costs, and what was taken from the movie to set them.

    Attributes
    ----------
    gap_rate : float | None
        Share of the cells that go unseen in a frame; ``None`` if it was not asked for.
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
    masks: Masks | None = None,
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
        Frames in which a linked cell may go unseen, where there is evidence for it; ``None``: 4.
    allow_drop : bool
        Small detections without a likely past or future may be left out.
    constants : Mapping[str, float | None] | None
        What is given of `celltrail.tracking.costs.pricing.Constants`, by name; the others have their defaults.
    finder : Callable[..., UnpricedCandidates]
        What finds candidates, as `celltrail.tracking.candidates.parts.find_candidates` does.
    masks : Masks | None
        What was measured, for a second look at places where a cell may have gone unseen; ``None``: none has.
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

    problem = finder(table, mapper=mapper)
    model = choose_model(costs, lambda: problem if sample is table else finder(sample, mapper=mapper), solve, settled)
    to_candidates = partial(price, model=model, allow_drop=allow_drop, explained=explained, mapper=mapper)
    candidates = to_candidates(problem, constants=settled)
    first = solve(candidates)
    gap_rate = None
    longest = USUAL_GAP if max_gap is None else max_gap
    if longest and masks is not None:
        unseen = look_for_gaps(problem, candidates, first, model, settled, masks, longest, fixed="gap" in given)
        gap_rate, settled = unseen.rate, unseen.constants
        if len(unseen.links):
            links = join_links([problem.links, unseen.links])
            problem = replace(problem, table=unseen.table, links=links)
            candidates = to_candidates(problem, constants=settled)
    candidates.rebirth_frames, source = shortest_cycle(candidates, first)
    candidates.rebirth_cost = int(to_units(PENALTY))
    words = [
        *settled.in_words(),
        f"a second division within {candidates.rebirth_frames} frames of a birth ({source}) "
        f"costs {PENALTY:g} nats more: one birth in {np.exp(PENALTY):,.0f}",
    ]
    settings = {**asdict(settled), "rebirth_frames": candidates.rebirth_frames, "rebirth": PENALTY}
    return Prepared(problem, candidates, model, gap_rate, settled, settings, words)


@dataclass(frozen=True)
class Unseen:
    """Where cells may have gone unseen, and how often they do.

    Attributes
    ----------
    table : DetectionTable
        With the shifts that the links need.
    links : LinkTable
        Those that may pay, and their rivals; none where nothing speaks for a gap.
    rate : float
        Share of the links that cells would have, had none of them gone unseen.
    constants : Constants
        With the price of a gap.
    """

    table: DetectionTable
    links: LinkTable
    rate: float
    constants: Constants


def look_for_gaps(
    problem: UnpricedCandidates,
    candidates: Candidates,
    first: Solution,
    model: CostModel,
    constants: Constants,
    masks: Masks,
    max_gap: int,
    *,
    fixed: bool,
) -> Unseen:
    """Ask a solution without gaps where cells may have gone unseen, and set the price of that.

    The price of a frame is minus the logarithm of how often it happens: the rate of ends and beginnings that nothing
    but a gap explains, with a prior of one gap in a hundred links that weighs as much as 50 links. It is never taken
    from a solution that was allowed gaps, which would confirm itself.

    Parameters
    ----------
    problem, candidates, first
        The candidates of adjacent frames, priced, and their solution.
    model, constants
        What they were priced with.
    masks : Masks
        The masks, for a second look.
    max_gap : int
        Frames in which a cell may go unseen.
    fixed : bool
        Keep the price of a gap as it is.
    """
    loose = find_loose(candidates, first, problem.table.area)
    table, links = find_gaps(problem.table, loose, Glimpses(masks, problem.table, first.used), max_gap=max_gap)
    logit, _ = model.link(link_features(table, links, problem.usual), len(links))
    seen, all_links = RATE_PRIOR
    count, chosen = count_unseen(links, loose, -logit), int(first.link_chosen.sum())
    price_of_gap = constants.gap if fixed else -float(np.log((count + seen) / (chosen + all_links)))
    constants = replace(constants, gap=price_of_gap)
    found = plausible(links, loose, unseen_cost(links, constants) - logit, 2 * constants.appear)
    rate = count / max(chosen + count, 1)
    return Unseen(table, found, rate, constants if len(found) or fixed else replace(constants, gap=Constants.gap))


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
    table = measure_movie(labels, grey, voxel=size)
    candidates = prepare(table, solve_candidates, costs=costs, max_gap=max_gap, masks=labels).candidates
    candidates.voxel = size
    return to_networkx(candidates)
