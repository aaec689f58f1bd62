"""From features to costs: negative log-odds in nats, and the few constants that go with them.

A cost model gives the log-odds of links and of divisions. :func:`price` turns them into the
integer costs of :class:`data.graph.Candidates`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from data.graph import FREE, Candidates, Detections, Divisions, Links, to_units
from tracking.candidates import LinkTable, typical_diameter
from tracking.detections import DetectionTable
from tracking.features import Features
from tracking.problem import Problem

IntArray = NDArray[np.int64]
FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Constants:
    """Costs in nats that are not taken from the movie.

    appear : a cell appears, or disappears, inside the image. border : the same near its side.
    gap : each frame in which a linked cell was not seen. margin : how near the side counts as
    border, in diameters of a typical cell. late : a daughter that is first
    seen a frame after her sister. false : leaving out a detection that is doubtful, which is one
    below ``small`` times the median area without a likely link to either side. keep : divisions that are worse than a link and an
    appearance by more than this are left out.
    """

    appear: float = 7.0
    border: float = 3.0
    gap: float = 2.0
    margin: float = 0.25
    late: float = 6.0
    false: float = 10.0
    small: float = 0.5
    keep: float = 6.0

    def in_words(self) -> list[str]:
        """Each constant as a sentence that one can check against one's own movie."""
        return [
            f"appearing or disappearing inside the image costs {self.appear:g} nats: it happens to one cell in {np.exp(self.appear):,.0f}",
            f"within {self.margin:g} cell diameters of the side it costs {self.border:g} nats: one cell in {np.exp(self.border):,.0f}",
            "appearing in the first frame and disappearing after the last one costs nothing",
            f"a daughter first seen a frame after her sister costs {self.late:g} nats: one birth in {np.exp(self.late):,.0f}",
            f"leaving out a small detection that nothing precedes or follows costs {self.false:g} nats",
            f"each frame in which a cell goes unseen costs {self.gap:g} nats: it happens to one cell in {np.exp(self.gap):,.0f}",
        ]


class CostModel(Protocol):
    """What a cost model answers: log-odds, and the terms they are the sum of."""

    @property
    def name(self) -> str:
        """How the model is called on the command line."""
        ...

    def link(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of ``n`` candidate links."""
        ...

    def division(self, features: Features, n: int) -> tuple[FloatArray, dict[str, FloatArray]]:
        """Log-odds of ``n`` candidate divisions."""
        ...


def price(problem: Problem, model: CostModel, constants: Constants, *, allow_drop: bool = False) -> Candidates:
    """The tracking problem with integer costs.

    With ``allow_drop`` doubtful detections may be left out, at a price.

    Divisions that are far worse than a link and an appearance are left out: they are never chosen.
    """
    table, links = problem.table, problem.links
    appear, disappear = end_costs(table, constants)
    logit, link_terms = model.link(problem.link_features, len(links))
    link_cost = -logit + constants.gap * links.missed
    first, second = problem.first, problem.second
    division_logit, division_terms = model.division(problem.division_features, len(first))
    late = constants.late * (links.missed[first] + links.missed[second])
    cost = late - division_logit
    single = np.minimum(
        link_cost[first] + appear[links.target[second]], link_cost[second] + appear[links.target[first]]
    )
    kept = np.flatnonzero(cost < single + constants.keep)
    n, joint = len(table), len(table.clique_id) > 0
    usual = usual_gain(links, logit, n) if joint else 0.0
    free = np.full(n, FREE)
    optional = np.full(n, True) if joint else doubtful(table, links, link_cost, constants) & allow_drop
    gain = table.reward - usual * (1 - table.share) + np.where(optional & (not joint), constants.false, 0.0)
    return Candidates(
        Detections(
            table.frame, table.label, table.position, table.area, table.border, to_units(-gain),
            to_units(appear), to_units(disappear), optional, free, table.label - 1 if joint else np.full(n, -1),
        ),
        Links(
            links.source, links.target, to_units(link_cost), np.full(len(links), FREE),
            {name: -term for name, term in link_terms.items()} | {"unseen": constants.gap * links.missed.astype(float)},
        ),
        Divisions(
            links.source[first][kept], links.target[first][kept], links.target[second][kept], to_units(cost[kept]),
            np.full(len(kept), FREE), {name: -term[kept] for name, term in division_terms.items()} | {"late": late[kept].astype(float)},
        ),
        clique_id=table.clique_id, clique_detection=table.clique_row, ndim=table.ndim,
    )  # fmt: skip


def doubtful(table: DetectionTable, links: LinkTable, link_cost: FloatArray, constants: Constants) -> NDArray[np.bool_]:
    """Small detections without a likely link to the past or the future: blobs that may be no cells."""
    likely = link_cost < 0
    linked = np.zeros(len(table), dtype=bool)
    linked[links.source[likely]] = linked[links.target[likely]] = True
    return np.asarray(~linked & (table.area < constants.small * np.median(table.area)) if len(table) else linked)


def usual_gain(links: LinkTable, logit: FloatArray, n: int) -> float:
    """Log-odds of a good link: the median over detections of their best link to the past.

    Where hypotheses compete, links are rewarded by area as well: a piece of a cell pays for what it lacks,
    so that two pieces do not win over the whole by being linked twice.
    """
    best = np.full(n, -np.inf)
    np.maximum.at(best, links.target, logit)
    best = best[np.isfinite(best)]
    return max(float(np.median(best)), 0.0) if len(best) else 0.0


def end_costs(table: DetectionTable, constants: Constants) -> tuple[FloatArray, FloatArray]:
    """Cost in nats of appearing and of disappearing, for each detection.

    Nothing in the first (last) frame with cells; near it no more than having gone unseen since.
    """
    near = table.border <= constants.margin * typical_diameter(table)
    base = np.where(near, constants.border, constants.appear)
    frames = table.frames_with_cells()
    since = np.searchsorted(frames, table.frame)
    until = len(frames) - 1 - since
    return np.minimum(base, constants.gap * since), np.minimum(base, constants.gap * until)
