"""``Candidates``: the tracking problem as arrays, ``Solution``: its answer, and ``graph.npz`` that keeps both.

Arrays are the muscle: 10⁵ detections take 16 MB here against 287 MB as a NetworkX graph.
``celltrail.data.graph.networkx_graph`` turns them into a ``networkx.DiGraph`` and back.

Costs are integers in units of 10⁻⁶ nat (see :data:`NAT`), so that sums are exact and every solver,
worker and splitting agrees bit for bit. A cost is a negative log-likelihood ratio: 0 is "no
evidence either way", negative speaks for, positive against.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.npz import read_arrays, write_arrays
from celltrail.data.graph.validation import find_faults
from celltrail.data.types import BoolArray, Codes, FloatArray, IntArray
from celltrail.data.words import counted
from celltrail.data.writing.output import output_file

NAT = 1_000_000
SCHEMA = "celltrail.graph/1"

Terms = dict[str, NDArray[Any]]
FREE, FORBIDDEN, KEPT = -1, 0, 1  # values of the ``fixed`` columns
# Term of a link: how much less it costs as a division with one daughter outside the image.
SISTER_OUTSIDE = "sister_outside"
UNLIKELY = "unlikely"


def to_units(nats: NDArray[np.floating[Any]] | float) -> IntArray:
    """Costs in nats → integers in units of 10⁻⁶ nat."""
    return np.rint(np.asarray(nats, dtype=np.float64) * NAT).astype(np.int64)


def all_free(n: int) -> Codes:
    """A ``fixed`` column without any pin, int8 (n,)."""
    return np.full(n, FREE, dtype=np.int8)


def _empty_int() -> IntArray:
    return np.zeros(0, dtype=np.int64)


@dataclass
class Detections:
    """One row per detection, ordered by (frame, position in the frame).

    Attributes
    ----------
    frame, label : IntArray
        int64 (n,) — frame number, and label in the input mask of that frame.
    position : FloatArray
        float64 (n, 3) — centroid z, y, x in voxels (z = 0 in 2D).
    area : IntArray
        int64 (n,) — voxels.
    border : FloatArray
        float64 (n,) — distance in voxels from the mask to the nearest side of the image.
    cost : IntArray
        int64 (n,) — of using the detection (c_x).
    appear, disappear : IntArray
        int64 (n,) — c_a, c_b.
    optional : BoolArray
        bool (n,) — whether it may be left out; otherwise it is used for certain.
    fixed : Codes
        int8 (n,) — FREE, FORBIDDEN or KEPT (pins).
    hypothesis : IntArray
        int64 (n,) — number among the hypotheses of that frame; −1 for a plain mask.
    """

    frame: IntArray
    label: IntArray
    position: FloatArray
    area: IntArray
    border: FloatArray
    cost: IntArray
    appear: IntArray
    disappear: IntArray
    optional: BoolArray
    fixed: Codes
    hypothesis: IntArray

    def __len__(self) -> int:
        return len(self.frame)


@dataclass
class Links:
    """Candidate links: ``source`` continues as ``target`` in a later frame.

    Attributes
    ----------
    source, target : IntArray
        int64 (m,) — rows of the detections.
    cost : IntArray
        int64 (m,) — c_y.
    fixed : Codes
        int8 (m,).
    terms : Terms
        Name → float16 or float64 (m,), the parts of the cost in nats, for explanation.
    """

    source: IntArray
    target: IntArray
    cost: IntArray
    fixed: Codes
    terms: Terms = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.source)

    @property
    def evidence(self) -> IntArray:
        """The costs without what an unlikely link costs beyond its log-odds, int64 (m,).

        That part is a rule for choices where nothing better is near; it says nothing of how sure one can be.
        """
        term = self.terms.get(UNLIKELY)
        return self.cost if term is None else self.cost - to_units(np.nan_to_num(term.astype(np.float64)))

    @property
    def lone_daughter(self) -> BoolArray:
        """Which links are more likely divisions with the other daughter outside the image, bool (m,).

        Not those that a pin keeps as links.
        """
        term = self.terms.get(SISTER_OUTSIDE)
        return np.zeros(len(self), dtype=np.bool_) if term is None else np.asarray((term < 0) & (self.fixed != KEPT))


@dataclass
class Divisions:
    """Candidate divisions: ``mother`` divides into ``first`` and ``second`` (both in later frames).

    Attributes
    ----------
    mother, first, second : IntArray
        int64 (d,) — rows of the detections, ``first < second``.
    cost : IntArray
        int64 (d,) — c_z of the whole triplet; it replaces the costs of the two links.
    fixed, terms
        As for links.
    """

    mother: IntArray
    first: IntArray
    second: IntArray
    cost: IntArray
    fixed: Codes
    terms: Terms = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.mother)


@dataclass
class Candidates:
    """Everything that the solver reads.

    cliques : rows ``clique_id, clique_detection`` (int64 (k,) each) — of the detections that share
        a clique id at most one may be used.
    rebirth_frames, rebirth_cost : a cell that was born by a division and divides again fewer than
        ``rebirth_frames`` frames later costs ``rebirth_cost`` (units) on top; 0 frames: no such rule.
    ndim : 2 or 3. step : by how much the number of a frame is larger than that of the frame before.
    voxel : size (z, y, x) in µm or ``None``.
    """

    detections: Detections
    links: Links
    divisions: Divisions
    clique_id: IntArray = field(default_factory=_empty_int)
    clique_detection: IntArray = field(default_factory=_empty_int)
    rebirth_frames: int = 0
    rebirth_cost: int = 0
    ndim: int = 2
    step: int = 1
    voxel: tuple[float, float, float] | None = None

    def __repr__(self) -> str:
        return (
            f"Candidates({counted(len(self.detections), 'cell')}, {counted(len(self.links), 'link')}, "
            f"{counted(len(self.divisions), 'division')})"
        )


@dataclass
class Solution:
    """An answer to `Candidates`, with its certificate.

    Attributes
    ----------
    used, appears, disappears : BoolArray
        bool (n,).
    link_chosen : BoolArray
        bool (m,).
    division_chosen : BoolArray
        bool (d,).
    objective, bound : int
        int, in units of 10⁻⁶ nat; ``bound ≤ optimum ≤ objective``.
    baseline : int
        Objective of the solution in which everything only appears and disappears.
    component : IntArray
        int64 (n,) — the independent problem that decides the future of each detection, and with it the links and
        divisions out of it.
    past_component : IntArray
        The one that decides its past (the same where problems span more than a pair of frames; empty: as
        ``component``).
    open_components : IntArray
        The components whose optimum is not proven.
    link_margin, division_margin : FloatArray
        float64, nats to the best solution of the component without this choice (a lower bound from duals); NaN
        where not chosen or not known.
    rebirths : int
        Number of second births too soon in the solution.
    solver : str
        Name of the backend.
    interrupted : bool
        Stopped by the user before everything was proven.
    """

    used: BoolArray
    appears: BoolArray
    disappears: BoolArray
    link_chosen: BoolArray
    division_chosen: BoolArray
    objective: int
    bound: int
    baseline: int
    component: IntArray
    link_margin: FloatArray
    division_margin: FloatArray
    past_component: IntArray = field(default_factory=_empty_int)
    open_components: IntArray = field(default_factory=_empty_int)
    rebirths: int = 0
    solver: str = ""
    interrupted: bool = False

    def __repr__(self) -> str:
        return (
            f"Solution({self.status}, {counted(int(self.link_chosen.sum()), 'link')}, "
            f"{counted(int(self.division_chosen.sum()), 'division')}, "
            f"objective {self.objective / NAT:.6g} nats)"
        )

    @property
    def components(self) -> int:
        """Number of independent problems."""
        return int(max(self.component.max(initial=-1), self.past_component.max(initial=-1))) + 1

    @property
    def gap(self) -> float:
        """Objective minus bound, in nats."""
        return (self.objective - self.bound) / NAT

    @property
    def relative_gap(self) -> float:
        """The gap relative to what tracking gains over ``baseline``; 0 when there is no gap."""
        if self.objective == self.bound:
            return 0.0
        gain = self.baseline - self.bound
        return (self.objective - self.bound) / gain if gain > 0 else float("inf")

    @property
    def status(self) -> str:
        """``"optimal"`` (relative gap ≤ 1e-9) or ``"gap"``."""
        return "optimal" if self.relative_gap <= 1e-9 else "gap"

    @property
    def certificate(self) -> dict[str, str | float]:
        """What is proven, in nats, under the names of ``run.json``."""
        return {
            "status": self.status,
            "objective": self.objective / NAT,
            "bound": self.bound / NAT,
            "gap": self.gap,
            "relative_gap": self.relative_gap,
        }


def save_graph(
    path: Path,
    candidates: Candidates,
    solution: Solution | None = None,
    *,
    track: IntArray | None = None,
    confidence: Mapping[str, Any] | None = None,
    like: Path | None = None,
) -> None:
    """Write ``graph.npz`` (schema ``celltrail.graph/1``), whole or not at all.

    Parameters
    ----------
    track : IntArray | None
        int64 (n,), the label of each detection in the result's masks (0: not used).
    confidence : Mapping[str, Any] | None
        The arrays of `celltrail.data.graph.confidence.Confidence`, by their names in the file.
    like : Path | None
        An earlier ``graph.npz`` that has much in common with this one: it is written so much faster.
    """
    arrays: dict[str, Any] = {"schema": np.array(SCHEMA)}
    tables: dict[str, Detections | Links | Divisions] = {
        "detection": candidates.detections,
        "link": candidates.links,
        "division": candidates.divisions,
    }
    for prefix, table in tables.items():
        for column in fields(table):
            value = getattr(table, column.name)
            if isinstance(value, dict):
                arrays |= {f"{prefix}.term.{name}": term for name, term in value.items()}
            else:
                arrays[f"{prefix}.{column.name}"] = value
    arrays["clique.id"], arrays["clique.detection"] = candidates.clique_id, candidates.clique_detection
    arrays["rebirth"] = np.array([candidates.rebirth_frames, candidates.rebirth_cost])
    arrays["ndim"] = np.array(candidates.ndim)
    arrays["step"] = np.array(candidates.step)
    arrays["voxel"] = np.array(candidates.voxel or (), dtype=np.float64)
    if solution is not None:
        for column in fields(solution):
            arrays[f"solution.{column.name}"] = np.asarray(getattr(solution, column.name))
    if track is not None:
        arrays["detection_track"] = track
    arrays |= dict(confidence or {})
    with output_file(path, overwrite=True) as work, work.open("wb") as stream:
        write_arrays(stream, arrays, like)


def load_graph(path: Path) -> tuple[Candidates, Solution | None, IntArray | None]:
    """Read ``graph.npz``; returns the candidates, the solution and the track of each detection.

    Raises
    ------
    InputError
        If the file is missing, damaged, or of another schema.
    """
    try:
        arrays = read_arrays(Path(path))
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: run 'celltrail track' without --no-graph.") from None
    except InputError:
        raise
    except Exception as error:
        raise InputError(
            f"{path} is not a graph of Celltrail ({type(error).__name__}): run 'celltrail track' again."
        ) from None
    schema = str(arrays.get("schema", "none"))
    if schema != SCHEMA:
        raise InputError(f"{path} has the schema {schema}, expected {SCHEMA}: run 'celltrail track' again.")
    try:
        candidates, solution, track = _from_arrays(arrays)
        of = {name.removeprefix("confidence."): array for name, array in arrays.items() if "confidence." in name}
        faults = find_faults(candidates, solution, track, of)
    except (KeyError, ValueError, TypeError, IndexError, AttributeError, OverflowError) as error:
        raise InputError(f"{path} lacks a part of the graph ({error}): run 'celltrail track' again.") from None
    if faults:
        more = f", and {len(faults) - 3} more" if len(faults) > 3 else ""
        raise InputError(f"{path} does not hold together: {'; '.join(faults[:3])}{more}. Run 'celltrail track' again.")
    return candidates, solution, track


def _from_arrays(arrays: dict[str, Any]) -> tuple[Candidates, Solution | None, IntArray | None]:
    def table(prefix: str, kind: type[Any]) -> Any:
        columns = {c.name: arrays[f"{prefix}.{c.name}"] for c in fields(kind) if c.name != "terms"}
        start = f"{prefix}.term."
        if "terms" in {c.name for c in fields(kind)}:
            columns["terms"] = {key[len(start) :]: value for key, value in arrays.items() if key.startswith(start)}
        return kind(**columns)

    voxel = arrays["voxel"].tolist()
    candidates = Candidates(
        detections=table("detection", Detections),
        links=table("link", Links),
        divisions=table("division", Divisions),
        clique_id=arrays["clique.id"],
        clique_detection=arrays["clique.detection"],
        rebirth_frames=int(arrays["rebirth"][0]),
        rebirth_cost=int(arrays["rebirth"][1]),
        ndim=int(arrays["ndim"]),
        step=int(arrays.get("step", 1)),
        voxel=(voxel[0], voxel[1], voxel[2]) if voxel else None,
    )
    solution = None
    if "solution.used" in arrays:
        values = {c.name: arrays[f"solution.{c.name}"] for c in fields(Solution)}
        for scalar in ("objective", "bound", "baseline", "rebirths"):
            values[scalar] = int(values[scalar])
        values["solver"], values["interrupted"] = str(values["solver"]), bool(values["interrupted"])
        solution = Solution(**values)
    return candidates, solution, arrays.get("detection_track")
