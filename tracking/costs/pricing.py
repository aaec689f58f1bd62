"""From features to costs: negative log-odds in nats, and the few constants that go with them.

A cost model gives the log-odds of links and of divisions. :func:`price` turns them into the
integer costs of :class:`celltrail.data.graph.candidates.Candidates`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import raise_if
from celltrail.data.graph.candidates import (
    SISTER_OUTSIDE,
    UNLIKELY,
    Candidates,
    Detections,
    Divisions,
    Links,
    Terms,
    all_free,
    to_units,
)
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.data.types import FloatArray, IntArray
from celltrail.data.words import counted
from celltrail.tracking.candidates.border_divisions import find_lone_daughters, lone_daughter_features
from celltrail.tracking.candidates.features import Features
from celltrail.tracking.candidates.gaps import COVERED
from celltrail.tracking.candidates.links import LinkTable, typical_diameter
from celltrail.tracking.candidates.parts import Part, UnpricedCandidates
from celltrail.tracking.measuring.table import DetectionTable


@dataclass(frozen=True)
class Constants:
    """Costs in nats that are not taken from the movie.

    Attributes
    ----------
    appear : float
        A cell appears, or disappears, inside the image.
    border : float
        The same near its side.
    gap : float
        The first frame in which a linked cell was not seen, though others were. Where a movie shows no such frame, this
        is also what appearing costs in the second frame, and disappearing in the last but one.
    blank : float
        Each further such frame in a row, and each in which no cell was seen: one that is missing is often missing in
        the next frame, too.
    margin : float
        How near the side counts as border, in diameters of a typical cell.
    late : float
        A daughter that is first seen a frame after her sister (two daughters that both come a frame late: their
        mother went unseen, for ``gap``).
    outside : float
        A daughter whose sister is born outside the image, on top of ``border``.
    false : float
        Leaving out a detection that is doubtful, which is one below ``small`` times the median area without a
        likely link to either side.
    unlikely, steep : float
        A link that is less likely than ``unlikely`` nats costs ``steep`` nats more for each further nat. The log-odds of a link say
        how it compares with others, not that a cell may end and another begin beside it: of the links that were
        chosen at 4 nats and more, for want of anything better, 65 of 74 were wrong (``benchmarks/links.py``).
    keep : float
        Divisions that are worse than a link and an appearance by more than this are left out.
    """

    appear: float = 7.0
    border: float = 3.0
    gap: float = 4.6
    blank: float = 1.0
    margin: float = 0.25
    late: float = 6.0
    outside: float = 3.0
    false: float = 10.0
    small: float = 0.5
    unlikely: float = 4.0
    steep: float = 5.0
    keep: float = 6.0

    def in_words(self) -> list[str]:
        """Each constant as a sentence that one can check against one's own movie."""
        return [
            f"appearing or disappearing inside the image costs {counted(self.appear, 'nat')}: it happens to one cell in {np.exp(self.appear):,.0f}",
            f"within {self.margin:g} cell diameters of the side it costs {counted(self.border, 'nat')}: one cell in {np.exp(self.border):,.0f}",
            "appearing in the first frame and disappearing after the last one costs nothing",
            f"a link that is less likely than one in {np.exp(self.unlikely):,.0f} costs {counted(self.steep, 'nat')} more for each nat beyond: where nothing else is near, a cell rather ends",
            f"a daughter first seen a frame after her sister costs {counted(self.late, 'nat')}: one birth in {np.exp(self.late):,.0f}",
            f"a daughter whose sister is outside the image costs {counted(self.border + self.outside, 'nat')} ({self.border:g} of them as a cell that leaves there): one birth in {np.exp(self.border + self.outside):,.0f}",
            f"leaving out a small detection that nothing precedes or follows costs {counted(self.false, 'nat')}",
            f"going unseen costs {counted(self.gap, 'nat')}: it happens to one cell in {np.exp(self.gap):,.0f}",
            f"each further frame of it, and each that shows no cell at all, costs {counted(self.blank, 'nat')}: odds of 1 : {np.exp(self.blank):.3g} that it goes on",
        ]


def change_constants(given: Mapping[str, float]) -> Constants:
    """The constants, some of them given.

    Raises
    ------
    InputError
        If one is not a number from 0 on.
    """
    raise_if(
        [
            f"The constant '{name}' is {counted(value, 'nat')}: give a number from 0 on."
            for name, value in given.items()
            if not 0 <= value < np.inf
        ]
    )
    return replace(Constants(), **given)


CONTESTED_COST = 50.0  # nats against a gap whose place is covered, or whose cells go another way: it is never chosen


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


