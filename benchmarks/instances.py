"""Tracking problems with truth, of any size: cells that wander, divide, die, enter and leave.

One cell per unit of area. The candidates are the five nearest within a radius; the costs are log-odds of the
very distributions that the cells were drawn from, so that what is measured is the solver, not the model.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
from scipy.spatial import cKDTree

from celltrail.data.graph.candidates import FREE, Candidates, Detections, Divisions, Links, to_units

STEP, SISTERS = 0.22, 0.30  # per frame: s.d. of the motion along an axis, distance of a daughter from the midpoint
DIVIDE, DIE = 0.010, 0.010  # per cell and frame
NEIGHBOURS, RADIUS = 5, 1.6
SPURIOUS, MISSED = 0.03, 0.02  # uncertain: share of detections that are no cell, of cells not detected


def simulate_points(detections: int, *, cells: int, spoilt: bool, seed: int) -> dict[str, np.ndarray]:
    """Points with truth: ``frame, position (n, 2), area, score, mother`` (row of the true predecessor, −1 none)."""
    rng = np.random.default_rng(seed)
    side = np.sqrt(cells)
    place, area = rng.random((cells, 2)) * side, rng.uniform(1, 2, cells)
    last = np.full(cells, -1)
    columns: dict[str, list[np.ndarray]] = {name: [] for name in ("frame", "position", "area", "score", "mother")}
    total, t = 0, 0
    while total < detections:
        seen = rng.random(len(place)) >= MISSED if spoilt else np.ones(len(place), dtype=bool)
        false = int(rng.binomial(len(place), SPURIOUS)) if spoilt else 0
        points = np.concatenate([place[seen], rng.random((false, 2)) * side])
        areas = np.concatenate([area[seen], rng.uniform(0.5, 2, false)])
        score = np.concatenate([rng.normal(3, 1.5, int(seen.sum())), rng.normal(-3, 1.5, false)])
        mother = np.concatenate([last[seen], np.full(false, -1)])
        order = np.lexsort((points[:, 1], points[:, 0]))
        row = np.empty(len(points), dtype=np.int64)
        row[order] = total + np.arange(len(points))
        for name, values in zip(columns, (np.full(len(points), t), points, areas, score, mother), strict=True):
            columns[name].append(values[order])
        last[seen] = row[: int(seen.sum())]
        total, t = total + len(points), t + 1
        alive = rng.random(len(place)) >= DIE
        place, area, last = place[alive], area[alive] * 1.007, last[alive]
        divides = rng.random(len(place)) < DIVIDE
        push = rng.normal(0, 1, (int(divides.sum()), 2))
        push *= SISTERS / np.linalg.norm(push, axis=1, keepdims=True).clip(1e-9)
        born = place[divides] - push
        place[divides] += push
        area[divides] /= 2
        place = np.concatenate([place, born])
        area, last = np.concatenate([area, area[divides]]), np.concatenate([last, last[divides]])
        place = place + rng.normal(0, STEP, place.shape)
        inside = ((place > 0) & (place < side)).all(axis=1)
        place, area, last = place[inside], area[inside], last[inside]
        enter = max(cells - len(place), 0)
        edge = rng.random((enter, 2)) * side
        edge[np.arange(enter), rng.integers(0, 2, enter)] = rng.choice([0.02, side - 0.02], enter)
        place = np.concatenate([place, edge])
        area, last = np.concatenate([area, rng.uniform(1, 2, enter)]), np.concatenate([last, np.full(enter, -1)])
    return {name: np.concatenate(values) for name, values in columns.items()}


def add_hypotheses(points: dict[str, np.ndarray], *, seed: int) -> tuple[dict[str, np.ndarray], np.ndarray, np.ndarray]:
    """Other ways to cut the same pixels: halves of a cell, and two neighbours as one; points, clique ids, members."""
    rng = np.random.default_rng([seed, 1])
    frame, position, area = points["frame"], points["position"], points["area"]
    n = len(frame)
    cut = np.flatnonzero(rng.random(n) < 0.25)
    push = rng.normal(0, 1, (len(cut), 2))
    push *= 0.2 / np.linalg.norm(push, axis=1, keepdims=True).clip(1e-9)
    first = np.searchsorted(frame, np.arange(frame[-1] + 2))
    pairs = []
    for t in range(frame[-1] + 1):
        near = cKDTree(position[first[t] : first[t + 1]]).query_pairs(0.45, output_type="ndarray") + first[t]
        pairs.append(near[rng.random(len(near)) < 0.5])
    two = np.concatenate(pairs)
    joined = {
        "frame": np.concatenate([frame, frame[cut], frame[cut], frame[two[:, 0]]]),
        "position": np.concatenate([position, position[cut] + push, position[cut] - push, position[two].mean(axis=1)]),
        "area": np.concatenate([area, area[cut] / 2, area[cut] / 2, area[two].sum(axis=1)]),
        "score": np.concatenate(
            [rng.normal(3, 1.5, n), *rng.normal(0.2, 1.0, (2, len(cut))), rng.normal(1.0, 1.5, len(two))]
        ),
        "mother": np.concatenate([points["mother"], np.full(2 * len(cut) + len(two), -1)]),
    }
    halves: dict[int, tuple[int, int]] = {c: (n + k, n + len(cut) + k) for k, c in enumerate(cut.tolist())}
    cliques: list[tuple[int, ...]] = []
    paired = set()
    for k, (a, b) in enumerate(two.tolist()):
        whole = n + 2 * len(cut) + k
        for cell in (a, b):
            paired.add(cell)
            cliques += [(whole, cell, half) for half in halves[cell]] if cell in halves else [(whole, cell)]
    cliques += [(cell, half) for cell, both in halves.items() if cell not in paired for half in both]
    order = np.lexsort((joined["position"][:, 1], joined["position"][:, 0], joined["frame"]))
    row = np.empty(len(order), dtype=np.int64)
    row[order] = np.arange(len(order))
    joined = {name: values[order] for name, values in joined.items()}
    joined["mother"] = np.where(joined["mother"] >= 0, row[joined["mother"]], -1)
    ids = np.repeat(np.arange(len(cliques)), [len(clique) for clique in cliques])
    return joined, ids, row[np.array([v for clique in cliques for v in clique], dtype=np.int64)]


def find_links(points: dict[str, np.ndarray], *, skip: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Source, target, distance of the nearest candidates in the frame ``skip`` later."""
    frame, position = points["frame"], points["position"]
    first = np.searchsorted(frame, np.arange(frame[-1] + 2))
    parts = []
    trees = [cKDTree(position[first[t] : first[t + 1]]) for t in range(frame[-1] + 1)]
    reach = NEIGHBOURS if skip == 1 else 2
    for t in range(frame[-1] + 1 - skip):
        size = len(trees[t + skip].data)
        distance, index = trees[t + skip].query(trees[t].data, k=min(reach, size), distance_upper_bound=RADIUS)
        distance, index = distance.reshape(len(index), -1), index.reshape(len(index), -1)
        near = index < size
        source = np.broadcast_to(np.arange(len(index))[:, None], index.shape)[near]
        parts.append((first[t] + source, first[t + skip] + index[near], distance[near]))
    source, target, distance = (np.concatenate(column) for column in zip(*parts, strict=True))
    return source, target, distance


