"""Another tracker at work, as its documentation shows it; started by the Python that it is installed in.

    python run_peer.py TRACKER MASKS OUT

Writes what a user of the tracker would keep into OUT, and ``links.json``: the links that the tracker itself names, as pairs
of cells (frame, y, x). Needs the folder ``benchmarks`` on the path, and no Celltrail.
"""

from __future__ import annotations

import json
import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

import networkx as nx
import numpy as np
import pandas as pd
import tifffile
from skimage.measure import regionprops_table

REACH = 25.0  # pixels that a cell may move


def measure(masks: Path) -> pd.DataFrame:
    """Frame, y and x of every cell."""
    tables = []
    for frame, file in enumerate(sorted(masks.glob("*.tif"))):
        found = regionprops_table(tifffile.imread(file), properties=("centroid",))
        tables.append(pd.DataFrame({"frame": frame, "y": found["centroid-0"], "x": found["centroid-1"]}))
    return pd.concat(tables, ignore_index=True)


def laptrack(cells: pd.DataFrame, out: Path) -> nx.DiGraph[Any]:
    """Tables, and its own graph as GEFF."""
    import geff
    from laptrack import LapTrack
    from laptrack.data_conversion import dataframes_to_geff_networkx

    tracker = LapTrack(cutoff=REACH**2, splitting_cutoff=REACH**2)
    found, splits, merges = tracker.predict_dataframe(cells, ["y", "x"], only_coordinate_cols=False)
    found.to_csv(out / "laptrack.csv")
    splits.to_csv(out / "laptrack-splits.csv")
    graph = dataframes_to_geff_networkx(found, splits, merges, ["y", "x"])
    geff.write(graph, out / "laptrack.geff")
    return graph


def motile(cells: pd.DataFrame, out: Path) -> nx.DiGraph[Any]:
    """The graph of the solution, as GEFF."""
    import geff
    import motile
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeDistanceCost, EdgeSelectedCost, NodeAppearCost, NodeSplitCost

    graph: nx.DiGraph[Any] = nx.DiGraph()
    for row, (frame, y, x) in enumerate(cells[["frame", "y", "x"]].to_numpy()):
        graph.add_node(row, t=int(frame), y=y, x=x)
    for one, two in ((one, two) for one in graph for two in graph):
        a, b = graph.nodes[one], graph.nodes[two]
        if a["t"] + 1 == b["t"] and np.hypot(a["y"] - b["y"], a["x"] - b["x"]) < REACH:
            graph.add_edge(one, two)
    solver = motile.Solver(motile.TrackGraph(graph, frame_attribute="t"))
    for constraint in (MaxParents(1), MaxChildren(2)):
        solver.add_constraint(constraint)
    solver.add_cost(EdgeDistanceCost(position_attribute=("y", "x")))
    solver.add_cost(EdgeSelectedCost(constant=-20.0))
    solver.add_cost(NodeAppearCost(constant=30.0))
    solver.add_cost(NodeSplitCost(constant=20.0))
    solver.solve()
    solution = graph.subgraph(solver.get_selected_subgraph().nodes).edge_subgraph(solver.get_selected_subgraph().edges)
    solution = nx.DiGraph(solution)
    geff.write(solution, out / "motile.geff", axis_names=["t", "y", "x"], axis_types=["time", "space", "space"])
    return solution


def btrack(cells: pd.DataFrame, out: Path) -> nx.DiGraph[Any]:
    """Its CSV."""
    from btrack import BayesianTracker
    from peer_trackers import btrack_config

    with BayesianTracker(verbose=False) as tracker:
        tracker.configure(btrack_config(REACH))
        tracker.append({"t": cells["frame"].to_numpy(), "x": cells["x"], "y": cells["y"], "z": 0 * cells["x"]})
        tracker.volume = ((0, 1000), (0, 1000), (-1, 1))
        tracker.track(step_size=100)
        tracker.optimise()
        tracker.export(str(out / "btrack.csv"))
        graph: nx.DiGraph[Any] = nx.DiGraph()
        # Rows below 0 are cells that it has invented in a gap.
        rows = {track.ID: [row for row in track.refs if row >= 0] for track in tracker.tracks}
        for track in tracker.tracks:
            mother = rows.get(track.parent, []) if track.parent != track.ID else []
            graph.add_edges_from(pairwise([*mother[-1:], *rows[track.ID]]))
    for row in graph:
        frame, y, x = cells.loc[row, ["frame", "y", "x"]]
        graph.nodes[row].update(t=int(frame), y=y, x=x)
    return graph


def main() -> None:
    """Run one tracker."""
    name, masks, out = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    graph = {"laptrack": laptrack, "motile": motile, "btrack": btrack}[name](measure(masks), out)

    def place(node: Any) -> list[float]:
        found = graph.nodes[node]
        return [float(found["t" if "t" in found else "frame"]), float(found["y"]), float(found["x"])]

    (out / "links.json").write_text(json.dumps([[place(a), place(b)] for a, b in graph.edges]))


if __name__ == "__main__":
    main()