def price(
    problem: UnpricedCandidates,
    model: CostModel,
    constants: Constants,
    *,
    allow_drop: bool = False,
    explained: bool = True,
    mapper: Mapper = map,
) -> Candidates:
    """The tracking problem with integer costs; ``explained``: with the terms that they are the sum of,
    in half precision (three digits): they are shown, never summed. But what a link costs less as a division with one
    daughter outside is always there, in single precision: pins may take it back.

    With ``allow_drop`` doubtful detections may be left out, at a price.

    Divisions that are far worse than a link and an appearance are left out: they are never chosen.
    ``mapper`` : where the parts of the movie are priced; a movie of a single part is priced here.
    """
    table, n = problem.table, len(problem.table)
    appear, disappear = end_costs(table, constants)
    best, inner, likely = np.full(n, -np.inf), np.full(n, -np.inf), np.zeros(n, dtype=bool)
    link_cost = np.empty(len(problem.links), dtype=np.int64)
    rows, division_cost, link_terms, division_terms = [], [], [], []
    done = 0
    for priced in _priced_parts(problem, appear, model, constants, explained, mapper):
        cells, here = slice(priced.offset, priced.offset + len(priced.best)), slice(done, done + len(priced.link_cost))
        link_cost[here], done = priced.link_cost, here.stop
        rows.append(priced.divisions)
        division_cost.append(priced.division_cost)
        link_terms.append(priced.link_terms)
        division_terms.append(priced.division_terms)
        best[cells] = np.maximum(best[cells], priced.best)
        inner[cells] = np.maximum(inner[cells], priced.inner)
        likely[cells] |= priced.likely
    alternative = table.alternatives
    usual = usual_gain(best) if alternative.any() else 0.0
    specks = doubtful(table, likely, constants) & allow_drop & ~alternative
    # a part pays for what it lacks of a cell, but no more than its own link earns: cells that meet fast move unusually
    lacking = (1 - table.share) * np.where(table.beside, np.clip(best, 0.0, usual), usual)
    gain = table.reward - np.where(inner > 0, inner, lacking) + np.where(specks, constants.false, 0.0)
    gain += _stake(table, float((appear + disappear).max(initial=0)) + max(usual, float(inner.max(initial=0))))
    mother, one, two = np.concatenate(rows, axis=1)
    return Candidates(
        Detections(
            frame=table.frame,
            label=table.label,
            position=table.position,
            area=table.area,
            border=table.border,
            cost=to_units(-gain),
            appear=to_units(appear),
            disappear=to_units(disappear),
            optional=specks | alternative,
            fixed=all_free(n),
            hypothesis=table.hypothesis,
        ),
        Links(
            source=problem.links.source,
            target=problem.links.target,
            cost=link_cost,
            fixed=all_free(len(link_cost)),
            terms=_joined(link_terms),
        ),
        Divisions(
            mother=mother,
            first=one,
            second=two,
            cost=np.concatenate(division_cost),
            fixed=all_free(len(mother)),
            terms=_joined(division_terms),
        ),
        clique_id=table.clique_id,
        clique_detection=table.clique_row,
        ndim=table.ndim,
        step=table.step,
    )


def with_terms(
    candidates: Candidates,
    problem: UnpricedCandidates,
    model: CostModel,
    constants: Constants,
    *,
    mapper: Mapper = map,
    progress: Progress = silent,
) -> Candidates:
    """What `price` has priced without explanation, with the terms of its costs."""
    appear, _ = end_costs(problem.table, constants)
    links, divisions = replace(candidates.links, terms={}), replace(candidates.divisions, terms={})
    i, j = 0, 0
    progress("explain", 0, len(links))
    for priced in _priced_parts(problem, appear, model, constants, True, mapper):
        _put(links, i, priced.link_terms)
        _put(divisions, j, priced.division_terms)
        i, j = i + len(priced.link_cost), j + len(priced.division_cost)
        progress("explain", i, len(links))
    return replace(candidates, links=links, divisions=divisions)


def _put(table: Links | Divisions, begin: int, part: Terms) -> None:
    """Write the terms of a part into those of all rows, from row ``begin`` on."""
    for name, term in part.items():
        whole = table.terms.setdefault(name, np.empty(len(table), dtype=term.dtype))
        whole[begin : begin + len(term)] = term


