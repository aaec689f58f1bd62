"""Proven optima at the speed of a matching: Celltrail's solver against others on the same problems.

    python benchmarks/solver.py --detections 10000 --regime trusted --json solver.json
    python benchmarks/solver.py --detections 10000 --peer-python OTHER/bin/python

Regimes: ``trusted`` (every detection is a cell), ``uncertain`` (3 % are not, 2 % of the cells are missing, gaps of one
frame are linked, everything may be left out), ``hypotheses`` (cells may be cut in two or joined, with cliques).

Methods: ``celltrail``; ``highs-mip`` and ``pulp-cbc`` get the whole integer programme at once; ``highs-components`` is
HiGHS as a careful user would call it, on each connected component of that programme, the relaxation first and the
integer programme (``mip_rel_gap`` 0) only where that is fractional; ``motile-scip`` on the case ``… constant split``
(one constant cost for every division, which is its model) and ``ortools-flow`` on the case ``… no divisions`` (where
the problem is a flow), both beside ``celltrail`` on that same case. motile and OR-tools may live in another
environment: ``--peer-python`` names its interpreter. A method is stopped after ``--limit`` seconds, and its ratio is
then a lower bound; what is not installed is skipped, and the reason printed.

CPU seconds: "candidates" is making the graph and its costs from points, "solve" the solver alone. Each method runs in
a process of its own. Numba's compilation, once per installation, is not counted.
"""

from __future__ import annotations

import argparse
import json
import pickle
import platform
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from instances import build, constant_split, instance, without_divisions
from scipy.sparse import coo_array, csc_array, vstack
from scipy.sparse.csgraph import connected_components

from celltrail.data.graph.candidates import Candidates, FloatArray, IntArray
from celltrail.tracking.solving.backends import LinearProgramme, backend, solve_highs
from celltrail.tracking.solving.programme import Programme, build_programme, clique_rows
from celltrail.tracking.solving.solver import solve_candidates

Row = dict[str, Any]
OURS = ("highs-mip", "highs-components", "pulp-cbc")  # methods that run in this environment


def celltrail(candidates: Candidates, limit: float) -> Row:
    """Our solver."""
    solution = solve_candidates(candidates, time_limit=limit)
    return {
        "objective": solution.objective,
        "bound": solution.bound,
        "gap": solution.gap,
        "relative_gap": solution.relative_gap,
        "status": solution.status,
        "components": solution.components,
    }


def integer_programme(candidates: Candidates) -> tuple[Programme, IntArray, LinearProgramme]:
    """The whole integer programme, nothing fixed, split or priced; ``columns`` says which of ours its columns are."""
    model = build_programme(candidates)
    columns = np.arange(model.first_drop)
    columns = np.append(columns, model.first_drop + np.flatnonzero(candidates.detections.optional))
    place = np.full(len(model.rows), -1)
    place[columns] = np.arange(len(columns))
    matrix, rows = model.matrix(columns), clique_rows(model)
    lower, upper = np.ones(matrix.shape[0]), np.ones(matrix.shape[0])
    if rows:
        index = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
        entries = (np.ones(len(index)), (index, place[np.concatenate(rows)]))
        matrix = vstack([matrix, csc_array(entries, shape=(len(rows), len(columns)))], format="csc")
        lower = np.append(lower, [len(row) - 1 for row in rows])
        upper = np.append(upper, np.full(len(rows), np.inf))
    return model, columns, LinearProgramme(model.cost[columns] / 1000, csc_array(matrix), lower, upper)


def objective_of(model: Programme, chosen: IntArray) -> int:
    """What the chosen columns cost, in 10⁻⁶ nat."""
    return int(model.cost[chosen].sum()) + model.constant


def whole_programme(candidates: Candidates, solver: str, limit: float) -> Row:
    """A solver on the whole integer programme at once."""
    model, columns, programme = integer_programme(candidates)
    answer = backend(solver)(programme, True, limit)
    found = None if answer.x is None else objective_of(model, columns[answer.x > 0.5])
    return {"objective": found, "status": "optimal" if answer.optimal else "timeout"}


