"""Futures matched to pasts: the programme without divisions and cliques, solved by shortest augmenting paths.

Every column that is left covers one future, one past, or one of each, so this is a sparse assignment problem in
which each row may also stay alone at its own price (disappear, appear). Futures are inserted one by one, each
along a shortest alternating path in reduced costs (Jonker and Volgenant 1987; Dijkstra with potentials). In
integers, so the potentials are exact duals: their sum is the optimum, and the reduced cost of every column is ≥ 0.
"""

from __future__ import annotations

import numpy as np

from celltrail.data.graph.candidates import IntArray, RowArray
from celltrail.data.running.machine_code import compiled


@compiled
def _push(keys: IntArray, items: IntArray, size: int, key: int, item: int) -> int:
    k = size
    while k > 0:
        up = (k - 1) >> 1
        if keys[up] <= key:
            break
        keys[k], items[k] = keys[up], items[up]
        k = up
    keys[k], items[k] = key, item
    return size + 1


@compiled
def _pop(keys: IntArray, items: IntArray, size: int) -> int:
    """Remove the smallest; it is left behind the heap, at the new size."""
    size -= 1
    first_key, first_item, key, item = keys[0], items[0], keys[size], items[size]
    k = 0
    while True:
        down = 2 * k + 1
        if down >= size:
            break
        if down + 1 < size and keys[down + 1] < keys[down]:
            down += 1
        if keys[down] >= key:
            break
        keys[k], items[k] = keys[down], items[down]
        k = down
    keys[k], items[k] = key, item
    keys[size], items[size] = first_key, first_item
    return size


@compiled
def match(
    start: IntArray, right: RowArray, cost: IntArray, alone_left: IntArray, alone_right: IntArray
) -> tuple[IntArray, IntArray, IntArray]:
    """Cheapest assignment in which every row may stay alone.

    Parameters
    ----------
    start : IntArray
        int64 (n + 1,) — the edges of left row ``u`` are ``start[u]`` to ``start[u + 1]``.
    right : RowArray
        int (edges,) — the right row of each edge.
    cost : IntArray
        int64 (edges,).
    alone_left : IntArray
        int64 (n,).
    alone_right : IntArray
        int64 (k,) — costs of staying alone.

    Returns
    -------
    edge : int64 (n,) — the edge of each left row, −1 where it stays alone.
    left_dual, right_dual : int64 — with ``left + right ≤ cost``, ``left ≤ alone_left``, ``right ≤ alone_right``,
        and equality wherever the assignment uses the column.
    """
    n, k = len(alone_left), len(alone_right)
    edge = np.full(n, -1, dtype=np.int64)
    owner = np.full(k, -1, dtype=np.int64)
    left_dual, right_dual = np.zeros(n, dtype=np.int64), alone_right.copy()
    dist, stamp = np.zeros(k, dtype=np.int64), np.full(k, -1, dtype=np.int64)
    closed, from_left, from_edge = (
        np.full(k, -1, dtype=np.int64),
        np.zeros(k, dtype=np.int64),
        np.zeros(k, dtype=np.int64),
    )
    keys, items = np.empty(len(right) + 1, dtype=np.int64), np.empty(len(right) + 1, dtype=np.int64)
    reached = np.empty(k, dtype=np.int64)
    for root in range(n):
        size, done = 0, 0
        best, best_left, goal = alone_left[root], root, -1
        u, base = root, 0
        while True:
            for e in range(start[u], start[u + 1]):
                v = right[e]
                d = base + cost[e] - right_dual[v]
                if d < best and closed[v] != root and (stamp[v] != root or d < dist[v]):
                    dist[v], stamp[v], from_left[v], from_edge[v] = d, root, u, e
                    size = _push(keys, items, size, d, v)
            v = -1
            while size > 0:
                size = _pop(keys, items, size)
                if closed[items[size]] != root:
                    v = items[size]
                    break
            if v < 0 or dist[v] >= best:
                break
            if owner[v] < 0:
                goal, best = v, dist[v]
                break
            closed[v] = root
            reached[done] = v
            done += 1
            u = owner[v]
            base = dist[v] - left_dual[u]
            if base + alone_left[u] < best:
                best, best_left = base + alone_left[u], u
        for i in range(done):
            v = reached[i]
            right_dual[v] += dist[v] - best
            left_dual[owner[v]] += best - dist[v]
        left_dual[root] = best
        if goal < 0:
            goal = right[edge[best_left]] if best_left != root else -1
            edge[best_left] = -1
        while goal >= 0:
            u, e = from_left[goal], from_edge[goal]
            owner[goal] = u
            after = right[edge[u]] if u != root else -1
            edge[u] = e
            goal = after
    return edge, left_dual, right_dual