@dataclass(frozen=True)
class Priced:
    """The costs of a part of a movie, in units.

    Attributes
    ----------
    offset : int
        Its first row in the movie.
    link_cost : IntArray
        int64 (m,).
    divisions : IntArray
        int64 (3, d), rows of the movie.
    division_cost : IntArray
        int64 (d,).
    link_terms, division_terms : Terms
        float16, in nats; empty where they were not asked for.
    best : FloatArray
        float64 (n,), log-odds of the best link to the past of each of its cells, −inf: none.
    inner : FloatArray
        float64 (n,), the same of links within a merger that lasts. How long two cells stay one mask says nothing for either
        reading; but pieces that stay apart for long are cells.
    likely : NDArray[np.bool_]
        bool (n,), whether a link that is likelier than not begins or ends there.
    """

    offset: int
    link_cost: IntArray
    divisions: IntArray
    division_cost: IntArray
    link_terms: Terms
    division_terms: Terms
    best: FloatArray
    inner: FloatArray
    likely: NDArray[np.bool_]


def _priced_parts(
    problem: UnpricedCandidates,
    appear: FloatArray,
    model: CostModel,
    constants: Constants,
    explained: bool,
    mapper: Mapper,
) -> Iterator[Priced]:
    """The costs of all parts in order; ``appear``: float64 (n,), what it costs each cell to appear, in nats."""
    items = ((part, appear[part.offset : part.offset + len(part.table)]) for part in problem.parts())
    work = partial(price_part, model=model, constants=constants, explained=explained)
    return (map if problem.small else mapper)(work, items)


def price_part(item: tuple[Part, FloatArray], *, model: CostModel, constants: Constants, explained: bool) -> Priced:
    """The costs of a part, given with what it costs each of its cells to appear."""
    part, appear = item
    logit, cost, terms = _price_links(part, model, constants)
    triplets, its_cost, its_terms = _price_divisions(part, model, constants, cost, appear)
    best, likely = np.full(len(part.table), -np.inf), np.zeros(len(part.table), dtype=bool)
    np.maximum.at(best, part.links.target, logit)
    inner = np.full(len(part.table), -np.inf)
    if part.table.read_otherwise:
        merged = part.table.alternatives & (part.table.beside == (part.table.share < 1))  # masks, and parts of them
        within = np.flatnonzero(merged[part.links.source] & merged[part.links.target])
        np.maximum.at(inner, part.links.target[within], logit[within])
    likely[part.links.source[cost < 0]] = likely[part.links.target[cost < 0]] = True
    link_terms, division_terms = (
        {name: term.astype(np.float16) for name, term in of.items()} if explained else {} for of in (terms, its_terms)
    )
    for name in (SISTER_OUTSIDE, UNLIKELY):  # other steps ask for these
        link_terms[name] = terms[name].astype(np.float32)
    return Priced(
        offset=part.offset,
        link_cost=to_units(cost),
        divisions=triplets,
        division_cost=to_units(its_cost),
        link_terms=link_terms,
        division_terms=division_terms,
        best=best,
        inner=inner,
        likely=likely,
    )


def _price_links(part: Part, model: CostModel, constants: Constants) -> tuple[FloatArray, FloatArray, Terms]:
    """Log-odds and cost of the links of a part in nats, and the terms of the cost.

    A link that is more likely a division with one daughter outside the image has the cost of that, if such a
    division is likelier than not: a link that fits badly is none for that reason alone.
    """
    logit, terms = model.link(part.link_features, len(part.links))
    unseen = unseen_cost(part.links, constants) + CONTESTED_COST * (part.links.doubt > COVERED)
    unlikely = unlikely_cost(logit, constants)
    cost, outside = unseen + unlikely - logit, np.zeros(len(logit))
    lone = find_lone_daughters(part)
    born, _ = model.division(lone_daughter_features(part, lone), len(lone))
    alone = constants.border + constants.outside - born
    outside[lone] = np.where((alone < 0) & (alone < cost[lone]), alone - cost[lone], 0)
    terms = {name: -term for name, term in terms.items()} | {
        UNLIKELY: unlikely,
        "unseen": unseen,
        SISTER_OUTSIDE: outside,
    }
    return logit, cost + outside, terms


def unlikely_cost(logit: FloatArray, constants: Constants) -> FloatArray:
    """What links of some log-odds cost beyond these, in nats, float64 (m,)."""
    return np.asarray(constants.steep * np.maximum(-logit - constants.unlikely, 0))


def unseen_cost(links: LinkTable, constants: Constants) -> FloatArray:
    """What the frames cost in which the cells of some links went unseen, in nats, float64 (m,).

    ``gap + blank * (frames - 1)``, or ``blank * frames`` where none of the frames shows another cell.
    """
    among_others = links.missed > links.blank
    return np.asarray((constants.gap - constants.blank) * among_others + constants.blank * links.missed)


