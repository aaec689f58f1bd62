"""Whether cells of a movie go unseen, where, and how often: asked of a solution in which none does."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from scipy.stats import poisson

from celltrail.data.graph.candidates import NAT, Candidates, Solution
from celltrail.data.types import Masks
from celltrail.tracking.candidates.features import link_features
from celltrail.tracking.candidates.gaps import COVERED, clear_pairs, find_gaps, is_late, with_rivals
from celltrail.tracking.candidates.links import LinkTable, join_links
from celltrail.tracking.candidates.loose import find_loose
from celltrail.tracking.candidates.parts import UnpricedCandidates
from celltrail.tracking.costs.pricing import Constants, CostModel, unlikely_cost, unseen_cost
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.preparing.chance import count_by_chance, first_cells, next_cells, usual_links

RATE_PRIOR = (0.5, 50.0)  # gaps among links that are believed in before any has been seen
SURELY = 0.01  # probability below which chance alone does not bring so many of them
TORN = 0.001  # of the links, at most, end and begin again in masks that miss no cell: whoever made them lost it (benchmarks/chance.py) …
BEYOND = 1.25  # … and standard deviations by which there are more than that, where cells do go unseen


@dataclass(frozen=True)
class Unseen:
    """Where cells may have gone unseen, and how often they do.

    Attributes
    ----------
    table : DetectionTable
        With the shifts that the links need.
    links : LinkTable
        Those that may pay, and their rivals; none where nothing speaks for a gap.
    count : int
        Pairs of cells that look like a gap, whether that is believed or not.
    rate : float
        Share of the links that cells would have, had none of them gone unseen.
    constants : Constants
        With the price of a gap.
    believed : bool
        Whether cells of this movie go unseen at all.
    """

    table: DetectionTable
    links: LinkTable
    count: int
    rate: float
    constants: Constants
    believed: bool

    def added_to(self, problem: UnpricedCandidates) -> UnpricedCandidates:
        """A problem with the links over gaps."""
        return replace(problem, table=self.table, links=join_links([problem.links, self.links]))


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
    asked: bool = False,
) -> Unseen:
    """Ask a solution without gaps where cells may have gone unseen, and set the price of that.

    The price of a gap is minus the logarithm of how often it happens: the rate of pairs of cells that nothing
    but a gap explains, with a prior of one gap in a hundred links that weighs as much as 50 links. It is never taken
    from a solution that was allowed gaps, which would confirm itself.

    A pair is evidence if it is likelier one cell than two, or fits no worse than almost all cells of this movie that were
    seen, had they gone unseen; less what speaks for two cells: at the side of the image an end and a beginning cost
    less, and where neighbours must change places for a gap, it saves less. Some pairs look like a gap in any movie.
    Where there are not clearly more of them than the movie itself shows by chance, and than whoever makes masks loses, gaps
    are believed only over frames without any cell.

    Parameters
    ----------
    problem, candidates, first
        The candidates of adjacent frames, priced, and their solution. For a second look, at a price that is ``fixed``, those with the gaps of the first one.
    model, constants
        What they were priced with.
    masks : Masks
        The masks, for a second look.
    max_gap : int
        Frames in which a cell may go unseen.
    fixed : bool
        Keep the price of a gap as it is.
    asked : bool
        Somebody said that cells go unseen here, so it is no question of chance.
    """
    loose = find_loose(candidates, first, problem.table.area, problem.table.typical_area)
    glimpses = Glimpses(masks, problem.table, first.used)
    table, links = find_gaps(problem.table, loose, glimpses, max_gap=max_gap)
    logit, _ = model.link(link_features(table, links, problem.usual), len(links))
    between = loose.between(links.source, links.target)
    hopeful = (links.doubt <= COVERED) & (between + unlikely_cost(logit, constants) < logit)
    followed = next_cells(candidates, first)
    usual = usual_links(problem, followed, model, glimpses, np.unique(links.span[hopeful]))
    least = np.array([usual[span].least if span in usual else 0.0 for span in links.span.tolist()])
    ends = (candidates.detections.disappear[links.source] + candidates.detections.appear[links.target]) / NAT
    cheaper = np.maximum(2 * constants.appear - ends, 0)  # than inside the image; what its side cuts hardly moves
    evidence = logit - cheaper - np.where(cheaper > 1 / NAT, 0, least) - (between + ends)
    clear = clear_pairs(links, evidence)
    count, chosen = len(clear), int(first.link_chosen.sum())
    seen, all_links = RATE_PRIOR
    price_of_gap = constants.gap if fixed else -float(np.log((count + seen) / (chosen + all_links)))
    constants = replace(constants, gap=price_of_gap)
    cost = unseen_cost(links, constants) + unlikely_cost(logit, constants) - logit
    followed[links.source[clear]] = links.target[clear]
    by_chance = count_by_chance(table, loose, first, first_cells(followed), usual, 2 * constants.appear, max_gap)
    believed = asked or fixed or _are_more(count, by_chance, TORN * chosen)
    pays = (links.doubt <= COVERED) & (cost < ends) & (believed | (links.missed == links.blank))
    found = with_rivals(links, is_late(links, loose) | pays)
    rate = count / max(chosen + count, 1)
    settled = constants if fixed or (believed and len(found)) else replace(constants, gap=Constants.gap)
    return Unseen(table, found, count, rate, settled, bool(believed))


def _are_more(pairs: int, by_chance: float, torn: float) -> bool:
    """Whether more pairs look like a gap than chance brings, and than whoever makes masks loses."""
    return bool(poisson.sf(pairs - 1, by_chance) < SURELY and pairs > torn + BEYOND * np.sqrt(torn))