def link_cost(distance: np.ndarray, growth: np.ndarray, skip: int) -> np.ndarray:
    """Minus log-odds that two points are one cell, against a random neighbour at unit density."""
    spread = STEP**2 * skip
    return (
        0.5 * distance**2 / spread
        + np.log(2 * np.pi * spread)
        + 2.0 * growth**2
        - np.log(1 - DIVIDE - DIE)
        + 2.5 * (skip - 1)
    )


Cliques = tuple[np.ndarray, np.ndarray]


def instance(
    detections: int, regime: str, *, cells: int = 0, seed: int = 0
) -> tuple[Candidates, dict[str, np.ndarray], Cliques]:
    """A problem of about ``detections`` rows in a regime (``trusted, uncertain, hypotheses``), its points, its cliques.

    Parameters
    ----------
    cells : int
        Per frame; 0: a tenth of the detections, at most 1,000.
    """
    cells = cells or min(1000, max(detections // 10, 20))
    share = 0.6 if regime == "hypotheses" else 1.0
    points = simulate_points(int(detections * share), cells=cells, spoilt=regime == "uncertain", seed=seed)
    cliques = np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)
    if regime == "hypotheses":
        points, *cliques = add_hypotheses(points, seed=seed)
    return build(points, regime, tuple(cliques)), points, tuple(cliques)


def constant_split(candidates: Candidates, split: int = 4_000_000) -> tuple[Candidates, int]:
    """The same problem where any two links of a cell may be a division, at their costs and one constant more."""
    links = candidates.links
    first = np.searchsorted(links.source, np.arange(len(candidates.detections) + 1))
    degree = np.diff(first)
    triplets, prices = [], []
    for i, j in combinations(range(int(degree.max())), 2):
        mother = np.flatnonzero(degree > j)
        one, other = first[mother] + i, first[mother] + j
        pair = np.sort(np.column_stack([links.target[one], links.target[other]]), axis=1)
        triplets.append(np.column_stack([mother, pair]))
        prices.append(links.cost[one] + links.cost[other] + split)
    three, cost = np.concatenate(triplets), np.concatenate(prices)
    return replace(candidates, divisions=Divisions(*three.T, cost, np.full(len(cost), FREE))), split


def without_divisions(candidates: Candidates) -> Candidates:
    """The same problem where no cell divides."""
    none = np.zeros(0, dtype=np.int64)
    return replace(candidates, divisions=Divisions(none, none, none, none, none))


def build(points: dict[str, np.ndarray], regime: str, cliques: Cliques) -> Candidates:
    """Candidates and costs of points."""
    frame, position, area = points["frame"], points["position"], points["area"]
    n, side = len(frame), position.max()
    source, target, distance = find_links(points, skip=1)
    cost = link_cost(distance, np.log(area[target] / area[source]), 1)
    triplets, prices = division_candidates(points, source, target)
    if regime == "uncertain":
        late = find_links(points, skip=2)
        far = link_cost(late[2], np.log(area[late[1]] / area[late[0]]), 2)
        source, target = np.concatenate([source, late[0]]), np.concatenate([target, late[1]])
        cost = np.concatenate([cost, far])
        order = np.lexsort((target, source))
        source, target, cost = source[order], target[order], cost[order]
    border = np.minimum(position, side - position).min(axis=1)
    rare = np.where(border < 3 * STEP, 2.5, 5.0)
    detection_cost = np.zeros(n) if regime == "trusted" else -points["score"]
    table = Detections(
        frame=frame,
        label=np.arange(n) - np.searchsorted(frame, frame) + 1,
        position=np.column_stack([np.zeros(n), position]),
        area=np.rint(area * 100).astype(np.int64),
        border=border,
        cost=to_units(detection_cost),
        appear=to_units(np.where(frame == 0, 0, rare)),
        disappear=to_units(np.where(frame == frame[-1], 0, np.where(border < 3 * STEP, 2.5, -np.log(DIE)))),
        optional=np.full(n, regime != "trusted"),
        fixed=np.full(n, FREE),
        hypothesis=np.full(n, -1),
    )
    free = np.full(len(source), FREE)
    divisions = Divisions(*triplets.T, to_units(prices), np.full(len(prices), FREE))
    return Candidates(table, Links(source, target, to_units(cost), free), divisions, *cliques)


def division_candidates(
    points: dict[str, np.ndarray], source: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Pairs of candidates whose midpoint and areas fit a division of their common source."""
    position, area = points["position"], points["area"]
    first = np.searchsorted(source, np.arange(len(area) + 1))
    degree = np.diff(first)
    found, prices = [], []
    spread, midpoint = 2 * STEP**2, STEP**2 / 2
    for i, j in combinations(range(NEIGHBOURS), 2):
        mother = np.flatnonzero(degree > j)
        one, other = target[first[mother] + i], target[first[mother] + j]
        middle = (position[one] + position[other]) / 2 - position[mother]
        between = np.linalg.norm(position[one] - position[other], axis=1)
        shift = (middle**2).sum(axis=1)
        halves = np.log((area[one] + area[other]) / area[mother])
        price = (
            0.5 * shift / midpoint
            + np.log(2 * np.pi * midpoint)
            + 0.5 * (between - 2 * SISTERS) ** 2 / spread
            + np.log(2 * np.pi * spread)
            + 8 * halves**2
            + 4 * np.log(area[one] / area[other]) ** 2
            - np.log(DIVIDE)
        )
        good = price < 8
        pair = np.sort(np.column_stack([one[good], other[good]]), axis=1)
        found.append(np.column_stack([mother[good], pair]))
        prices.append(price[good])
    return np.concatenate(found), np.concatenate(prices)
