"""Several trackers on several sequences: values, paired differences with intervals, and who makes which error.

Lineages of the truth are drawn again within each sequence, the same draws for every variant; never
the sequences themselves, of which there are too few.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import wilcoxon

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.ctc import digits_for, find_sequences, write_masks, write_track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.formats.convert import convert_movie, draw_discs, read_points
from celltrail.data.formats.geff import is_geff
from celltrail.data.progress import Progress, silent
from celltrail.evaluation.comparing.bootstrap import (
    DRAWS,
    Interval,
    correct_for_many,
    draw_lineages,
    interval,
    measures_of_draws,
    two_sided,
)
from celltrail.evaluation.comparing.lineages import Sums, sum_by_lineage
from celltrail.evaluation.comparing.second_opinion import Opinion, ask_traccuracy
from celltrail.evaluation.errors import Error
from celltrail.evaluation.measures.biology import mean_of_defined
from celltrail.evaluation.measures.catalogue import in_order
from celltrail.evaluation.record import Evaluation
from celltrail.evaluation.scoring import GROUPS
from celltrail.evaluation.sequence import evaluate_many
from celltrail.evaluation.summary import read_run, versions
from celltrail.evaluation.truth import TruthKind

SCHEMA = "celltrail.comparison/1"
FloatArray = NDArray[np.float64]
FORMATS = ("", ".geff", ".zarr", ".csv", ".xml")  # endings of a result, in the order of preference
SAME_PLACE = 5.0  # pixels within which two invented masks are the same error


@dataclass
class Comparison:
    """What ``celltrail compare`` found.

    Attributes
    ----------
    evaluations : dict[str, dict[str, Evaluation]]
        Sequence → variant → its evaluation.
    intervals : dict[str, dict[str, dict[str, Interval]]]
        Sequence ("mean" for the mean over the sequences) → variant → measure → value with interval.
    differences : dict[str, dict[str, dict[str, Interval]]]
        The same for variant − ``baseline``.
    p_values : dict[str, dict[str, dict[str, float]]]
        Sequence → variant → measure → p-value, corrected for the number of variants (Holm).
    wilcoxon : dict[str, dict[str, float | None]]
        Sequence → variant → p-value over the lineages' costs.
    runs : dict[str, dict[str, dict[str, Any]]]
        Sequence → variant → runtime and gap.
    pairwise : dict[str, dict[tuple[str, str], dict[str, Interval]]]
        Differences of all pairs of variants.
    lineages : dict[str, int]
        How many each sequence has.
    opinions : dict[str, dict[str, Opinion]]
        Sequence → variant → what traccuracy says, where it was asked.
    """

    dataset: str
    baseline: str
    variants: dict[str, str]
    settings: dict[str, Any]
    evaluations: dict[str, dict[str, Evaluation]]
    intervals: dict[str, dict[str, dict[str, Interval]]] = field(default_factory=dict)
    differences: dict[str, dict[str, dict[str, Interval]]] = field(default_factory=dict)
    p_values: dict[str, dict[str, dict[str, float]]] = field(default_factory=dict)
    wilcoxon: dict[str, dict[str, float | None]] = field(default_factory=dict)
    runs: dict[str, dict[str, dict[str, Any]]] = field(default_factory=dict)
    hashes: dict[str, str] = field(default_factory=dict)
    lineages: dict[str, int] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    pairwise: dict[str, dict[tuple[str, str], dict[str, Interval]]] = field(default_factory=dict)
    opinions: dict[str, dict[str, Opinion]] = field(default_factory=dict)

    @property
    def measures(self) -> list[str]:
        """The measures that any variant has, in the usual order."""
        names = {name for row in self.evaluations.values() for e in row.values() for name in e.measures}
        return in_order(sorted(names))

    def value(self, sequence: str, variant: str, measure: str) -> float | None:
        """A measure of one sequence, or of their mean (``"mean"``)."""
        if sequence != "mean":
            return self.evaluations[sequence][variant].measures.get(measure)
        return mean_of_defined(*(row[variant].measures.get(measure) for row in self.evaluations.values()))

    def best(self, sequence: str, measure: str, *, lower: bool = False) -> str | None:
        """The variant that is best beyond doubt: its difference to the second excludes zero; else ``None``."""
        values = {variant: self.value(sequence, variant, measure) for variant in self.variants}
        ranked = sorted(
            (v for v in values if values[v] is not None), key=lambda v: (values[v] or 0) * (1 if lower else -1)
        )
        if len(ranked) < 2:
            return None
        gap = self.pairwise.get(sequence, {}).get((ranked[0], ranked[1]), {}).get(measure)
        return ranked[0] if gap is not None and gap.excludes_zero else None

    def errors_only_in(self, sequence: str, variant: str, other: str) -> list[Error]:
        """Errors of ``variant`` that ``other`` does not make."""
        rows = self.evaluations[sequence]
        return only_first(rows[variant].errors, rows[other].errors)


def compare_variants(
    dataset: Path,
    variants: Mapping[str, Path],
    *,
    baseline: str | None = None,
    frames: range | None = None,
    truth: TruthKind = "GT",
    groups: Collection[str] = GROUPS,
    draws: int = DRAWS,
    seed: int = 0,
    second_opinion: bool = False,
    masks: str | None = None,
    progress: Progress = silent,
) -> Comparison:
    """Compare variants on every sequence of a data set that all of them have.

    Parameters
    ----------
    dataset : Path
        Folder with ``NN_GT``.
    variants : Mapping[str, Path]
        Name → folder with the results ``NN_RES`` (CTC folders, or files and stores that
        `celltrail.data.formats.convert.read_points` reads), or one result where the data set has one sequence.
    masks : str | None
        Folder of the masks that were tracked, beside each sequence, such as ``"NN_MASKS"``: results that are points
        take the masks under them. Otherwise they are drawn as discs.
    baseline : str | None
        The variant that the others are compared with; default: the first.
    second_opinion : bool
        Ask traccuracy as well (whole sequences, CTC folders).

    Raises
    ------
    InputError
        With the problems of all variants and sequences.
    """
    if len(variants) < 2:
        raise InputError("Give two variants or more, each as NAME=FOLDER.")
    first = next(iter(variants))
    baseline = baseline or first
    if second_opinion and frames is not None:
        raise InputError("traccuracy compares whole sequences: leave out --frames or --with.")
    if baseline not in variants:
        raise InputError(f"--baseline {baseline}: the variants are {', '.join(variants)}.")
    sequences = {s.name: s.gt for s in find_sequences(dataset) if s.gt is not None}
    if not sequences:
        raise InputError(f"{dataset} holds no truth (NN_GT).")
    settings = {
        "frames": None if frames is None else f"{frames.start}:{frames.stop - 1 if frames.stop < 2**31 else ''}",
        "truth": truth,
        "groups": list(groups),
        "draws": draws,
        "seed": seed,
        "level": 0.95,
    }
    folders = _find_results(sequences, variants)
    comparison = Comparison(str(dataset), baseline, {n: str(p) for n, p in variants.items()}, settings, {})
    problems: list[str] = []
    for name, gt in sequences.items():
        if name not in folders:
            comparison.notes.append(f"Sequence {name} is left out: not every variant has a result for it.")
            continue
        try:
            given = dataset / masks.replace("NN", name) if masks else None
            with _as_ctc(folders[name], gt, given, comparison.notes) as results:
                comparison.evaluations[name] = evaluate_many(
                    gt, results, frames=frames, truth=truth, groups=groups, progress=progress
                )
        except InputError as error:
            problems += error.problems
            continue
        comparison.hashes[str(gt)] = hash_folder(gt)
        if second_opinion:
            _ask(comparison, name, gt, folders[name])
        for variant, folder in folders[name].items():
            comparison.evaluations[name][variant].res = str(folder)
            comparison.hashes[str(folder)] = hash_folder(folder)
            comparison.runs.setdefault(name, {})[variant] = _runtime(folder)
    raise_if(problems)
    _draw(comparison, draws, seed)
    return comparison


def _ask(comparison: Comparison, sequence: str, gt: Path, folders: Mapping[str, Path]) -> None:
    """Ask traccuracy about every variant; what it refuses becomes a note."""
    for variant, folder in folders.items():
        try:
            comparison.opinions.setdefault(sequence, {})[variant] = ask_traccuracy(gt, folder)
        except InputError as error:
            comparison.notes.append(f"No second opinion on {variant}, sequence {sequence}: {error}")


def _find_results(sequences: Mapping[str, Path], variants: Mapping[str, Path]) -> dict[str, dict[str, Path]]:
    """sequence → variant → folder, for the sequences that every variant has."""
    found: dict[str, dict[str, Path]] = {}
    problems = []
    for variant, path in variants.items():
        path = Path(path)
        if not path.exists():
            problems.append(f"{variant}={path} does not exist: give the folder of its results.")
            continue
        places = ((name, path / f"{name}_RES{suffix}") for name in sequences for suffix in reversed(FORMATS))
        mine = {name: place for name, place in places if place.exists()}
        if not mine and len(sequences) == 1:
            mine = {next(iter(sequences)): path}
        if not mine:
            problems.append(f"{variant}={path} holds none of {', '.join(f'{name}_RES' for name in sequences)}.")
        for name, folder in mine.items():
            found.setdefault(name, {})[variant] = folder
    raise_if(problems)
    whole = {name: row for name, row in sorted(found.items()) if len(row) == len(variants)}
    if not whole:
        raise InputError("The variants have no sequence in common.")
    return whole


def _holds_points(path: Path) -> bool:
    return path.is_file() or is_geff(path)


@contextmanager
def _as_ctc(results: Mapping[str, Path], gt: Path, masks: Path | None, notes: list[str]) -> Iterator[dict[str, Path]]:
    """The results as CTC folders; points take the masks under them, or are drawn as discs, in a temporary folder."""
    folders = dict(results)
    temporary = Path(tempfile.mkdtemp(prefix="celltrail-")) if any(map(_holds_points, results.values())) else None
    try:
        for variant, path in results.items():
            if temporary is None or not _holds_points(path):
                continue
            if masks is not None:
                folders[variant] = temporary / variant
                convert_movie(path, folders[variant], masks=masks)
                continue
            shape = open_labels(gt / "TRA")
            points = read_points(path)
            blank = {frame: np.zeros(shape.shape, dtype=np.int64) for frame in shape}
            for frame, labels in draw_discs(points).items():
                if frame in blank:
                    corner = tuple(slice(0, min(a, b)) for a, b in zip(labels.shape, shape.shape, strict=True))
                    blank[frame][corner] = labels[corner]
            folders[variant] = temporary / variant
            folders[variant].mkdir()
            write_masks(folders[variant], sorted(blank.items()), digits=digits_for(blank))
            write_track_file(folders[variant] / "res_track.txt", points.tracks)
            notes.append(
                f"{variant} has no masks: each cell is drawn as a disc. Name those it was made from with --masks."
            )
        yield folders
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def hash_folder(folder: Path) -> str:
    """SHA-256 over the names and contents of all files of a folder, in the order of their names; or of one file."""
    digest = hashlib.sha256()
    if folder.is_file():
        return hashlib.sha256(folder.read_bytes()).hexdigest()
    for path in sorted(p for p in Path(folder).rglob("*") if p.is_file()):
        digest.update(str(path.relative_to(folder)).encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _runtime(folder: Path) -> dict[str, Any]:
    """Status, gap and seconds from ``run.json``; empty for other tools."""
    run = read_run(folder) or {}
    seconds = run.get("seconds")
    total = sum(v for v in seconds.values() if isinstance(v, (int, float))) if isinstance(seconds, dict) else seconds
    found = {name: run.get(name) for name in ("status", "objective", "bound", "gap", "relative_gap", "solver")}
    return {name: value for name, value in {**found, "seconds": total}.items() if value is not None}


def _draw(comparison: Comparison, draws: int, seed: int) -> None:
    """Fill intervals, differences and p-values."""
    drawn: dict[str, dict[str, dict[str, FloatArray]]] = {}
    for number, (sequence, row) in enumerate(comparison.evaluations.items()):
        sums: dict[str, Sums] = {}
        for variant, evaluation in row.items():
            parts = None if evaluation.detail is None else sum_by_lineage(evaluation.detail)
            if parts is not None:
                sums[variant] = parts
        if not sums:
            comparison.notes.append(f"Sequence {sequence}: no intervals, the results have no tracks.")
            continue
        count = len(next(iter(sums.values()))["lineages"])
        comparison.lineages[sequence] = count
        weights = draw_lineages(count, draws=draws, seed=seed + number)
        drawn[sequence] = {variant: measures_of_draws(parts, weights) for variant, parts in sums.items()}
        comparison.wilcoxon[sequence] = {
            variant: _rank_test(parts, sums[comparison.baseline])
            for variant, parts in sums.items()
            if variant != comparison.baseline and comparison.baseline in sums
        }
    if len(drawn) > 1:
        drawn["mean"] = _mean_draws(list(drawn.values()))
    for sequence, by_variant in drawn.items():
        _fill(comparison, sequence, by_variant)


def _mean_draws(rows: Sequence[Mapping[str, Mapping[str, FloatArray]]]) -> dict[str, dict[str, FloatArray]]:
    """Mean over the sequences, draw by draw, of the variants and measures that are drawn in any of them."""
    found: dict[str, dict[str, FloatArray]] = {}
    for variant in set.intersection(*(set(row) for row in rows)):
        names = dict.fromkeys(name for row in rows for name in row[variant])
        stacks = {name: np.stack([row[variant][name] for row in rows if name in row[variant]]) for name in names}
        found[variant] = {
            name: np.where(
                np.isnan(stack).all(axis=0),
                np.nan,
                np.nansum(stack, axis=0) / np.maximum((~np.isnan(stack)).sum(axis=0), 1),
            )
            for name, stack in stacks.items()
        }
    return found


def _fill(comparison: Comparison, sequence: str, drawn: Mapping[str, Mapping[str, FloatArray]]) -> None:
    for variant, measures in drawn.items():
        for name, draws in measures.items():
            value = comparison.value(sequence, variant, name)
            if value is not None:
                row = comparison.intervals.setdefault(sequence, {}).setdefault(variant, {})
                row[name] = interval(value, draws)
    names = list(drawn)
    for a in names:
        for b in names:
            if a == b:
                continue
            pair = comparison.pairwise.setdefault(sequence, {}).setdefault((a, b), {})
            for name in drawn[a].keys() & drawn[b].keys():
                mine, theirs = comparison.value(sequence, a, name), comparison.value(sequence, b, name)
                if mine is not None and theirs is not None:
                    pair[name] = interval(mine - theirs, drawn[a][name] - drawn[b][name])
    base = comparison.baseline
    if base not in drawn:
        return
    others = [name for name in names if name != base]
    comparison.differences[sequence] = {other: comparison.pairwise[sequence][other, base] for other in others}
    for name in drawn[base]:
        raw = {other: two_sided(drawn[other][name] - drawn[base][name]) for other in others if name in drawn[other]}
        defined = {other: p for other, p in raw.items() if p is not None}
        for other, p in correct_for_many(defined).items():
            comparison.p_values.setdefault(sequence, {}).setdefault(other, {})[name] = p


def _rank_test(mine: Sums, theirs: Sums) -> float | None:
    """Wilcoxon's signed-rank test of the lineages' AOGM: a second opinion; ``None`` with fewer than 6 differences."""
    costs = [
        sum(5 * s["NS"] + 10 * s["FN"] + s["FP"] + s["ED"] + 1.5 * s["EA"] + s["EC"] for s in (side,))
        for side in (mine, theirs)
    ]
    difference = np.asarray(costs[0]) - np.asarray(costs[1])
    if int((difference != 0).sum()) < 6:
        return None
    return float(wilcoxon(difference[difference != 0], method="approx").pvalue)


def only_first(mine: Sequence[Error], theirs: Sequence[Error]) -> list[Error]:
    """Errors of the first that the second does not make.

    Errors of true cells and links are the same if they concern the same cells; invented masks if they
    lie within 5 pixels in the same frame.
    """

    def key(error: Error) -> tuple[Any, ...]:
        return error.type, error.frame, error.gt_label, error.frame2, error.gt_label2

    known = {key(error) for error in theirs if error.type != "FP"}
    invented: dict[int, list[tuple[float, float, float]]] = {}
    for error in theirs:
        if error.type == "FP":
            invented.setdefault(error.frame, []).append((error.z or 0.0, error.y, error.x))
    result = []
    for error in mine:
        if error.cost == 0:
            continue
        if error.type == "FP":
            place = np.array([error.z or 0.0, error.y, error.x])
            others = invented.get(error.frame, [])
            if others and float(np.linalg.norm(np.array(others) - place, axis=1).min()) <= SAME_PLACE:
                continue
            result.append(error)
        elif key(error) not in known:
            result.append(error)
    return result


def to_plain(comparison: Comparison) -> dict[str, Any]:
    """The content of ``results.json``."""

    def plain(table: Mapping[str, Mapping[str, Mapping[str, Interval]]]) -> dict[str, Any]:
        return {
            sequence: {
                variant: {name: {"value": i.value, "low": i.low, "high": i.high} for name, i in row.items()}
                for variant, row in variants.items()
            }
            for sequence, variants in table.items()
        }

    return {
        "schema": SCHEMA,
        "dataset": comparison.dataset,
        "baseline": comparison.baseline,
        "variants": comparison.variants,
        "sequences": {
            sequence: {variant: evaluation.to_dict() for variant, evaluation in row.items()}
            for sequence, row in comparison.evaluations.items()
        },
        "mean": {
            variant: {name: comparison.value("mean", variant, name) for name in comparison.measures}
            for variant in comparison.variants
        },
        "intervals": plain(comparison.intervals),
        "differences": plain(comparison.differences),
        "p_values": comparison.p_values,
        "wilcoxon": comparison.wilcoxon,
        "lineages": comparison.lineages,
        "runs": comparison.runs,
        "second_opinion": {
            sequence: {variant: opinion.to_dict() for variant, opinion in row.items()}
            for sequence, row in comparison.opinions.items()
        },
        "notes": comparison.notes,
        "settings": comparison.settings,
        "versions": versions(),
        "sha256": comparison.hashes,
    }
