"""Other trackers, each run on the same masks as it documents itself. Needs no Celltrail; ``peers.py`` starts it.

    python benchmarks/peer_trackers.py METHOD CELLS.npz EDGES.json

CELLS.npz: ``frame``, ``label``, ``place`` (n, 3: z, y, x in pixels), ``diameter`` (of a typical cell), ``dataset``,
``masks`` (frames, …), ``images`` (the same) where there are some. EDGES.json: pairs of rows; a row with two successors divides. Exit code 3 where the tracker is not
installed.

A name that ends in ``-scaled`` gets the one length that all these trackers ask for, how far a cell may move between
two frames, from the movie: 1.5 typical diameters. Without it, it is the tracker's own default, in pixels.

* ``laptrack``: centroids, squared distances, its default of 15 pixels for links and gaps, the same for divisions.
* ``laptrack-overlap``: its ``OverLapTrack`` with the coefficients it has by default; cells that share less than
  a tenth are not linked.
* ``btrack``: centroids, constant velocity and the hypotheses of its ``cell_config.json``.
* ``koft``: ByoTrack's Kalman filter with the velocities of an optical flow (Farnebäck), as its authors' script for the
  linking benchmark of the Cell Tracking Challenge sets it: every length from the masks' radius, divisions where the cells
  become 30 % more. Without images, and in 3D, its Kalman filter without flow, as there. ``koft-tuned``: with what the
  same authors have set by hand for that data set.
* ``ultrack``: its ``track`` from labels with all defaults, and CBC. Its segments stand for the mask that they share
  most with; a segment that is half of no mask is left out.
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


KOFT_TUNED: dict[str, dict[str, Any]] = {  # the authors' table for these data sets
    "DIC-C2DH-HeLa": {"association_threshold": 100.0},
    "Fluo-N2DL-HeLa": {"flow": False, "split_factor": 1.25},
    "Fluo-N2DH-SIM+": {"association_threshold": 100.0, "detection_std": 5.0, "n_gap": 0, "split_factor": 1.5},
    "PhC-C2DL-PSC": {},
}


def koft(cells: Any, reach: float | None) -> Edges:
    """A Kalman filter with optical flow, set from the masks as its authors do."""
    return by_kalman_filter(cells, {})


def koft_tuned(cells: Any, reach: float | None) -> Edges:
    """The same with the authors' settings for the data set."""
    return by_kalman_filter(cells, KOFT_TUNED.get(str(cells["dataset"]), {}))


def by_kalman_filter(cells: Any, tuned: dict[str, Any]) -> Edges:
    """Tracks of ByoTrack's linkers, as pairs of rows."""
    import byotrack
    import cv2
    import torch
    from byotrack.implementation.linker.frame_by_frame import kalman_linker, koft
    from byotrack.implementation.optical_flow.opencv import OpenCVOpticalFlow

    masks = cells["masks"]
    found = [byotrack.SegmentationDetections(torch.from_numpy(frame.astype(np.int32))) for frame in masks]
    counts = [len(detections) for detections in found]
    sizes = np.concatenate([np.bincount(frame.ravel())[1:] for frame in masks])
    size, flat = sizes[sizes > 0].mean(), masks.ndim == 3
    anisotropy = 1.0
    if not flat:
        sides = torch.stack([d.bbox[:, 3:].float().mean(dim=0) for d in found if len(d)]).mean(dim=0)
        anisotropy = float(sides[1:].mean() / sides[0])
    radius = float((size / np.pi) ** 0.5 if flat else (size * anisotropy * 0.75 / np.pi) ** (1 / 3))
    nearest = [torch.cdist(d.position, d.position).sort(dim=1).values[:, 1].median() for d in found if len(d) > 1]
    more = counts[-1] - counts[0]
    tuned = dict(tuned)
    flow = tuned.pop("flow", True) and flat and "images" in cells
    stretch = np.array([1.0] if flat else [1 / anisotropy, 1.0, 1.0])
    noise, process = (torch.tensor(stretch * std, dtype=torch.float32) for std in (radius / 2, 3 * radius))
    settings: dict[str, Any] = {
        "association_threshold": max(3 * radius, float(np.mean(nearest)) if nearest else 0.0),
        "detection_std": radius / 2 if flat else noise,
        "process_std": 3 * radius if flat else process,
        "kalman_order": 0,
        "cost": "euclidean",
        "association_method": "sparse_opt_smooth",
        "n_valid": 1,
        "n_gap": 1,
        "anisotropy": (anisotropy, 1.0, 1.0),
        "split_factor": 1.0 if more > max(1, 0.3 * counts[0]) else 0.0,
        "track_building": "smoothed",
        **tuned,
    }
    if flow:
        images = cells["images"].astype(np.float32)
        low, high = float(images.min()), float(images.max())
        video: Any = ((images - low) / max(high - low, 1e-6))[..., None]
        farneback = cv2.FarnebackOpticalFlow.create(winSize=max(10, int(radius / 2)))
        specs = koft.KOFTLinkerParameters(flow_std=3 * radius, **settings)
        tracks = koft.KOFTLinker(specs, OpenCVOpticalFlow(farneback, downscale=4)).run(video, found)
    else:
        linker = kalman_linker.KalmanLinker(kalman_linker.KalmanLinkerParameters(**settings))
        tracks = linker.run(np.zeros((len(masks), *[1] * masks.ndim), dtype=np.float32), found)
    row_of = rows_by_name(cells)
    names = [np.unique(frame[frame > 0]) for frame in masks]
    rows = {
        track.identifier: [
            row_of[track.start + i, int(names[track.start + i][detection])]
            for i, detection in enumerate(track.detection_ids.tolist())
            if detection >= 0
        ]
        for track in tracks
    }
    return join_tracks(
        {name: track for name, track in rows.items() if track},
        {track.identifier: track.parent_id for track in tracks if track.parent_id >= 0 and rows[track.identifier]},
    )


def ultrack(cells: Any, reach: float | None) -> Edges:
    """Its segments from the labels, its links, and CBC."""
    from tempfile import TemporaryDirectory

    from ultrack import MainConfig, track
    from ultrack.core.export import to_tracks_layer, tracks_to_zarr

    row_of = rows_by_name(cells)
    with TemporaryDirectory() as folder:
        config = MainConfig()
        config.data_config.working_dir = Path(folder)
        config.tracking_config.solver_name = "CBC"
        track(config, labels=cells["masks"], overwrite="all")
        nodes, _ = to_tracks_layer(config)
        segments = np.asarray(tracks_to_zarr(config, nodes))
    row: dict[int, int] = {}
    for node, name, frame in nodes[["id", "track_id", "t"]].astype(int).itertuples(index=False):
        inside = np.bincount(cells["masks"][frame][segments[frame] == name])
        inside[:1] = 0
        label = int(inside.argmax()) if len(inside) else 0
        size = (cells["masks"][frame] == label).sum()
        if label and 2 * inside[label] > size:
            row[node] = row_of[frame, label]
    pairs = nodes[["parent_id", "id"]].astype(int).itertuples(index=False)
    return [(row[parent], row[node]) for parent, node in pairs if parent in row and node in row]


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
    "koft": koft,
    "koft-tuned": koft_tuned,
    "ultrack": ultrack,
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
