"""Other trackers, each run on the same masks as it documents itself. Needs no Celltrail; ``peers.py`` starts it.

    python benchmarks/peer_trackers.py METHOD CELLS.npz EDGES.json

CELLS.npz: ``frame``, ``label``, ``place`` (n, 3: z, y, x in pixels), ``diameter`` (of a typical cell), ``masks``
(frames, …). EDGES.json: pairs of rows; a row with two successors divides. Exit code 3 where the tracker is not
installed.

A name that ends in ``-scaled`` gets the one length that all these trackers ask for, how far a cell may move between
two frames, from the movie: 1.5 typical diameters. Without it, it is the tracker's own default, in pixels.

* ``laptrack``: centroids, squared distances, its default of 15 pixels for links and gaps, the same for divisions.
* ``laptrack-overlap``: its ``OverLapTrack`` with the coefficients it has by default; cells that share less than
  a tenth are not linked.
* ``btrack``: centroids, constant velocity and the hypotheses of its ``cell_config.json``.
* ``motile``: SCIP on all links within the distance, with the costs that the tracker of its authors,
  motile_tracker, has by default: link −20, per pixel 1, overlap −5, appearance 30, division 20.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

Edges = list[tuple[int, int]]
MISSING = 3
DIAMETERS = 1.5
SOLVER_SECONDS = 200.0


def join_tracks(rows: dict[Any, list[int]], parent: dict[Any, Any]) -> Edges:
    """Edges along each track, and from the last row of its parent to its first."""
    edges = [edge for track in rows.values() for edge in pairwise(track)]
    return edges + [(rows[mother][-1], rows[child][0]) for child, mother in parent.items() if mother in rows]


def laptrack(cells: Any, reach: float | None) -> Edges:
    """Centroids, squared distances."""
    import pandas as pd
    from laptrack import LapTrack

    cutoff = (reach or 15.0) ** 2
    tracker = LapTrack(cutoff=cutoff, gap_closing_cutoff=cutoff, splitting_cutoff=cutoff)
    z, y, x = cells["place"].T
    points = pd.DataFrame({"frame": cells["frame"], "z": z, "y": y, "x": x, "row": np.arange(len(x))})
    found, splits, _ = tracker.predict_dataframe(points, ["z", "y", "x"], only_coordinate_cols=False)
    return from_laptrack(found.reset_index(), splits)


def laptrack_overlap(cells: Any, reach: float | None) -> Edges:
    """Share of the second mask that the first covers; distance does not matter."""
    from laptrack import OverLapTrack

    tracker = OverLapTrack(cutoff=0.9, gap_closing_cutoff=0.9, splitting_cutoff=0.9)
    found, splits, _ = tracker.predict_overlap_dataframe(cells["masks"])
    found = found.reset_index()
    row_of = rows_by_name(cells)
    names = zip(found["frame"].tolist(), found["label"].tolist(), strict=True)
    return from_laptrack(found.assign(row=[row_of[name] for name in names]), splits)


def from_laptrack(found: Any, splits: Any) -> Edges:
    """Edges from laptrack's tables."""
    rows = {track: part.sort_values("frame")["row"].tolist() for track, part in found.groupby("track_id")}
    parent = {} if splits.empty else dict(zip(splits["child_track_id"], splits["parent_track_id"], strict=True))
    return join_tracks(rows, parent)


def rows_by_name(cells: Any) -> dict[tuple[int, int], int]:
    """(frame, label) → row."""
    names = zip(cells["frame"].tolist(), cells["label"].tolist(), strict=True)
    return {name: row for row, name in enumerate(names)}


def btrack_config(reach: float | None) -> Any:
    """Constant velocity and the hypotheses of btrack's ``cell_config.json``."""
    from btrack.config import TrackerConfig
    from btrack.models import HypothesisModel, MotionModel

    still, moving = np.eye(3), np.zeros((3, 3))
    motion = MotionModel(
        name="cell_motion",
        measurements=3,
        states=6,
        accuracy=7.5,
        prob_not_assign=0.1,
        max_lost=5,
        A=np.block([[still, still], [moving, still]]),
        H=np.hstack([still, moving]),
        P=150.0 * np.diag([0.1, 0.1, 0.1, 1, 1, 1]),
        G=15.0 * np.array([0.5, 0.5, 0.5, 1, 1, 1]),
        R=5.0 * still,
    )
    hypotheses = HypothesisModel(
        name="cell_hypothesis",
        hypotheses=["P_FP", "P_init", "P_term", "P_link", "P_branch", "P_dead"],
        lambda_time=5.0,
        lambda_dist=3.0,
        lambda_link=10.0,
        lambda_branch=50.0,
        eta=1e-10,
        theta_dist=20.0,
        theta_time=5.0,
        dist_thresh=reach or 40.0,
        time_thresh=2,
        apop_thresh=5,
        segmentation_miss_rate=0.1,
        apoptosis_rate=0.001,
        relax=True,
    )
    return TrackerConfig(motion_model=motion, hypothesis_model=hypotheses)


