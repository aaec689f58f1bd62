"""The integer linear programme: variables and rows as sparse arrays.

Every detection that is used has exactly one past and exactly one future. With binary variables

* ``x_v`` detection used, ``y_uv`` link, ``z_u,vw`` division of ``u`` into the pair ``v, w``,
* ``a_v`` appears, ``b_v`` disappears,

the tracks are the solutions of, for every detection ``v``,

    past:    a_v + Σ_u y_uv + Σ_(u,w) z_u,vw = x_v
    future:  b_v + Σ_w y_vw + Σ_(w,s) z_v,ws = x_v

and, for every clique ``C`` of overlapping hypotheses, ``Σ_(v∈C) x_v ≤ 1``. The sum of costs is minimised.

With ``s_v = 1 − x_v`` ("left out") the rows read ``… + s_v = 1``: a **set partitioning** in which every
column covers at most three rows:

    link u→v       future(u), past(v)              appears v       past(v)
    division       future(u), past(v), past(w)     disappears v    future(v)
                                                   left out v      past(v), future(v)

Without divisions and cliques each column joins one future to one past: a bipartite matching. A pin is
nothing but a set of columns that may not be used: keeping a column forbids every other column of its rows.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csc_array

from celltrail.data.errors import raise_if
from celltrail.data.graph.candidates import FORBIDDEN, FREE, KEPT, Candidates, Detections
from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, IntArray, RowArray


@dataclass(frozen=True)
class Programme:
    """The programme of one `celltrail.data.graph.candidates.Candidates` with ``n`` detections, ``m`` links, ``d`` divisions.

    Columns, in this order: ``m`` links, ``d`` divisions, ``n`` appearances, ``n`` disappearances, ``n`` "left out".
    Rows: ``past(v) = v`` and ``future(v) = n + v``.

    Attributes
    ----------
    rows : RowArray
        int32 (columns, 3) — the rows that each column covers, −1 where fewer than three.
    cost : IntArray
        int64 (columns,) — in 10⁻⁶ nat; leaving ``v`` out costs ``−c_x``.
    allowed : BoolArray
        bool (columns,) — what pins, certainty and dominance leave over.
    possible : BoolArray
        The same without dominance.
    constant : int
        Σ c_x, the part of the objective that is not in the columns.
    clique_id, clique_detection : IntArray
        The cliques of at least two detections that may still be used.
    """

    detections: int
    links: int
    divisions: int
    rows: RowArray
    cost: IntArray
    allowed: BoolArray
    possible: BoolArray
    constant: int
    clique_id: IntArray
    clique_detection: IntArray

    @property
    def first_appear(self) -> int:
        """The column of the appearance of detection 0."""
        return self.links + self.divisions

    @property
    def first_disappear(self) -> int:
        """The column of the disappearance of detection 0."""
        return self.first_appear + self.detections

    @property
    def first_drop(self) -> int:
        """The column of leaving out detection 0."""
        return self.first_disappear + self.detections

    def matrix(self, columns: IntArray) -> csc_array:
        """The rows past and future of some ``columns`` as a 0/1 matrix, float64 (2n, len(columns))."""
        covered = self.rows[columns]
        inside = covered >= 0
        ends = np.concatenate([[0], np.cumsum(inside.sum(axis=1))])
        indices = covered[inside]
        return csc_array((np.ones(len(indices)), indices, ends), shape=(2 * self.detections, len(columns)))


def build_programme(candidates: Candidates) -> Programme:
    """Write the programme down and decide what is certain, see `pinned_model`."""
    programme = _use_what_pays(pinned_model(candidates), candidates)
    return replace(programme, allowed=programme.allowed & ~_dominated(programme), possible=programme.allowed)


def pinned_model(candidates: Candidates) -> Programme:
    """Write the programme down, with pins obeyed: every column that is allowed is part of some solution.

    Raises
    ------
    InputError
        If costs are out of range, rows refer to detections that do not exist, or pins contradict each other.
    """
    raise_if(_problems(candidates))
    detections, links, divisions = candidates.detections, candidates.links, candidates.divisions
    n, m, d = len(detections), len(links), len(divisions)
    rows = np.full((m + d + 3 * n, 3), -1, dtype=np.int32)
    everyone = np.arange(n)
    rows[:m, 0], rows[:m, 1] = n + links.source, links.target
    rows[m : m + d, 0], rows[m : m + d, 1], rows[m : m + d, 2] = n + divisions.mother, divisions.first, divisions.second
    rows[m + d : m + d + n, 0] = everyone
    rows[m + d + n : m + d + 2 * n, 0] = n + everyone
    rows[m + d + 2 * n :, 0], rows[m + d + 2 * n :, 1] = everyone, n + everyone
    cost = np.concatenate([links.cost, divisions.cost, detections.appear, detections.disappear, -detections.cost])
    everything = np.ones(len(rows), dtype=np.bool_)
    programme = Programme(
        detections=n,
        links=m,
        divisions=d,
        rows=rows,
        cost=cost.astype(np.int64, copy=False),
        allowed=everything,
        possible=everything,
        constant=int(detections.cost.sum()),
        clique_id=candidates.clique_id,
        clique_detection=candidates.clique_detection,
    )
    return _apply_pins(programme, candidates)


def name(detections: Detections, v: int) -> str:
    """How a message calls a detection."""
    return f"detection {int(detections.label[v])} of frame {int(detections.frame[v])}"


COST_LIMIT = 10**13


def _problems(candidates: Candidates) -> list[str]:
    n = len(candidates.detections)
    found = []
    ends = {
        "link": (candidates.links.source, candidates.links.target),
        "division": (candidates.divisions.mother, candidates.divisions.first, candidates.divisions.second),
        "clique": (candidates.clique_detection,),
    }
    for kind, columns in ends.items():
        for column in columns:
            wrong = np.flatnonzero((column < 0) | (column >= n))
            if len(wrong):
                found.append(
                    f"{kind} {int(wrong[0])} refers to detection {int(column[wrong[0]])}, but there are only {n}: "
                    "build the candidates again."
                )
    if found:
        return found
    frame = candidates.detections.frame
    for kind, columns in ends.items():
        for column in columns[1:]:
            wrong = np.flatnonzero(frame[columns[0]] >= frame[column])
            if len(wrong):
                first = int(wrong[0])
                found.append(
                    f"{kind} {first} leads from {name(candidates.detections, int(columns[0][first]))} to "
                    f"{name(candidates.detections, int(column[first]))}: it must lead to a later frame."
                )
    if candidates.rebirth_cost < 0:
        found.append("the cost of a second birth too soon is negative: give a penalty of 0 or more.")
    if np.any(candidates.divisions.first == candidates.divisions.second):
        found.append("a division has the same detection as both daughters: give two different ones.")
    costs = {
        "detection": (candidates.detections.cost, candidates.detections.appear, candidates.detections.disappear),
        "link": (candidates.links.cost,),
        "division": (candidates.divisions.cost,),
    }
    for kind, values in costs.items():
        for value in values:
            if not np.issubdtype(value.dtype, np.integer):
                found.append(
                    f"the {kind} costs are {value.dtype}: give integers (celltrail.data.graph.candidates.to_units)."
                )
            elif len(value) and max(abs(int(value.min())), abs(int(value.max()))) > COST_LIMIT:
                row = int(np.argmax((value > COST_LIMIT) | (value < -COST_LIMIT)))
                found.append(f"the cost of {kind} {row} is out of range (over 10⁷ nats): forbid it with a pin instead.")
    return found


def columns_touching(programme: Programme, row_marked: BoolArray) -> BoolArray:
    """Which columns cover a marked row; bool (columns,)."""
    marked = np.append(row_marked, False)
    covered: BoolArray = marked[programme.rows[:, 0]] | marked[programme.rows[:, 1]] | marked[programme.rows[:, 2]]
    return covered


def _apply_pins(programme: Programme, candidates: Candidates) -> Programme:
    """Forbid what the pins exclude, and the rivals of every detection that is used for certain."""
    n, m, d = programme.detections, programme.links, programme.divisions
    detections = candidates.detections
    kept = np.zeros(len(programme.rows), dtype=np.bool_)
    kept[:m], kept[m : m + d] = candidates.links.fixed == KEPT, candidates.divisions.fixed == KEPT
    cover = np.bincount(programme.rows[kept][programme.rows[kept] >= 0], minlength=2 * n)
    raise_if(
        f"two pins keep {'the past' if row < n else 'the future'} of {name(detections, row % n)} in different ways: "
        "remove one of them."
        for row in np.flatnonzero(cover > 1).tolist()
    )
    held = (cover[:n] > 0) | (cover[n:] > 0)
    out = detections.fixed == FORBIDDEN
    raise_if(
        f"{name(detections, v)} is forbidden by one pin and used by another: remove one of them."
        for v in np.flatnonzero(held & out).tolist()
    )
    pinned = held | (detections.fixed == KEPT)
    out |= _rivals(candidates, pinned, pinned | out, "are both pinned")
    certain = (pinned | ~detections.optional) & ~out
    out |= _rivals(candidates, certain, certain | out, "must both be used")
    certain &= ~out

    allowed = programme.allowed.copy()
    allowed[:m] = candidates.links.fixed != FORBIDDEN
    allowed[m : m + d] = candidates.divisions.fixed != FORBIDDEN
    allowed &= ~columns_touching(programme, cover > 0) | kept
    allowed &= ~columns_touching(programme, np.concatenate([out, out]))
    allowed[programme.first_drop :] = (detections.optional & ~certain) | out

    lost = np.flatnonzero(kept & ~allowed)
    raise_if(
        f"a pin keeps what another excludes: {name(detections, int(programme.rows[column, 0] % n))} cannot be followed by "
        f"{name(detections, int(programme.rows[column, 1]))}; remove one of them."
        for column in lost.tolist()
    )
    free = ~certain & ~out
    inside = free[candidates.clique_detection]
    ids, members = candidates.clique_id[inside], candidates.clique_detection[inside]
    _, index, size = np.unique(ids, return_inverse=True, return_counts=True)
    together = size[index] > 1 if len(ids) else np.zeros(0, dtype=np.bool_)
    return replace(programme, allowed=allowed, clique_id=ids[together], clique_detection=members[together])


def _rivals(candidates: Candidates, certain: BoolArray, settled: BoolArray, why: str) -> BoolArray:
    """The detections that share a clique with a certain one; two certain ones in a clique are an error."""
    rivals = np.zeros(len(certain), dtype=np.bool_)
    ids, members = candidates.clique_id, candidates.clique_detection
    if not len(ids):
        return rivals
    _, index = np.unique(ids, return_inverse=True)
    count = np.bincount(index, weights=certain[members])
    problems = []
    for clique in np.flatnonzero(count > 1).tolist():
        pair = members[(index == clique) & certain[members]][:2].tolist()
        problems.append(
            f"{name(candidates.detections, pair[0])} and {name(candidates.detections, pair[1])} overlap and {why}: "
            "only one of them can be a cell; change one."
        )
    raise_if(problems)
    rivals[members[count[index] > 0]] = True
    return rivals & ~settled


def _use_what_pays(programme: Programme, candidates: Candidates) -> Programme:
    """Fix optional detections that are in some optimum.

    A detection in no clique, with no pin, and with ``c_x + c_a + c_b ≤ 0`` may be added to any solution
    without making it dearer.
    """
    detections = candidates.detections
    pays = detections.cost + detections.appear + detections.disappear <= 0
    pays &= detections.fixed == FREE
    pays[programme.clique_detection] = False
    allowed = programme.allowed.copy()
    allowed[programme.first_drop :] &= ~(
        pays & detections.optional & allowed[programme.first_appear : programme.first_disappear]
    )
    return replace(programme, allowed=allowed)


def _dominated(programme: Programme) -> BoolArray:
    """Columns that another, allowed choice replaces at no higher cost; bool (columns,).

    A link never beats disappearing and appearing where ``c_y ≥ c_b + c_a``; a division never beats a link
    and an appearance where ``c_z ≥ c_y + c_a``. Neither replacement makes a second birth "too soon".
    """
    n, m = programme.detections, programme.links
    source = programme.rows[:m, 0] - n
    order = np.arange(m) if np.all(source[:-1] <= source[1:]) else np.argsort(source, kind="stable")
    first = np.searchsorted(source[order], np.arange(n + 1))
    return _find_dominated(programme.rows, programme.cost, programme.allowed, first, order, n, m, programme.divisions)


@compiled
def _find_dominated(
    rows: RowArray, cost: IntArray, allowed: BoolArray, first: IntArray, order: IntArray, n: int, m: int, d: int
) -> BoolArray:
    """``order[first[u]:first[u + 1]]`` are the links out of detection ``u``."""
    never = np.int64(1) << 60
    dominated = np.zeros(len(rows), dtype=np.bool_)
    appear = np.where(allowed[m + d : m + d + n], cost[m + d : m + d + n], never)
    disappear = np.where(allowed[m + d + n : m + d + 2 * n], cost[m + d + n : m + d + 2 * n], never)
    for k in range(m):
        dominated[k] = cost[k] >= disappear[rows[k, 0] - n] + appear[rows[k, 1]]
    for z in range(m, m + d):
        u, v, w = rows[z, 0] - n, rows[z, 1], rows[z, 2]
        with_v, with_w = disappear[u] + appear[v], disappear[u] + appear[w]
        for i in range(first[u], first[u + 1]):
            k = order[i]
            if allowed[k]:
                if rows[k, 1] == v:
                    with_v = min(with_v, cost[k])
                elif rows[k, 1] == w:
                    with_w = min(with_w, cost[k])
        dominated[z] = cost[z] >= min(with_v + appear[w], with_w + appear[v])
    return dominated


def clique_rows(programme: Programme) -> list[NDArray[np.int64]]:
    """The "left out" columns of each clique; at least all but one of them must be chosen."""
    if not len(programme.clique_id):
        return []
    order = np.argsort(programme.clique_id, kind="stable")
    starts = np.flatnonzero(np.diff(programme.clique_id[order])) + 1
    return [programme.first_drop + part for part in np.split(programme.clique_detection[order], starts)]
