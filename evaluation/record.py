"""What an evaluation gives: measures with reasons, counts, errors; for a sequence and for a data set."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from celltrail.data.files.tracks import Tracks
from celltrail.evaluation.errors import Error
from celltrail.evaluation.measures.biology import mean_of_defined
from celltrail.evaluation.measures.contingency import Contingency
from celltrail.evaluation.measures.technical import Operations


@dataclass
class Detail:
    """What the measures were computed from; not written to files.

    Attributes
    ----------
    markers, seg : Contingency | None
        Tables against markers and against full masks. whole : frames whose full masks show every cell.
    truth, result : Tracks | None
        The tracks, clipped.
    ndim : int
        Of the masks.
    voxel : tuple[float, float, float] | None
        (z, y, x) in µm.
    """

    markers: Contingency | None
    seg: Contingency | None
    truth: Tracks | None
    result: Tracks | None
    ndim: int = 2
    voxel: tuple[float, float, float] | None = None
    operations: Operations | None = None


@dataclass
class Evaluation:
    """The measures of one result on one sequence.

    Attributes
    ----------
    measures : dict[str, float | None]
        Name → value; ``None`` where the data do not define it, with the reason in ``reasons``.
    counts : dict[str, float]
        The six counts of AOGM, ``AOGM``, vertices, edges, divisions and so on.
    errors : list[Error]
        Every operation of AOGM, with its place.
    frames : list[int]
        Those that were compared.
    truth : str
        "GT", or "ST" where the full masks are computer-made.
    terms : dict[str, list[str]]
        Which measures entered BIO(i).
    seg_frames : list[int]
        The frames with full masks.
    per_frame : dict[str, list[int]]
        For each of ``frames`` the cells of truth and result, and the mothers that divide after it.
    ceiling : dict[str, float | None]
        The tracking measures if every true link were given to the same detections.
    curves : dict[str, list[float]]
        Precision, recall, F1 and AP over IoU thresholds.
    """

    gt: str
    res: str
    truth: str
    frames: list[int]
    measures: dict[str, float | None] = field(default_factory=dict)
    reasons: dict[str, str] = field(default_factory=dict)
    counts: dict[str, float] = field(default_factory=dict)
    terms: dict[str, list[str]] = field(default_factory=dict)
    errors: list[Error] = field(default_factory=list)
    seg_frames: list[int] = field(default_factory=list)
    per_frame: dict[str, list[int]] = field(default_factory=dict)
    ceiling: dict[str, float | None] = field(default_factory=dict)
    curves: dict[str, list[float]] = field(default_factory=dict)
    detail: Detail | None = None

    @property
    def name(self) -> str:
        """The name of the sequence: "01" for ``01_GT``."""
        return Path(self.gt).resolve().name.removesuffix("_GT")

    def put(self, values: Mapping[str, float | None], reason: str = "") -> None:
        """Add measures; ``reason`` for those that are ``None``."""
        for name, value in values.items():
            self.measures[name] = value
            self.reasons.pop(name, None)
            if value is None:
                self.reasons[name] = reason

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the evaluation JSON."""
        return {
            "gt": self.gt,
            "res": self.res,
            "truth": self.truth,
            "frames": self.frames,
            "seg_frames": self.seg_frames,
            "measures": self.measures,
            "reasons": self.reasons,
            "counts": self.counts,
            "terms": self.terms,
            "per_frame": self.per_frame,
            "ceiling": self.ceiling,
            "curves": self.curves,
        }


@dataclass
class DatasetEvaluation:
    """The evaluations of all sequences of a data set, and the mean of each measure.

    A measure enters the mean of the sequences where it has a value.
    """

    sequences: list[Evaluation]

    @property
    def mean(self) -> dict[str, float | None]:
        """Mean over the sequences, as the CTC does; ``None`` where no sequence has a value."""
        names = dict.fromkeys(name for evaluation in self.sequences for name in evaluation.measures)
        return {
            name: mean_of_defined(*(evaluation.measures.get(name) for evaluation in self.sequences)) for name in names
        }