def component_by_component(candidates: Candidates, limit: float) -> Row:
    """HiGHS on each connected component of the same programme; one of a single column has but one solution."""
    model, columns, programme = integer_programme(candidates)
    height, width = programme.matrix.shape
    pairs = programme.matrix.tocoo()  # rows and columns are the nodes of a graph, its entries are the edges
    edges = coo_array((pairs.data, (pairs.row, height + pairs.col)), shape=(height + width, height + width))
    count, component = connected_components(edges, directed=False)
    across, down = (np.argsort(part, kind="stable") for part in (component[height:], component[:height]))
    matrix = csc_array(programme.matrix[down][:, across])  # one block after the other
    cost, lower, upper = programme.cost[across], programme.lower[down], programme.upper[down]
    left, top = (np.searchsorted(component[nodes], np.arange(count + 1)) for nodes in (height + across, down))
    x, began = np.ones(width), time.perf_counter()
    for k in np.flatnonzero(np.diff(left) > 1).tolist():
        its, inside = slice(left[k], left[k + 1]), slice(top[k], top[k + 1])
        ends = matrix.indptr[left[k] : left[k + 1] + 1]
        entries = slice(ends[0], ends[-1])
        block = csc_array(
            (matrix.data[entries], matrix.indices[entries] - top[k], ends - ends[0]),
            shape=(top[k + 1] - top[k], left[k + 1] - left[k]),
        )
        part = LinearProgramme(cost[its], block, lower[inside], upper[inside])
        answer = best(part, limit - (time.perf_counter() - began))
        if answer is None:
            return {"objective": None, "status": "timeout", "components": count}
        x[its] = answer
    chosen = columns[across[x > 0.5]]
    return {"objective": objective_of(model, chosen), "status": "optimal", "components": count}


def best(programme: LinearProgramme, limit: float) -> FloatArray | None:
    """HiGHS's proven optimum: the relaxation, and the integer programme only where that is fractional."""
    began = time.perf_counter()
    for integer in (False, True):
        answer = solve_highs(programme, integer, limit - (time.perf_counter() - began))
        if answer.x is None or not answer.optimal:
            return None
        if np.abs(answer.x - np.rint(answer.x)).max() < 1e-6:
            break
    return answer.x


def worker(method: str, problem: Path, limit: float) -> Row:
    """One method in this process; CPU seconds of it and of the solver it calls."""
    solve_candidates(instance(600, "uncertain", cells=60)[0])  # compiles
    with problem.open("rb") as stream:
        candidates = pickle.load(stream)

    def cpu() -> float:
        children = resource.getrusage(resource.RUSAGE_CHILDREN)
        return time.process_time() + children.ru_utime + children.ru_stime

    began, clock = cpu(), time.perf_counter()
    if method == "celltrail":
        row = celltrail(candidates, limit)
    elif method == "highs-components":
        row = component_by_component(candidates, limit)
    else:
        row = whole_programme(candidates, {"highs-mip": "highs", "pulp-cbc": "pulp:CBC"}[method], limit)
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return row | {"cpu_s": cpu() - began, "wall_s": time.perf_counter() - clock, "peak_mb": peak / 1e3}


def run_here(method: str, candidates: Candidates, limit: float) -> Row:
    """One of our own methods, in a new process."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.pickle"
        path.write_bytes(pickle.dumps(candidates))
        return run_json([sys.executable, __file__, "--worker", method, str(path), "--limit", str(limit)], limit)


def run_peer(method: str, candidates: Candidates, split: int, limit: float, python: str) -> Row:
    """A peer, in a new process of the interpreter that has it."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "problem.npz"
        detections, links = candidates.detections, candidates.links
        np.savez(
            path,
            frame=detections.frame,
            appear=detections.appear,
            disappear=detections.disappear,
            source=links.source,
            target=links.target,
            cost=links.cost,
            split=split,
        )
        script = Path(__file__).with_name("solver_peers.py")
        return run_json([python, str(script), method, str(path), str(limit)], limit)


