"""From the table of detections to a priced problem: what the movie itself decides before it is solved.

Where cells may have gone unseen, how often they do, and how soon a cell may divide again are all taken from a first
solution of the same movie, in which nothing goes unseen. What the costs are may be asked of the movie, too; of a long
one, a part is asked.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np

from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import Candidates, Solution, to_units
from celltrail.data.graph.networkx_graph import to_networkx
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper, open_workers
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.tracking.candidates.parts import UnpricedCandidates, find_candidates
from celltrail.tracking.costs.choice import choose_model
from celltrail.tracking.costs.pricing import Constants, CostModel, change_constants, price, with_terms
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.opening import measure, open_movie
from celltrail.tracking.preparing.cycles import PENALTY, shortest_cycle
from celltrail.tracking.preparing.unseen import look_for_gaps
from celltrail.tracking.settings import TrackSettings, choose
from celltrail.tracking.solving.pinned import apply_pins
from celltrail.tracking.solving.solver import solve_candidates

DEFAULT_COSTS = TrackSettings.costs
EXCERPT = 40_000  # cells that are enough to tell the costs of a movie
FEWEST_FRAMES = 10  # frames of an excerpt, however full they are


@dataclass
class Prepared:
    """A problem with its costs, and what was taken from the movie to set them.

    Attributes
    ----------
    gap_rate : float | None
        Share of the cells that go unseen in a frame; ``None`` if it was not asked for.
    dismissed : int
        Pairs of cells that look like a gap, which were not believed: there are no more of them than chance brings.
    settled : Constants
        What the candidates were priced with.
    in_words : list[str]
        Each constant as a sentence.
    """

    problem: UnpricedCandidates
    candidates: Candidates
    model: CostModel
    gap_rate: float | None
    dismissed: int
    settled: Constants
    constants: dict[str, Any]
    in_words: list[str]

    def explained(self, mapper: Mapper = map, progress: Progress = silent) -> Candidates:
        """The candidates with the terms of their costs."""
        return with_terms(self.candidates, self.problem, self.model, self.settled, mapper=mapper, progress=progress)


def prepare(
    table: DetectionTable,
    solve: Callable[[Candidates], Solution],
    settings: TrackSettings | None = None,
    *,
    model: CostModel | None = None,
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
    settings : TrackSettings | None
        Its costs and their constants; ``allow_drop``; ``max_gap``, the frames in which a linked cell may go unseen where
        there is evidence for it. ``None``: the defaults.
    model : CostModel | None
        A cost model instead of that which the settings name.
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
    settings = settings or TrackSettings()
    given, allow_drop = settings.constants, settings.allow_drop
    settled = change_constants(given)
    sample = excerpt(table)
    problem = finder(table, mapper=mapper)
    model = model or choose_model(
        settings.costs, lambda: problem if sample is table else finder(sample, mapper=mapper), solve, settled
    )
    to_candidates = partial(price, model=model, allow_drop=allow_drop, explained=explained, mapper=mapper)
    candidates = to_candidates(problem, constants=settled)
    first = solve(candidates)
    gap_rate, believed, dismissed = None, False, 0
    if settings.longest_gap and masks is not None:
        look = partial(look_for_gaps, model=model, masks=masks, max_gap=settings.longest_gap)
        asked = settings.max_gap is not None
        unseen = look(problem, candidates, first, constants=settled, fixed="gap" in given, asked=asked)
        gap_rate, believed, settled = unseen.rate, unseen.believed, unseen.constants
        dismissed = 0 if believed else unseen.count
        if len(unseen.links):
            problem = unseen.added_to(problem)
            candidates = to_candidates(problem, constants=settled)
            first = solve(candidates)
    frames, source = shortest_cycle(candidates, first)
    with_cycle = partial(replace, rebirth_frames=frames, rebirth_cost=int(to_units(PENALTY)))
    candidates = with_cycle(candidates)
    if believed:
        # With gaps, and without births that follow too soon, other cells end and begin. The price of a gap stays.
        problem = look(problem, candidates, solve(candidates), constants=settled, fixed=True).added_to(problem)
        candidates = with_cycle(to_candidates(problem, constants=settled))
    words = [
        *settled.in_words(),
        f"a second division within {counted(candidates.rebirth_frames, 'frame')} of a birth ({source}) "
        f"costs {PENALTY:g} nats more: one birth in {np.exp(PENALTY):,.0f}",
    ]
    constants = {**asdict(settled), "rebirth_frames": candidates.rebirth_frames, "rebirth": PENALTY}
    return Prepared(
        problem=problem,
        candidates=candidates,
        model=model,
        gap_rate=gap_rate,
        dismissed=dismissed,
        settled=settled,
        constants=constants,
        in_words=words,
    )


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
    settings: TrackSettings | None = None,
    *,
    pins: Path | str | Sequence[Pin] | None = None,
    **options: Any,
) -> nx.DiGraph[Any]:
    """The problem that `celltrail.tracking.pipeline.track` solves, with its costs, as a graph to look at, edit and solve.

    Parameters
    ----------
    masks : path or mapping
        As for `celltrail.tracking.pipeline.track`, and so are the others.
    images : path, mapping or None
        Grey values of the same frames, which sharpen the costs.
    settings : TrackSettings or None
        How to track; ``None``: the defaults.
    pins : path, sequence of Pin, or None
        Corrections to obey.
    **options
        Single settings by name.

    Returns
    -------
    networkx.DiGraph
        See `celltrail.data.graph.networkx_graph` for its attributes; give it to `celltrail.tracking.solving.solver.solve`.

    Raises
    ------
    InputError
        If the masks, images or settings cannot be used.
    """
    settings = choose(settings, options)
    movie = open_movie(masks, images, settings, pins)
    with open_workers(settings.jobs, settings.dask) as mapper:
        movie, table = measure(movie, settings)
        prepared = prepare(
            table, partial(solve_candidates, solver=settings.solver), settings, masks=movie.masks, mapper=mapper
        )
    candidates = apply_pins(prepared.candidates, movie.pins)
    candidates.voxel = movie.voxel
    return to_networkx(candidates)
