"""Other solvers on the problem that ``solver.py`` has written: run by an interpreter that has motile or OR-tools.

    python benchmarks/solver_peers.py motile-scip|ortools-flow PROBLEM.npz SECONDS

Prints one line of JSON: objective (10⁻⁶ nat), CPU seconds, peak memory, status. Only what both can say is in the
problem: every detection is used, and a division costs the two links and one constant.
"""

from __future__ import annotations

import json
import resource
import sys
import time

import numpy as np

USE = -1000.0  # nats: motile has no "must be used", so using a detection pays more than anything costs


def motile_scip(problem: dict[str, np.ndarray], seconds: float) -> tuple[float, bool]:
    """Funke lab's motile with its default solver, SCIP."""
    import ilpy
    import motile
    import networkx as nx
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeSelectedCost, NodeAppearCost, NodeDisappearCost, NodeSelectedCost, NodeSplitCost

    graph = nx.DiGraph()
    for v, (frame, appear, disappear) in enumerate(
        zip(problem["frame"].tolist(), problem["appear"] / 1e6, problem["disappear"] / 1e6, strict=True)
    ):
        graph.add_node(v, t=frame, appear=float(appear), disappear=float(disappear))
    costs = problem["cost"] / 1e6
    graph.add_edges_from(
        (u, v, {"cost": float(c)})
        for u, v, c in zip(problem["source"].tolist(), problem["target"].tolist(), costs, strict=True)
    )
    solver = motile.Solver(motile.TrackGraph(graph, frame_attribute="t"))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.add_cost(NodeSelectedCost(constant=USE, weight=0))
    solver.add_cost(EdgeSelectedCost(weight=1, attribute="cost"))
    solver.add_cost(NodeAppearCost(weight=1, attribute="appear"))
    solver.add_cost(NodeDisappearCost(weight=1, attribute="disappear"))
    solver.add_cost(NodeSplitCost(constant=float(problem["split"]) / 1e6))
    solution = solver.solve(timeout=seconds, backend=ilpy.Preference.Scip)
    chosen = solver.get_selected_subgraph().edges
    # motile keeps costs in single precision, so what it has chosen is added up again
    row = {pair: k for k, pair in enumerate(zip(problem["source"].tolist(), problem["target"].tolist(), strict=True))}
    edges = np.array([row[pair] for pair in chosen], dtype=np.int64)
    children = np.bincount(problem["source"][edges], minlength=len(graph))
    parents = np.bincount(problem["target"][edges], minlength=len(graph))
    objective = (
        problem["cost"][edges].sum()
        + int(problem["split"]) * (children > 1).sum()
        + problem["appear"][parents == 0].sum()
        + problem["disappear"][children == 0].sum()
    )
    return objective, "optimal" in str(getattr(solution, "status", solver.solution.status)).lower()


def ortools_flow(problem: dict[str, np.ndarray], seconds: float) -> tuple[float, bool]:
    """OR-tools' network simplex; without divisions the problem is a flow. ``seconds`` is not needed."""
    from ortools.graph.python.min_cost_flow import SimpleMinCostFlow

    n = len(problem["frame"])
    flow = SimpleMinCostFlow()
    one = np.ones
    every = np.arange(n)
    past, future, source, sink = every, n + every, 2 * n, 2 * n + 1
    # every future sends one unit to a past or to the sink, every past takes one from a future or from the source
    flow.add_arcs_with_capacity_and_unit_cost(
        n + problem["source"], problem["target"], one(len(problem["cost"])), problem["cost"]
    )
    flow.add_arcs_with_capacity_and_unit_cost(np.full(n, source), past, one(n), problem["appear"])
    flow.add_arcs_with_capacity_and_unit_cost(future, np.full(n, sink), one(n), problem["disappear"])
    flow.add_arcs_with_capacity_and_unit_cost(np.array([source]), np.array([sink]), np.array([n]), np.array([0]))
    nodes = np.concatenate([every, n + every, [source, sink]])
    supply = np.concatenate([-one(n), one(n), [n, -n]])
    flow.set_nodes_supplies(nodes, supply.astype(np.int64))
    status = flow.solve()
    return float(flow.optimal_cost()), status == flow.OPTIMAL


if __name__ == "__main__":
    methods = {"motile-scip": motile_scip, "ortools-flow": ortools_flow}
    with np.load(sys.argv[2]) as archive:
        given = dict(archive)
    began, clock = time.process_time(), time.perf_counter()
    objective, optimal = methods[sys.argv[1]](given, float(sys.argv[3]))
    print(
        json.dumps(
            {
                "objective": round(objective),
                "status": "optimal" if optimal else "timeout",
                "cpu_s": time.process_time() - began,
                "wall_s": time.perf_counter() - clock,
                "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
            }
        )
    )
