"""Where cells would be in a later frame if they only drifted with their surroundings, also where the stage has jumped."""

from __future__ import annotations

import numpy as np
from scipy.spatial import cKDTree
from scipy.stats import binom

from celltrail.data.types import FloatArray, IntArray

ROUNDS = 3
NEIGHBOURS = 12
TRUST = 0.5  # how far the local drift is followed; the rest is the drift of the whole frame
FEWEST = 4  # mutual pairs below which nothing is said about a drift
CLOSE = 0.25  # of the distance between neighbours: a cell that near to where it should be is in its place
IN_PLACE = 0.5  # share of the cells in their places from which no jump is looked for
FAR = 12.0  # distances between neighbours that a jump is looked for in
VOTERS = 300  # cells that vote on a jump
CHANCE = 1e-4  # that so many cells fall into their places with no jump at all
LOOKED_AT = 8  # most voted displacements that are looked at closely


def predict_shift(a: FloatArray, b: FloatArray) -> FloatArray:
    """Displacement of every point of ``a`` by global and local drift towards frame ``b``.

    The global drift is the median displacement of mutual nearest pairs, found in three rounds, which begin at the jump
    of the stage if there is one; the local drift is the median over the twelve nearest pairs, shrunk halfway to the
    global one.

    Parameters
    ----------
    a, b : FloatArray
        float64 (n, 3) and (m, 3), positions in equal units along all axes.

    Returns
    -------
    float64 (n, 3)
    """
    if not len(a) or not len(b):
        return np.zeros_like(a)
    tree = cKDTree(b)
    drift, mutual, steps = _mutual_steps(a, b, tree, np.zeros(3))
    jump = find_jump(a, b, drift)
    if jump is not None:
        drift, mutual, steps = _mutual_steps(a, b, tree, jump)
    if len(mutual) < FEWEST:
        return np.zeros_like(a)
    around = np.asarray(cKDTree(a[mutual]).query(a, k=min(NEIGHBOURS, len(mutual)))[1]).reshape(len(a), -1)
    local = np.median(steps[around], axis=1)
    return np.asarray(drift + TRUST * (local - drift))


def _mutual_steps(
    a: FloatArray, b: FloatArray, tree: cKDTree, drift: FloatArray
) -> tuple[FloatArray, IntArray, FloatArray]:
    """The drift, the points of ``a`` that are in mutual nearest pairs, and how far these go."""
    for _ in range(ROUNDS):
        moved = a + drift
        ahead = np.asarray(tree.query(moved)[1])
        back = np.asarray(cKDTree(moved).query(b)[1])
        mutual = np.flatnonzero(back[ahead] == np.arange(len(a)))
        steps = b[ahead[mutual]] - a[mutual]
        if len(mutual) < FEWEST:
            return np.zeros(3), mutual, steps
        drift = np.median(steps, axis=0)
    return drift, mutual, steps


def find_jump(a: FloatArray, b: FloatArray, drift: FloatArray) -> FloatArray | None:
    """The displacement of all cells at once that brings the constellation ``a`` onto ``b``, float64 (3,).

    Looked for only where few cells are where the ``drift`` would take them, within twelve distances between neighbours.
    Every pair of cells votes for its displacement; that of most votes is taken if it brings so many cells to their
    places as chance would not, and more than twice as many as the drift does. ``None``: there is none.
    """
    if min(len(a), len(b)) < 2 * FEWEST:
        return None
    tree = cKDTree(b)
    spacing = float(np.median(np.asarray(tree.query(b, k=2)[0])[:, 1]))
    near = CLOSE * spacing
    if near <= 0 or in_place(a + drift, tree, near) >= IN_PLACE:
        return None
    voters = a[np.linspace(0, len(a) - 1, min(len(a), VOTERS)).astype(np.int64)]
    met = [np.array(found, dtype=np.int64) for found in tree.query_ball_point(voters, FAR * spacing)]
    votes = b[np.concatenate(met)] - np.repeat(voters, [len(found) for found in met], axis=0)
    if not len(votes):
        return None
    bins, of_bin, count = np.unique(np.rint(votes / (2 * near)), axis=0, return_inverse=True, return_counts=True)
    best, most = None, 2 * in_place(voters + drift, tree, near)
    for top in np.argsort(-count, kind="stable")[:LOOKED_AT].tolist():
        jump = votes[of_bin.ravel() == top].mean(axis=0)
        for _ in range(2):  # the cells that it brings to their places say it more exactly
            distance, nearest = map(np.asarray, tree.query(voters + jump))
            placed = distance <= near
            jump = (b[nearest] - voters)[placed].mean(axis=0) if placed.any() else jump
        if (share := in_place(voters + jump, tree, near)) > most:
            best, most = jump, share
    room = max(float(np.ptp(b, axis=0)[-2:].prod()), near**2)
    by_chance = min(np.pi * near**2 * len(b) / room, 1.0)
    likely = binom.sf(round(most * len(voters)) - 1, len(voters), by_chance) * len(bins) >= CHANCE
    return None if likely else best


def in_place(a: FloatArray, tree: cKDTree, near: float) -> float:
    """Share of the points ``a`` that lie near one of the tree."""
    return float((np.asarray(tree.query(a)[0]) <= near).mean())
