"""All ways to cover the rows of a cluster, as a graph of states, and what they weigh.

A state is the set of rows that are covered so far; a step covers the first row that is not, alone or with others of the
cluster, and so leads to a state whose first uncovered row is later. Rows that are far apart in time are hardly ever in doubt at once:
there are few states even where there are many rows. A clique is one more bit of the state, set by the first of its detections that
is used, and set in any case once all of them are behind, where it tells no more.

The graph is found once; then ``forward[s]``, the weight of all ways to a state, and ``backward[s]``, that of all ways to go on
from it, are sums over its steps.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from celltrail.data.running.machine_code import compiled
from celltrail.data.types import IntArray
from celltrail.tracking.confidence.messages import Net

MOST_BITS = 62  # rows and cliques of one cluster
MOST_STEPS = 1 << 15
_SLOTS = 1 << 17  # of the hash table; a power of two, more than twice the states


class Cliques(NamedTuple):
    """Detections of which one at most is used.

    Attributes
    ----------
    first, row : IntArray
        The past rows of the members of each clique.
    of_first, of : IntArray
        The cliques of each row (none, if it is a future).
    """

    first: IntArray
    row: IntArray
    of_first: IntArray
    of: IntArray


class Room(NamedTuple):
    """What the search for covers writes to; used again for every cluster."""

    place: IntArray  # of each row of the net, −1 outside of the cluster
    key: IntArray  # the hash table
    value: IntArray
    slot: IntArray  # of each state
    state: IntArray
    following: IntArray  # the next state with the same first uncovered row
    step: IntArray  # (steps, 3): from, to, and by which inner column (or −1 − row: alone)
    inner: IntArray
    mask: IntArray


class Found(NamedTuple):
    """How much of a `Room` is used. end : the state in which all is covered, −1 if there is none."""

    states: int
    steps: int
    inner: int
    end: int


def make_room(rows: int) -> Room:
    """For a net with so many rows."""
    key, value = np.full(_SLOTS, -1), np.full(_SLOTS, -1)
    slot, state, following, inner, mask = np.zeros((5, MOST_STEPS + 2), dtype=np.int64)
    step = np.zeros((MOST_STEPS, 3), dtype=np.int64)
    return Room(np.full(rows, -1), key, value, slot, state, following, step, inner, mask)


@compiled
def find_covers(net: Net, cliques: Cliques, members: IntArray, most: int, room: Room) -> Found:
    """The graph of all covers of some rows, left in ``room``.

    Parameters
    ----------
    net : Net
        Whose columns cover the rows.
    cliques : Cliques
        Those that lie in the cluster as a whole are obeyed.
    members : IntArray
        The rows, in the order in which they are covered.
    most : int
        Give up (no states) where there are more steps than this, at most `MOST_STEPS`.
    room : Room
        Holds the result.
    """
    size, place = len(members), room.place
    for b in range(size):
        place[members[b]] = b
    taken, done, bits = np.zeros(size, dtype=np.int64), np.zeros(size + 1, dtype=np.int64), size
    for b in range(size):
        for i in range(cliques.of_first[members[b]], cliques.of_first[members[b] + 1]):
            k = cliques.of[i]
            its = cliques.row[cliques.first[k] : cliques.first[k + 1]]
            if place[its].min() == b:  # else it is another's turn, or some of it lies outside
                if bits < MOST_BITS:
                    taken[place[its]] |= 1 << bits
                    done[place[its].max() + 1 :] |= 1 << bits
                bits += 1
    found = Found(0, 0, 0, -1)
    if bits <= MOST_BITS:
        found = _follow(net, members, taken, done, min(most, MOST_STEPS), room)
    place[members] = -1
    return found


@compiled
def _follow(net: Net, members: IntArray, taken: IntArray, done: IntArray, most: int, room: Room) -> Found:
    """Take all steps from the state in which nothing is covered."""
    size, place, inner, mask = len(members), room.place, room.inner, room.mask
    alone, inner_first, n_inner = np.zeros(size, dtype=np.bool_), np.zeros(size + 1, dtype=np.int64), 0
    for b in range(size):
        for e in range(net.first[members[b]], net.first[members[b] + 1]):
            c, covered, lowest, within = net.column_of[e], 0, size, 0
            left_out = net.rows[c, 0] < len(place) // 2  # the only columns of several rows that begin with a past
            for slot in range(3):
                r = net.rows[c, slot]
                if r >= 0 and place[r] >= 0:
                    within += 1
                    lowest = min(lowest, place[r])
                    covered |= 1 << place[r] if left_out else 1 << place[r] | taken[place[r]]
            if within == 1:
                alone[b] = True
            elif lowest == b and n_inner < most:
                inner[n_inner], mask[n_inner] = c, covered
                n_inner += 1
        inner_first[b + 1] = n_inner
    head = np.full(size + 1, -1)
    states, steps = _reach(done[0], size, done, head, 0, room)[1], 0
    for b in range(size):
        s = head[b]
        while s >= 0 and steps < most:
            for j in range(inner_first[b] - 1, inner_first[b + 1]):
                covered = mask[j]
                if j < inner_first[b]:
                    j = -1 - b
                    covered = 1 << b | taken[b]
                    if not alone[b]:
                        continue
                if room.state[s] & covered or steps == most:
                    continue
                to, states = _reach(room.state[s] | covered, size, done, head, states, room)
                room.step[steps, 0], room.step[steps, 1], room.step[steps, 2] = s, to, j
                steps += 1
            s = room.following[s]
    for s in range(states):
        room.key[room.slot[s]] = -1
    if steps == most or n_inner == most:
        return Found(0, 0, 0, -1)
    return Found(states, steps, n_inner, head[size])


@compiled
def _reach(state: int, size: int, done: IntArray, head: IntArray, states: int, room: Room) -> tuple[int, int]:
    """The number of a state, and how many there are now."""
    b = 0
    while b < size and state >> b & 1:
        b += 1
    state |= done[b]
    slot = (state ^ state >> 17) * 0x9E3779B1 >> 7 & (_SLOTS - 1)
    while room.key[slot] >= 0:
        if room.key[slot] == state:
            return room.value[slot], states
        slot = slot + 1 & (_SLOTS - 1)
    room.key[slot], room.value[slot], room.slot[states], room.state[states] = state, states, slot, state
    room.following[states] = head[b]
    head[b] = states
    return states, states + 1
