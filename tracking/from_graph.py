"""From a candidate graph that was looked at or edited to tracks, masks and files."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import digits_for, write_masks, write_track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import NAT, Candidates, Solution, save_graph
from celltrail.data.graph.networkx_graph import from_networkx
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.data.writing.output import output_folder
from celltrail.tracking.exporting.lineage import build_lineage
from celltrail.tracking.solving.solver import solve_candidates

if TYPE_CHECKING:
    import networkx as nx


@dataclass
class GraphResult:
    """What the solver chose in a graph, on the masks that the graph was made of.

    Attributes
    ----------
    tracks : Tracks
        The lineage.
    track : NDArray[np.int64]
        int64 (n,), track of each detection (0: not used).
    candidates, solution
        The problem and its answer.
    source : Masks
        Frame number → label image.
    """

    tracks: Tracks
    track: NDArray[np.int64]
    candidates: Candidates
    solution: Solution
    source: Masks

    def __repr__(self) -> str:
        return (
            f"GraphResult({counted(len(self.tracks), 'track')}, {counted(len(self.tracks.divisions()), 'division')}, "
            f"{self.solution.status}, objective {self.solution.objective / NAT:.6g} nats)"
        )

    def masks(self) -> Iterator[tuple[int, NDArray[np.int64]]]:
        """Frame number and label image of every frame, with the labels of the tracks.

        Raises
        ------
        InputError
            If a cell of the graph has no mask.
        """
        detections = self.candidates.detections
        for frame in sorted(self.source):
            mask = np.asarray(self.source[frame]).astype(np.int64)
            rows = np.flatnonzero((detections.frame == frame) & (self.track > 0))
            order = rows[np.argsort(detections.label[rows])]
            labels = np.unique(mask)
            lost = np.setdiff1d(detections.label[order], labels)
            if len(lost):
                raise InputError(
                    f"The masks hold no label {lost[0]} in frame {frame}: give those that the graph was made of."
                )
            new = np.zeros(len(labels), dtype=np.int64)
            new[np.searchsorted(labels, detections.label[order])] = self.track[order]
            yield frame, new[np.searchsorted(labels, mask)]

    def write(self, out: Path | str, *, overwrite: bool = False) -> None:
        """Write ``maskTTT.tif``, ``res_track.txt`` and ``graph.npz`` into a folder that appears when it is complete."""
        with output_folder(Path(out), overwrite=overwrite) as folder:
            write_track_file(folder / "res_track.txt", self.tracks)
            write_masks(folder, self.masks(), digits=digits_for(self.source))
            save_graph(folder / "graph.npz", self.candidates, self.solution, track=self.track)


def track_graph(
    graph: nx.DiGraph[Any] | Candidates, masks: Path | str | Masks, *, solver: str = "highs"
) -> GraphResult:
    """Solve a graph of candidates, edited or not, and make tracks of it.

    Parameters
    ----------
    graph : nx.DiGraph[Any] | Candidates
        From `celltrail.tracking.preparing.preparation.candidate_graph`.
    masks : Path | str | Masks
        The label images that the graph was made of. Frames in which a cell was not seen stay empty.

    Raises
    ------
    InputError
        If the graph is not one of candidates, or does not fit the masks.
    """
    candidates = graph if isinstance(graph, Candidates) else from_networkx(graph)
    source = masks if isinstance(masks, Mapping) else open_labels(Path(masks))
    lost = np.setdiff1d(candidates.detections.frame, np.array(sorted(source)))
    if len(lost):
        raise InputError(f"The masks have no frame {lost[0]}, but the graph has cells in it: give all masks.")
    solution = solve_candidates(candidates, solver=solver)
    lineage = build_lineage(candidates, solution, fill=False)
    return GraphResult(lineage.tracks, lineage.track, candidates, solution, source)