def run_json(command: list[str], limit: float) -> Row:
    """The JSON that a command prints last; a command that does not end is a timeout with the CPU it spent."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=2 * limit + 60)
    except subprocess.TimeoutExpired:
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        return {"status": "timeout", "objective": None, "cpu_s": after.ru_utime - before.ru_utime}
    if done.returncode:
        reason = done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit code {done.returncode}"
        return {"status": "skipped", "reason": reason}
    return dict(json.loads(done.stdout.strip().splitlines()[-1]))


def compare(detections: int, regime: str, methods: list[str], limit: float, python: str) -> list[Row]:
    """All methods on one size and regime; the first row of each case is ours, and the ratios are to it."""
    _, points, cliques = instance(detections, regime)
    began = time.process_time()
    candidates = build(points, regime, cliques)
    seconds = time.process_time() - began
    n, m = len(candidates.detections), len(candidates.links)
    case = f"{regime} {n:,} detections, {m:,} links"
    groups = [(case, candidates, 0, [name for name in methods if name in OURS])]
    if regime == "trusted" and "motile-scip" in methods:
        one_cost, split = constant_split(candidates)
        groups.append((f"{case}, constant split", one_cost, split, ["motile-scip"]))
    if regime == "trusted" and "ortools-flow" in methods:
        groups.append((f"{case}, no divisions", without_divisions(candidates), 0, ["ortools-flow"]))
    rows = []
    for name, problem, split, peers in groups:
        ours = run_here("celltrail", problem, max(limit, 600.0)) | {"case": name, "method": "celltrail", "ratio": 1.0}
        rows.append(ours | {"candidates_cpu_s": seconds})
        show(rows[-1])
        for peer in peers:
            if peer in OURS:
                row = run_here(peer, problem, limit)
            else:
                row = run_peer(peer, problem, split, limit, python)
            if "cpu_s" in row:
                row["ratio"] = row["cpu_s"] / ours["cpu_s"]
            rows.append({"case": name, "method": peer} | row)
            show(rows[-1])
    return rows


def show(row: Row) -> None:
    """One line of the table."""
    if row["status"] == "skipped":
        print(f"{row['case']:<62} {row['method']:<16} skipped: {row['reason']}", flush=True)
        return
    objective = "none" if row.get("objective") is None else f"{row['objective'] / 1e6:,.6f}"
    sign = "≥ " if row["status"] == "timeout" else ""
    more = (
        f"  gap {100 * row['relative_gap']:.4f} %, candidates {row['candidates_cpu_s']:.2f} CPU-s"
        if "relative_gap" in row
        else ""
    )
    print(
        f"{row['case']:<62} {row['method']:<16} {row['status']:<8} {objective:>20} nats {row['cpu_s']:>9.3f} CPU-s "
        f"{sign}{row['ratio']:>7.1f}× {row.get('peak_mb', float('nan')):>6.0f} MB{more}",
        flush=True,
    )


def main() -> None:
    """Parse, compare, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--detections", type=int, nargs="+", default=[10_000])
    parser.add_argument("--regime", nargs="+", default=["trusted"], choices=["trusted", "uncertain", "hypotheses"])
    parser.add_argument("--methods", nargs="*", default=[*OURS, "motile-scip", "ortools-flow"], help="peers to run")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for each method")
    parser.add_argument("--peer-python", default=sys.executable, help="interpreter that has motile and OR-tools")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--worker", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        print(json.dumps(worker(options.worker[0], Path(options.worker[1]), options.limit)))
        return
    rows = []
    for regime in options.regime:
        for detections in options.detections:
            rows += compare(detections, regime, options.methods, options.limit, options.peer_python)
    if options.json:
        packages = {name: version(name) for name in ("numpy", "scipy", "numba", "highspy", "pulp")}
        machine = {
            "system": platform.platform(),
            "processor": platform.processor(),
            "python": platform.python_version(),
        }
        options.json.write_text(json.dumps({"machine": machine, "versions": packages, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