def btrack(cells: Any, reach: float | None) -> Edges:
    """Constant velocity, then its optimisation over hypotheses."""
    from btrack import BayesianTracker

    z, y, x = cells["place"].T
    height, width = cells["masks"].shape[-2:]
    with BayesianTracker(verbose=False) as tracker:
        tracker.configure(btrack_config(reach))
        if reach:
            tracker.max_search_radius = reach
        tracker.append({"t": cells["frame"], "x": x, "y": y, "z": z})
        tracker.volume = ((0, width), (0, height), (float(z.min()) - 1, float(z.max()) + 1))
        tracker.track(step_size=100)
        tracker.optimise()
        found = list(tracker.tracks)
    rows = {track.ID: [row for row in track.refs if row >= 0] for track in found}  # below 0: invented in a gap
    rows = {name: track for name, track in rows.items() if track}
    return join_tracks(
        rows, {track.ID: track.parent for track in found if track.parent != track.ID and track.ID in rows}
    )


def motile(cells: Any, reach: float | None) -> Edges:
    """An integer linear programme, solved by SCIP until its optimum or for 200 seconds."""
    import motile
    import networkx as nx
    from motile.constraints import MaxChildren, MaxParents
    from motile.costs import EdgeDistanceCost, EdgeSelectedCost, NodeAppearCost, NodeSplitCost
    from scipy.spatial import cKDTree

    farthest = 50.0  # pixels, motile_tracker's default; the costs are in these pixels
    place = cells["place"] * (farthest / reach if reach else 1.0)
    graph: Any = nx.DiGraph()
    for row, (frame, position) in enumerate(zip(cells["frame"].tolist(), place.tolist(), strict=True)):
        graph.add_node(row, t=frame, pos=position)
    at = {int(frame): np.flatnonzero(cells["frame"] == frame) for frame in np.unique(cells["frame"])}
    for frame, sources in at.items():
        targets = at.get(frame + 1)
        if targets is None:
            continue
        near = cKDTree(place[sources]).query_ball_tree(cKDTree(place[targets]), farthest)
        share = overlaps(cells["masks"][frame], cells["masks"][frame + 1])
        for source, found in zip(sources.tolist(), near, strict=True):
            for target in targets[found].tolist():
                graph.add_edge(source, target, iou=share[cells["label"][source], cells["label"][target]])
    solver = motile.Solver(motile.TrackGraph(graph, frame_attribute="t"))
    solver.add_constraint(MaxParents(1))
    solver.add_constraint(MaxChildren(2))
    solver.add_cost(EdgeSelectedCost(weight=-5.0, attribute="iou", constant=-20.0))
    solver.add_cost(EdgeDistanceCost(position_attribute="pos", weight=1.0))
    solver.add_cost(NodeAppearCost(constant=30.0))
    solver.add_cost(NodeSplitCost(constant=20.0))
    solution = solver.solve(timeout=SOLVER_SECONDS)
    print(solution.get_status(), file=sys.stderr)
    return [(int(u), int(v)) for u, v in solver.get_selected_subgraph().edges]


def overlaps(one: Any, other: Any) -> Any:
    """Intersection over union of every label of one image with every label of another."""
    shared = np.zeros((int(one.max()) + 1, int(other.max()) + 1))
    np.add.at(shared, (one.ravel(), other.ravel()), 1)
    union = shared.sum(axis=1, keepdims=True) + shared.sum(axis=0, keepdims=True) - shared
    return shared / np.maximum(union, 1)


METHODS: dict[str, Callable[[Any, float | None], Edges]] = {
    "laptrack": laptrack,
    "laptrack-overlap": laptrack_overlap,
    "btrack": btrack,
    "motile": motile,
}


def main() -> int:
    """Run one method; returns the exit code."""
    method, source, target = sys.argv[1:]
    with np.load(source) as stored:
        cells = dict(stored)
    reach = DIAMETERS * float(cells["diameter"]) if method.endswith("-scaled") else None
    try:
        edges = METHODS[method.removesuffix("-scaled")](cells, reach)
    except ImportError as error:
        print(f"not installed: {error}", file=sys.stderr)
        return MISSING
    Path(target).write_text(json.dumps([[int(u), int(v)] for u, v in edges]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
