"""How probable each choice is: marginals of ``p(solution) ∝ exp(−cost / T)`` over all solutions of the programme.

The programme is the one that is solved (:mod:`celltrail.tracking.solving.programme`): pins are certain, links over unseen frames, late
daughters and optional detections are columns like others, and cliques are obeyed. A second birth too soon is priced
in the mean: a division costs what it would cost with a relative too near in time, as often as there is one.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from celltrail.data.graph.candidates import NAT, Candidates
from celltrail.data.graph.confidence import Confidence
from celltrail.data.running.machine_code import compiled
from celltrail.data.types import BoolArray, FloatArray, IntArray, RowArray
from celltrail.tracking.confidence.cluster_sums import sum_cluster
from celltrail.tracking.confidence.clusters import Clusters, find_clusters, no_clusters
from celltrail.tracking.confidence.messages import TOLERANCE, Net, beliefs_of_row, update_cliques, update_row
from celltrail.tracking.solving.components import split
from celltrail.tracking.solving.programme import Programme, clique_rows, pinned_model

NEGLIGIBLE = 14.0  # a choice that e^14 times outweigh its ends is left out
FIRST_ROUNDS = (
    1  # of plain messages, before rows that loops tie together are found: more of them would settle on one reading
)
ROUNDS = 6  # then it is enough if few rows have news
FEW = 0.05  # share of the rows
HOPELESS = 1e-7  # a choice that is less probable than this after the first rounds is left out
FARTHEST = 150.0  # nats over T beyond which a weight tells no more


def compute_confidence(candidates: Candidates, temperature: float = 2.5) -> Confidence:
    """The probability of every link, division, beginning and end, chosen or not.

    Exact where the programme splits into problems of up to 14 rows (pasts and futures) or has no loops; elsewhere by
    messages between exactly summed clusters. The result depends on nothing but the arguments. Of the costs of links only the evidence
    counts (`celltrail.data.graph.candidates.Links.evidence`).

    Parameters
    ----------
    candidates : Candidates
    temperature : float
        Costs are divided by it: above 1 where they are surer of themselves than they should be.

    Raises
    ------
    InputError
        If pins contradict each other.
    """
    candidates = replace(candidates, links=replace(candidates.links, cost=candidates.links.evidence))
    model = pinned_model(candidates)
    net = _build_net(model, temperature)
    detections = candidates.detections
    time = np.concatenate([2 * detections.frame, 2 * detections.frame + 1])
    group = split(model, list(clique_rows(model)))[0]
    none = no_clusters(len(time), len(net.clique_first) - 1)
    order = np.argsort(time, kind="stable")
    everyone = np.ones(len(time), dtype=np.bool_)
    _pass_messages(net, none, order, FIRST_ROUNDS, everyone)
    belief = _beliefs(net, none)
    likely = (belief > HOPELESS) | (net.rows[:, 1] < 0) | (net.columns >= model.first_appear)
    net, belief = _only(net, likely), belief[likely]
    clusters = find_clusters(net, belief, time, group)
    _forget_cliques(net, clusters.clique_inside)
    _pass_messages(net, clusters, order, 4 * ROUNDS, everyone)
    marginal = _spread_out(net, _beliefs(net, clusters), model)
    if candidates.rebirth_frames > 0 and candidates.rebirth_cost > 0 and len(candidates.divisions):
        factor = _second_birth_factor(candidates, marginal, temperature)
        mine = np.flatnonzero((net.columns >= model.links) & (net.columns < model.first_appear))
        factor = factor[net.columns[mine] - model.links]
        net.weight[mine] *= factor
        touched = np.zeros(len(time), dtype=np.bool_)
        touched[net.rows[mine[factor < 1 - TOLERANCE]]] = True
        _pass_messages(net, clusters, order, 4 * ROUNDS, touched)
        marginal = _spread_out(net, _beliefs(net, clusters), model)
    parts = np.split(
        marginal.astype(np.float32), [model.links, model.first_appear, model.first_disappear, model.first_drop]
    )
    return Confidence(
        parts[0], parts[1], parts[2], parts[3], (1 - marginal[model.first_drop :]).astype(np.float32), temperature
    )


def _build_net(model: Programme, temperature: float) -> Net:
    """The columns that are not out of the question, as a graph of rows and entries."""
    n, m = model.detections, model.links
    cost, rows = model.cost / (NAT * temperature), model.rows
    ends = np.where(model.allowed[m + model.divisions :], cost[m + model.divisions :], np.inf)
    appear, disappear = np.append(ends[:n], 0.0), np.append(ends[n : 2 * n], 0.0)
    alone = np.zeros(len(rows))
    wide = slice(0, m + model.divisions)
    alone[wide] = disappear[rows[wide, 0] - n] + appear[rows[wide, 1]] + appear[rows[wide, 2]]
    matters = model.allowed.copy()
    matters[wide] &= ~(cost[wide] - alone[wide] > NEGLIGIBLE)
    matters[m : m + model.divisions] &= ~_of_rivals(model)
    columns = np.flatnonzero(matters)
    weight = np.exp(-np.clip(cost[columns], -FARTHEST, FARTHEST))
    first, column_of, entry = _entries(rows[columns], 2 * n)
    at = np.full(n, -1, dtype=np.int32)
    dropped = np.flatnonzero(columns >= model.first_drop)
    at[columns[dropped] - model.first_drop] = dropped
    order = np.argsort(model.clique_id, kind="stable")
    clique_column = at[model.clique_detection[order]]
    _, sizes = np.unique(model.clique_id, return_counts=True)
    return Net(
        columns,
        rows[columns],
        entry,
        first,
        column_of,
        weight,
        np.ones(len(column_of)),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        clique_column,
        np.ones(len(clique_column)),
    )


def _only(net: Net, kept: BoolArray) -> Net:
    """Some of the columns; their messages stay as they are. Those of being left out must be among them."""
    rows, old = net.rows[kept], net.entry[kept]
    first, column_of, entry = _entries(rows, len(net.first) - 1)
    message = np.ones(len(column_of))
    message[entry[entry >= 0]] = net.message[old[old >= 0]]
    number = np.cumsum(kept) - 1
    return net._replace(
        columns=net.columns[kept],
        rows=rows,
        entry=entry,
        first=first,
        column_of=column_of,
        weight=net.weight[kept],
        message=message,
        clique_column=number[net.clique_column].astype(np.int32),
    )


def _of_rivals(model: Programme) -> BoolArray:
    """The divisions into two detections of one clique, which no solution has; bool (d,)."""
    n = model.detections
    rivals = [
        np.add.outer(n * members, members).ravel()
        for members in (columns - model.first_drop for columns in clique_rows(model))
    ]
    first, second = model.rows[model.links : model.first_appear, 1:].T.astype(np.int64)
    return np.isin(n * first + second, np.concatenate(rivals)) if rivals else np.zeros(len(first), dtype=np.bool_)


def _forget_cliques(net: Net, inside: BoolArray) -> None:
    """Take back what was said by the cliques that are now obeyed inside of a cluster."""
    mine = np.repeat(inside, np.diff(net.clique_first))
    np.divide.at(net.weight, net.clique_column[mine], net.said[mine])
    net.said[mine] = 1.0


@compiled
def _entries(rows: RowArray, count: int) -> tuple[IntArray, RowArray, RowArray]:
    """The entries of each row (first), the column of each entry, and the entries of each column."""
    first = np.zeros(count + 1, dtype=np.int64)
    for k in range(len(rows)):
        for slot in range(3):
            if rows[k, slot] >= 0:
                first[rows[k, slot] + 1] += 1
    first = np.cumsum(first)
    place = first[:-1].copy()
    column_of = np.empty(first[-1], dtype=np.int32)
    entry = np.full(rows.shape, -1, dtype=np.int32)
    for k in range(len(rows)):
        for slot in range(3):
            row = rows[k, slot]
            if row >= 0:
                column_of[place[row]] = k
                entry[k, slot] = place[row]
                place[row] += 1
    return first, column_of, entry


@compiled
def _pass_messages(net: Net, clusters: Clusters, order: IntArray, rounds: int, told: BoolArray) -> float:
    """Forward and backward in time until nothing changes, at most ``rounds`` times; returns the last change.

    ``told``: the rows that have something to tell at first.
    """
    forward, backward, nothing = np.zeros(clusters.states.max()), np.zeros(clusters.states.max()), np.zeros(0)
    news, change = told.copy(), 1.0
    for turn in range(rounds):
        change, damped = 1.0, turn >= 2
        for i in range(len(order)):
            row = order[i] if turn % 2 == 0 else order[len(order) - 1 - i]
            q = clusters.of_row[row]
            if q < 0:
                if news[row]:
                    news[row] = False
                    change = max(change, update_row(net, row, news, damped))
                continue
            members = clusters.members[clusters.first[q] : clusters.first[q + 1]]
            if members[0] == row and news[members].any():
                news[members] = False
                change = max(change, sum_cluster(net, clusters, q, news, forward, backward, nothing, damped, False))
        if len(net.said):
            change = max(change, update_cliques(net, clusters.clique_inside, news))
        if change <= 1.0 + TOLERANCE or (turn >= ROUNDS - 1 and len(net.said) == 0 and news.sum() < FEW * len(news)):
            break
    return change


def _beliefs(net: Net, clusters: Clusters) -> FloatArray:
    """Probability of each column of the net: the mean of what its rows say, who agree when messages are settled."""
    said = np.append(_ask(net, clusters), 0.0)[net.entry]
    return np.asarray(said.sum(axis=1) / np.maximum((net.entry >= 0).sum(axis=1), 1))


@compiled
def _ask(net: Net, clusters: Clusters) -> FloatArray:
    """What each row says of the probability of its columns, by entries."""
    belief, news = np.zeros(len(net.column_of)), np.zeros(len(clusters.of_row), dtype=np.bool_)
    forward, backward = np.zeros(clusters.states.max()), np.zeros(clusters.states.max())
    for row in range(len(clusters.of_row)):
        q = clusters.of_row[row]
        if q < 0:
            beliefs_of_row(net, row, belief)
        elif clusters.members[clusters.first[q]] == row:
            sum_cluster(net, clusters, q, news, forward, backward, belief, False, True)
    return belief


def _spread_out(net: Net, belief: FloatArray, model: Programme) -> FloatArray:
    """The probabilities of all columns of the model."""
    marginal = np.zeros(len(model.rows))
    marginal[net.columns] = np.clip(belief, 0.0, 1.0)
    return marginal


def _second_birth_factor(candidates: Candidates, marginal: FloatArray, temperature: float) -> FloatArray:
    """What divisions too soon after, or before, another one weigh: ``1 − P(there is one) · (1 − e^(−penalty / T))``.

    The age of each cell since its birth, and its time until its division, are followed along the links by their
    probabilities, a frame at a time, without regard for the penalty.
    """
    links, divisions, n = candidates.links, candidates.divisions, len(candidates.detections)
    link = marginal[: len(links)]
    division = marginal[len(links) : len(links) + len(divisions)]
    used = np.flatnonzero(link > 1e-4)
    source, target, link = links.source[used], links.target[used], link[used]

    def add(index: IntArray, value: FloatArray) -> FloatArray:
        return np.bincount(index, weights=value, minlength=n).astype(np.float64)

    ends = add(source, link) + add(divisions.mother, division)
    divides = add(divisions.mother, division)
    before, after = np.maximum(1.0 - divides, 1e-9), np.maximum(ends - divides, 0.0)
    born = add(divisions.first, division) + add(divisions.second, division)
    young, soon = born.copy(), divides.copy()
    age, until = born, divides
    for _ in range(candidates.rebirth_frames - 2):
        age = np.minimum(add(target, link / before[source] * np.minimum(age[source], 1.0)), 1.0)
        until = np.minimum(add(source, link / np.maximum(after[source], 1e-9) * until[target] * before[source]), 1.0)
        young += age
        soon += until
    young, soon = np.minimum(young, 1.0), np.minimum(soon, 1.0)
    paid = 1.0 - np.exp(-candidates.rebirth_cost / NAT / temperature)
    first, second = soon[divisions.first], soon[divisions.second]
    return np.asarray((1 - paid * young[divisions.mother]) * (1 - paid * first) * (1 - paid * second))
