"""What the solver says of the links of a result: their cost and margin, from its ``graph.npz``."""

from __future__ import annotations

from pathlib import Path

from celltrail.data.graph.candidates import NAT, load_graph

Values = dict[tuple[int, int], float]


def read_link_values(result: Path) -> dict[str, Values]:
    """Properties of the chosen links: "cost" and "margin", each (frame, label) of the cell a link leads to → nats.

    Both daughters carry the cost and the margin of their division. Empty where a result has no ``graph.npz``.
    """
    if not (result / "graph.npz").is_file():
        return {}
    candidates, solution, track = load_graph(result / "graph.npz")
    if solution is None or track is None:
        return {}
    links, divisions = candidates.links, candidates.divisions
    found: dict[str, Values] = {"cost": {}, "margin": {}}
    parts = [(links.target, solution.link_chosen, links.cost, solution.link_margin)]
    parts += [
        (rows, solution.division_chosen, divisions.cost, solution.division_margin)
        for rows in (divisions.first, divisions.second)
    ]
    for rows, chosen, cost, margin in parts:
        cells = rows[chosen]
        keys = list(zip(candidates.detections.frame[cells].tolist(), track[cells].tolist(), strict=True))
        found["cost"] |= dict(zip(keys, (cost[chosen] / NAT).tolist(), strict=True))
        found["margin"] |= dict(zip(keys, margin[chosen].tolist(), strict=True))
    return found