def _price_divisions(
    part: Part, model: CostModel, constants: Constants, link_cost: FloatArray, appear: FloatArray
) -> tuple[IntArray, FloatArray, Terms]:
    """The divisions of a part that are worth a place in the problem: int64 (3, d), their costs in nats, the terms."""
    links, first, second = part.links, part.first, part.second
    logit, terms = model.division(part.division_features, len(first))
    alone = (links.missed[first] > 0) & (links.missed[second] > 0)
    late = np.where(
        alone, unseen_cost(links, constants)[first], constants.late * links.missed[second].astype(np.float64)
    )
    late += CONTESTED_COST * ((links.doubt[first] > COVERED) | (links.doubt[second] > COVERED))
    cost = late - logit
    single = np.minimum(
        link_cost[first] + appear[links.target[second]], link_cost[second] + appear[links.target[first]]
    )
    kept = np.flatnonzero(cost < single + constants.keep)
    rows = np.stack([links.source[first], links.target[first], links.target[second]])[:, kept] + part.offset
    return rows, cost[kept], {name: -term[kept] for name, term in terms.items()} | {"late": late[kept]}


def _joined(parts: list[Terms]) -> Terms:
    """The terms of all parts as one; those of the parts are given up on the way."""
    return {name: np.concatenate([part.pop(name) for part in parts]) for name in (list(parts[0]) if parts else ())}


def doubtful(table: DetectionTable, likely: NDArray[np.bool_], constants: Constants) -> NDArray[np.bool_]:
    """Small detections without a likely link to the past or the future: blobs that may be no cells."""
    return np.asarray(~likely & (table.area < constants.small * table.typical_area))


def usual_gain(best: FloatArray) -> float:
    """Log-odds of a good link: the median over detections of their ``best`` link to the past (−inf: none).

    Where hypotheses compete, links are rewarded by area as well: a piece of a cell pays for what it lacks,
    so that two pieces do not win over the whole by being linked twice.
    """
    best = best[np.isfinite(best)]
    return max(float(np.median(best)), 0.0) if len(best) else 0.0


def _stake(table: DetectionTable, least: float) -> FloatArray:
    """What explaining a mask at all is worth, where it may be read in two ways, float64 (n,) in nats: just so much that
    leaving it out in both, or a part of it, never pays; ``least``: what a cell costs at most that nothing follows."""
    stake = np.zeros(len(table))
    if table.read_otherwise:
        np.add.at(stake, table.clique_row, least + float(np.maximum(-table.reward, 0).max()))
    return stake


def end_costs(table: DetectionTable, constants: Constants) -> tuple[FloatArray, FloatArray]:
    """Cost in nats of appearing and of disappearing, for each detection.

    Nothing in the first (last) frame with cells, nor where a jump of the stage brings a cell into the image (out of it);
    near these frames no more than having gone unseen since: where the first such frame costs less than each further one
    does (``--gap-cost 0``), these cost what they do in a gap, or cells would end and begin for nothing everywhere.
    """
    near = table.border <= constants.margin * typical_diameter(table)
    base = np.where(near, constants.border, constants.appear)
    leaves, came = _across_the_side(table)
    time = table.time
    since, until = time - time.min(initial=0), time.max(initial=0) - time
    appear, disappear = (np.where(crossed, 0.0, base) for crossed in (came, leaves))
    more = max(constants.blank - constants.gap, 0.0)
    unseen = [constants.gap * steps + more * np.maximum(steps - 1, 0) for steps in (since, until)]
    return np.minimum(appear, unseen[0]), np.minimum(disappear, unseen[1])


def _across_the_side(table: DetectionTable) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Which cells drift takes out of the image as a whole until the next frame, and which it has brought in; bool (n,)."""
    start, shift = table.frame_starts(), table.shift[1]
    before = np.zeros_like(shift)
    for here, there, beyond in zip(start[:-2], start[1:-1], start[2:], strict=True):
        if table.frame[there] - table.frame[here] == table.step:
            before[there:beyond] = np.median(shift[here:there], axis=0)
    radius = table.diameter[:, np.newaxis] / 2 / table.scale
    size = np.array((1,) * (3 - table.ndim) + table.shape) - 1
    ahead, back = table.position + shift, table.position - before
    leaves = ((ahead < -radius) | (ahead > size + radius)).any(axis=1)
    came = ((back < -radius) | (back > size + radius)).any(axis=1)
    return np.asarray(leaves), np.asarray(came)
