"""``Candidates`` as a ``networkx.DiGraph`` that a researcher can read and edit, and back.

nodes
    one per detection: ``frame, label, z, y, x, area, border, hypothesis``, the costs ``cost, appear,
    disappear`` in nats, ``optional`` (may be left out) and ``fixed`` (``"free"``, ``"keep"`` or ``"forbid"``).
edges
    one per link: ``cost`` in nats, ``fixed``, and each term of the cost as ``term.NAME``. An edge without
    ``cost`` is no link of its own, only part of a division. ``fixed="forbid"`` excludes every division with this edge,
    too: the second cell follows the first in no way.
``graph.graph["divisions"]``
    ``{(mother, daughter, daughter): {"cost": …, "fixed": …, "term.NAME": …}}``. Removing a node or an edge
    removes the divisions that need it.
``graph.graph["cliques"]``
    lists of nodes of which at most one may be used.
``graph.graph["rebirth_frames"]``, ``["rebirth_cost"]`` (nats), ``["ndim"]``, ``["step"]``, ``["voxel"]``
    as in :class:`celltrail.data.graph.candidates.Candidates`.

A solution adds ``chosen`` to nodes, edges and divisions (an edge of a chosen division is chosen, and has
``division=True``), ``appears`` and ``disappears`` to nodes, ``margin`` to what is chosen, and ``objective,
bound, gap, relative_gap, status`` to the graph.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterable
from itertools import pairwise
from typing import Any, TypeAlias

import networkx as nx
import numpy as np

from celltrail.data.errors import InputError, raise_if
from celltrail.data.graph.candidates import (
    FORBIDDEN,
    FREE,
    KEPT,
    NAT,
    Candidates,
    Detections,
    Divisions,
    Links,
    Solution,
)
from celltrail.data.types import FloatArray

Graph: TypeAlias = "nx.DiGraph[Any]"
FIXED = {FREE: "free", FORBIDDEN: "forbid", KEPT: "keep"}
_CODE = {word: code for code, word in FIXED.items()}
MOVE_ONLY = "forbid link"  # of an edge: she does not go on as that cell, but may divide into her and another
_CODE[MOVE_ONLY] = FORBIDDEN
_TERM = "term."


def to_networkx(candidates: Candidates, solution: Solution | None = None) -> Graph:
    """The candidate graph, with every feature and cost as attributes; nodes are the rows of the detections."""
    detections, links, divisions = candidates.detections, candidates.links, candidates.divisions
    graph: Graph = nx.DiGraph(
        rebirth_frames=candidates.rebirth_frames,
        rebirth_cost=candidates.rebirth_cost / NAT,
        ndim=candidates.ndim,
        step=candidates.step,
        voxel=candidates.voxel,
    )
    names = (
        "frame",
        "label",
        "z",
        "y",
        "x",
        "area",
        "border",
        "hypothesis",
        "cost",
        "appear",
        "disappear",
        "optional",
    )
    columns = [
        detections.frame,
        detections.label,
        *detections.position.T,
        detections.area,
        detections.border,
        detections.hypothesis,
        detections.cost / NAT,
        detections.appear / NAT,
        detections.disappear / NAT,
        detections.optional,
    ]
    rows = zip(*(column.tolist() for column in columns), strict=True)
    fixed = [FIXED[code] for code in detections.fixed.tolist()]
    graph.add_nodes_from(
        (v, dict(zip(names, row, strict=True)) | {"fixed": word})
        for v, (row, word) in enumerate(zip(rows, fixed, strict=True))
    )
    triplets = list(zip(divisions.mother.tolist(), divisions.first.tolist(), divisions.second.tolist(), strict=True))
    born = set()  # pairs of a mother and a daughter that some division allows
    for (mother, one, other), code in zip(triplets, divisions.fixed.tolist(), strict=True):
        graph.add_edge(mother, one)
        graph.add_edge(mother, other)
        if code != FORBIDDEN:
            born |= {(mother, one), (mother, other)}
    for (u, v), values in zip(
        zip(links.source.tolist(), links.target.tolist(), strict=True), _prices(links), strict=True
    ):
        if values["fixed"] == "forbid" and (u, v) in born:
            values["fixed"] = MOVE_ONLY
        graph.add_edge(u, v, **values)
    graph.graph["divisions"] = dict(zip(triplets, _prices(divisions), strict=True))
    cliques: dict[int, list[int]] = {}
    for clique, member in zip(candidates.clique_id.tolist(), candidates.clique_detection.tolist(), strict=True):
        cliques.setdefault(clique, []).append(member)
    graph.graph["cliques"] = list(cliques.values())
    return graph if solution is None else with_solution(graph, solution)


def _prices(table: Links | Divisions) -> Iterable[dict[str, Any]]:
    """Cost, fixed and terms of each row, as attributes."""
    names = ["cost", *(_TERM + key for key in table.terms)]
    columns = [(table.cost / NAT).tolist(), *(term.tolist() for term in table.terms.values())]
    for row, code in zip(zip(*columns, strict=True), table.fixed.tolist(), strict=True):
        yield dict(zip(names, row, strict=True)) | {"fixed": FIXED[code]}


def from_networkx(graph: Graph) -> Candidates:
    """The arrays of a candidate graph that may have been edited, or was made by hand.

    Needed are ``frame``, ``appear`` and ``disappear`` on the nodes and ``cost`` on the links; everything else has a
    default (cost 0, used for certain, position from ``z, y, x`` if they are there, divisions and cliques none).

    Raises
    ------
    InputError
        For every node, edge or division that is wrong (missing, NaN or infinite values, negative frame numbers,
        two nodes of one frame with the same label, links back in time): one sentence that names it.
    """
    if not isinstance(graph, nx.DiGraph) or graph.is_multigraph():
        raise InputError(f"the candidate graph is a {type(graph).__name__}: give a networkx.DiGraph.")
    problems = _node_problems(graph)
    raise_if(problems)
    nodes = node_order(graph)
    row = {node: v for v, node in enumerate(nodes)}
    linked = [(u, v, values) for u, v, values in graph.edges(data=True) if "cost" in values]
    linked.sort(key=lambda edge: (row[edge[0]], row[edge[1]]))
    triplets = []
    for key, values in graph.graph.get("divisions", {}).items():
        if len(key) != 3 or len(set(key)) != 3:
            problems.append(f"division {key!r} does not name a mother and two different daughters: name all three.")
        elif graph.has_edge(key[0], key[1]) and graph.has_edge(key[0], key[2]):
            one, other = sorted((row[key[1]], row[key[2]]))
            triplets.append((row[key[0]], one, other, values, key))
    triplets.sort(key=lambda entry: entry[:3])
    problems += [
        f"divisions {first[4]!r} and {second[4]!r} are the same: keep one of them."
        for first, second in pairwise(triplets)
        if first[:3] == second[:3]
    ]
    for u, v in graph.edges:
        if graph.nodes[u]["frame"] >= graph.nodes[v]["frame"]:
            problems.append(
                f"the edge from node {u!r} (frame {graph.nodes[u]['frame']}) to node {v!r} (frame "
                f"{graph.nodes[v]['frame']}) does not lead to a later frame: turn it round or remove it."
            )
    problems += _value_problems((f"edge {u!r} → {v!r}", values) for u, v, values in graph.edges(data=True))
    problems += [
        f"edge {u!r} → {v!r} is kept, but is no link of its own: give it a cost, or keep a division with it."
        for u, v, values in graph.edges(data=True)
        if values.get("fixed") == "keep" and "cost" not in values
    ]
    problems += _value_problems((f"division {key!r}", values) for *_, values, key in triplets)
    problems += [
        f"division {key!r} is kept, but an edge of it is forbidden: change one of them."
        for *_, values, key in triplets
        if values.get("fixed") == "keep" and _has_forbidden_edge(graph, key)
    ]
    cliques = [[row[node] for node in clique if node in row] for clique in graph.graph.get("cliques", [])]
    raise_if(problems)

    def column(name: str, default: float) -> FloatArray:
        return np.array([graph.nodes[node].get(name, default) for node in nodes], dtype=np.float64)

    def units(name: str) -> Any:
        return np.rint(column(name, 0.0) * NAT).astype(np.int64)

    detections = Detections(
        frame=column("frame", 0).astype(np.int64),
        label=np.array([_label(graph, node, v) for v, node in enumerate(nodes)], dtype=np.int64),
        position=np.stack([column(axis, 0.0) for axis in "zyx"], axis=1),
        area=column("area", 1).astype(np.int64),
        border=column("border", math.inf),
        cost=units("cost"),
        appear=units("appear"),
        disappear=units("disappear"),
        optional=column("optional", 0).astype(np.bool_),
        fixed=np.array([_CODE[graph.nodes[node].get("fixed", "free")] for node in nodes], dtype=np.int64),
        hypothesis=column("hypothesis", -1).astype(np.int64),
    )
    ends = np.array([(row[u], row[v]) for u, v, _ in linked], dtype=np.int64).reshape(-1, 2)
    three = np.array([entry[:3] for entry in triplets], dtype=np.int64).reshape(-1, 3)
    voxel = graph.graph.get("voxel")
    return Candidates(
        detections=detections,
        links=Links(source=ends[:, 0], target=ends[:, 1], **_priced([values for *_, values in linked])),
        divisions=Divisions(
            mother=three[:, 0],
            first=three[:, 1],
            second=three[:, 2],
            **_priced([_with_edges(graph, entry) for entry in triplets]),
        ),
        clique_id=np.repeat(np.arange(len(cliques)), [len(clique) for clique in cliques]).astype(np.int64),
        clique_detection=np.array([v for clique in cliques for v in clique], dtype=np.int64),
        rebirth_frames=int(graph.graph.get("rebirth_frames", 0)),
        rebirth_cost=round(graph.graph.get("rebirth_cost", 0.0) * NAT),
        ndim=int(graph.graph.get("ndim", 2)),
        step=int(graph.graph.get("step", 1)),
        voxel=None if voxel is None else (float(voxel[0]), float(voxel[1]), float(voxel[2])),
    )


def node_order(graph: Graph) -> list[Hashable]:
    """The nodes by (frame, position, label): the order of the rows in `from_networkx`."""

    def key(node: Hashable) -> tuple[float, ...]:
        values = graph.nodes[node]
        return (values["frame"], *(values.get(axis, 0.0) for axis in "zyx"), values.get("label", 0))

    return sorted(graph.nodes, key=key)


def with_solution(graph: Graph, solution: Solution) -> Graph:
    """A copy of the candidate graph with the solution of its `from_networkx` written on it."""
    result = graph.copy()
    result.graph["divisions"] = {key: dict(values) for key, values in graph.graph.get("divisions", {}).items()}
    nodes = node_order(graph)
    row = {node: v for v, node in enumerate(nodes)}
    for v, node in enumerate(nodes):
        result.nodes[node].update(
            chosen=bool(solution.used[v]),
            appears=bool(solution.appears[v]),
            disappears=bool(solution.disappears[v]),
        )
    linked = sorted(
        ((row[u], row[v], u, v) for u, v, values in graph.edges(data=True) if "cost" in values),
        key=lambda edge: edge[:2],
    )
    for u, v in result.edges:
        result.edges[u, v].update(chosen=False, division=False)
    for k, (_, _, u, v) in enumerate(linked):
        if solution.link_chosen[k]:
            result.edges[u, v].update(chosen=True, margin=float(solution.link_margin[k]))
    kept = sorted(
        (row[key[0]], *sorted((row[key[1]], row[key[2]])), key)
        for key in result.graph["divisions"]
        if graph.has_edge(key[0], key[1]) and graph.has_edge(key[0], key[2])
    )
    for k, (_, _, _, key) in enumerate(kept):
        chosen = bool(solution.division_chosen[k])
        result.graph["divisions"][key]["chosen"] = chosen
        if chosen:
            result.graph["divisions"][key]["margin"] = float(solution.division_margin[k])
            for daughter in key[1:]:
                result.edges[key[0], daughter].update(chosen=True, division=True)
    result.graph |= {**solution.certificate, "solver": solution.solver}
    return result


def _label(graph: Graph, node: Hashable, v: int) -> int:
    return int(graph.nodes[node].get("label", v + 1))


def _node_problems(graph: Graph) -> list[str]:
    problems: list[str] = []
    seen: dict[tuple[int, int], Hashable] = {}
    for node, values in graph.nodes(data=True):
        missing = [name for name in ("frame", "appear", "disappear") if name not in values]
        if missing:
            problems.append(f"node {node!r} has no attribute '{missing[0]}': give every node one.")
            continue
        frame = values["frame"]
        if not _is_number(frame) or frame != int(frame) or frame < 0:
            problems.append(f"node {node!r} has the frame {frame!r}: frames are whole numbers from 0.")
            continue
        if "label" in values:
            place = (int(frame), int(values["label"]))
            if place in seen:
                problems.append(
                    f"nodes {seen[place]!r} and {node!r} have the same label {place[1]} in frame {place[0]}: "
                    "a detection may be in the graph only once."
                )
            seen.setdefault(place, node)
    costs = ("cost", "appear", "disappear", "z", "y", "x")
    return (
        problems
        + _value_problems((f"node {node!r}", values) for node, values in graph.nodes(data=True))
        + [
            f"node {node!r} has the {name} {values[name]!r}: give a finite number."
            for node, values in graph.nodes(data=True)
            for name in costs[1:]
            if name in values and not _is_number(values[name])
        ]
    )


def _value_problems(entries: Iterable[tuple[str, dict[str, Any]]]) -> list[str]:
    problems = []
    for what, values in entries:
        cost = values.get("cost", 0.0)
        if not _is_number(cost):
            problems.append(
                f"{what} has the cost {cost!r}: give a finite number of nats (0 is no evidence either way)."
            )
        elif abs(cost) > 1e7:
            problems.append(f"{what} has the cost {cost!r}: beyond 10⁷ nats, set fixed to 'keep' or 'forbid' instead.")
        if values.get("fixed", "free") not in _CODE:
            problems.append(f"{what} has fixed={values['fixed']!r}: choose 'free', 'keep' or 'forbid'.")
    return problems


def _has_forbidden_edge(graph: Graph, key: Any) -> bool:
    return any(graph.edges[key[0], daughter].get("fixed") == "forbid" for daughter in key[1:])


def _with_edges(graph: Graph, entry: Any) -> dict[str, Any]:
    """The attributes of a division, forbidden where one of its edges is."""
    values, key = entry[3], entry[4]
    return {**values, "fixed": "forbid"} if _has_forbidden_edge(graph, key) else values


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float, np.integer, np.floating)) and math.isfinite(value)


def _priced(rows: list[dict[str, Any]]) -> dict[str, Any]:
    """Cost, fixed and terms of links or divisions; a term that a row does not have is NaN."""
    cost = np.rint(np.array([values.get("cost", 0.0) for values in rows], dtype=np.float64) * NAT).astype(np.int64)
    fixed = np.array([_CODE[values.get("fixed", "free")] for values in rows], dtype=np.int64)
    names = dict.fromkeys(key for values in rows for key in values if key.startswith(_TERM))
    terms = {
        key.removeprefix(_TERM): np.array([values.get(key, math.nan) for values in rows], dtype=np.float64)
        for key in names
    }
    return {"cost": cost, "fixed": fixed, "terms": terms}
