"""What ``celltrail compare`` writes: one HTML page, Markdown, a long CSV, JSON, and lists of errors."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path
from typing import Any

from celltrail.data.files.opening import open_labels
from celltrail.data.pictures.colours import colour_of_tracks
from celltrail.data.running.json_text import to_json
from celltrail.data.words import counted
from celltrail.evaluation.comparing.bootstrap import Interval
from celltrail.evaluation.comparing.comparison import Comparison, to_plain
from celltrail.evaluation.comparing.second_opinion import KNOWN_DIFFERENCES
from celltrail.evaluation.errors import Error
from celltrail.evaluation.measures.catalogue import LOWER_IS_BETTER
from celltrail.evaluation.measures.technical import WEIGHTS
from celltrail.evaluation.reports.drawing import Png, bar_chart, interval_chart, line_chart
from celltrail.evaluation.reports.rendering import render
from celltrail.evaluation.reports.sequence_report import costliest, images_beside, show_place, tracks_of
from celltrail.evaluation.summary import versions

COLUMNS = (
    "OP_CTB",
    "OP_CLB",
    "SEG",
    "DET",
    "TRA",
    "LNK",
    "BIO",
    "CT",
    "TF",
    "BC",
    "CCA",
    "division_F1",
    "IDF1",
    "HOTA",
)
DECIDES = ("LNK", "TRA", "DET", "SEG")  # who is ahead is told by the first of these in which two differ
SHOWN_ERRORS, SHOWN_PLACES = 25, 4
HOW = (
    "Intervals: 95 %, from {draws} draws of whole lineages of the truth within each sequence, the same draws for every "
    "variant; sequences are not drawn again. A value is bold where its difference to the second best excludes zero. "
    "p: share of draws on the far side of zero, two-sided, corrected for the number of variants (Holm)."
)
WRITTEN_OUT = "backslashreplace"  # of names that are no UTF-8


def write_comparison(comparison: Comparison, folder: Path) -> None:
    """Write everything into an existing folder: ``report.html``, ``report.md``, ``results.csv``, ``results.json``,
    ``errors.csv`` and, for each ordered pair of variants, ``only_A_not_B.csv``; where traccuracy was asked, its
    results as it writes them.
    """
    (folder / "results.json").write_text(to_json(to_plain(comparison)) + "\n", encoding="utf-8", errors=WRITTEN_OUT)
    _write_long_table(comparison, folder / "results.csv")
    _write_errors(comparison, folder)
    for sequence, row in comparison.opinions.items():
        for variant, opinion in row.items():
            path = folder / f"traccuracy_{sequence}_{_file_name(variant)}.json"
            path.write_text(to_json(opinion.results) + "\n", encoding="utf-8", errors=WRITTEN_OUT)
    (folder / "report.md").write_text(format_markdown(comparison), encoding="utf-8", errors=WRITTEN_OUT)
    (folder / "report.html").write_text(format_html(comparison), encoding="utf-8", errors=WRITTEN_OUT)


def _places(comparison: Comparison) -> list[str]:
    """The mean over the sequences first, where there are several, then each sequence."""
    names = list(comparison.evaluations)
    return ["mean", *names] if len(names) > 1 else names


def _write_long_table(comparison: Comparison, path: Path) -> None:
    with path.open("w", encoding="utf-8", errors=WRITTEN_OUT, newline="") as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(
            [
                "sequence",
                "variant",
                "measure",
                "value",
                "low",
                "high",
                "difference",
                "difference_low",
                "difference_high",
                "p",
                "reason",
            ]
        )
        for place in _places(comparison):
            for variant in comparison.variants:
                for name in comparison.measures:
                    value = comparison.value(place, variant, name)
                    own = comparison.intervals.get(place, {}).get(variant, {}).get(name)
                    difference = comparison.differences.get(place, {}).get(variant, {}).get(name)
                    p = comparison.p_values.get(place, {}).get(variant, {}).get(name)
                    reason = "" if place == "mean" else comparison.evaluations[place][variant].reasons.get(name, "")
                    writer.writerow([place, variant, name, value, *_ends(own), *(_three(difference)), p, reason])


def _ends(found: Interval | None) -> tuple[float | None, float | None]:
    return (None, None) if found is None else (found.low, found.high)


def _three(found: Interval | None) -> tuple[float | None, float | None, float | None]:
    return (None, None, None) if found is None else (found.value, found.low, found.high)


def _write_errors(comparison: Comparison, folder: Path) -> None:
    def write(path: Path, rows: Sequence[tuple[str, Error]]) -> None:
        with path.open("w", encoding="utf-8", errors=WRITTEN_OUT, newline="") as stream:
            writer = csv.writer(stream, lineterminator="\n")
            writer.writerow(["variant", *Error._fields])
            writer.writerows([variant, *error] for variant, error in rows)

    everything = [(v, e) for row in comparison.evaluations.values() for v, found in row.items() for e in found.errors]
    write(folder / "errors.csv", everything)
    for a, b in permutations(comparison.variants, 2):
        only = [(a, e) for sequence in comparison.evaluations for e in comparison.errors_only_in(sequence, a, b)]
        write(folder / f"only_{_file_name(a)}_not_{_file_name(b)}.csv", only)


def _file_name(variant: str) -> str:
    return "".join(c if c.isalnum() or c in "-." else "-" for c in variant)


def _columns(comparison: Comparison) -> list[str]:
    return [name for name in COLUMNS if name in comparison.measures]


def _runtime(comparison: Comparison, place: str, variant: str) -> tuple[str, str]:
    """Seconds and certificate of a variant, where its ``run.json`` tells."""
    rows = comparison.runs.values() if place == "mean" else [comparison.runs.get(place, {})]
    runs = [row[variant] for row in rows if row.get(variant)]
    seconds = [run["seconds"] for run in runs if isinstance(run.get("seconds"), (int, float))]
    states = list(dict.fromkeys(str(run["status"]) for run in runs if "status" in run))
    gaps = [run["gap"] for run in runs if isinstance(run.get("gap"), (int, float))]
    state = ", ".join(states) + (f" ({max(gaps):.3g})" if gaps and "optimal" not in states else "")
    return (f"{sum(seconds):.1f}" if seconds else "–"), state or "–"


def _summary(comparison: Comparison, place: str) -> tuple[list[str], list[tuple[list[str], set[str]]]]:
    """Header, and for each variant its cells and the columns in which it is best beyond doubt."""
    names = _columns(comparison)
    best = {name: comparison.best(place, name, lower=name in LOWER_IS_BETTER) for name in names}
    rows = []
    for variant in comparison.variants:
        values = [comparison.value(place, variant, name) for name in names]
        cells = [variant, *("–" if value is None else f"{value:.4f}" for value in values)]
        cells += _runtime(comparison, place, variant)
        rows.append((cells, {name for name in names if best[name] == variant}))
    return ["variant", *names, "seconds", "certificate (gap)"], rows


def _difference_text(comparison: Comparison, place: str, variant: str, name: str) -> str:
    found = comparison.differences.get(place, {}).get(variant, {}).get(name)
    if found is None:
        return "–"
    if found.low is None or found.high is None:
        return f"{found.value:+.4f}"
    p = comparison.p_values.get(place, {}).get(variant, {}).get(name)
    return f"{found.value:+.4f} ({found.low:+.4f} to {found.high:+.4f})" + (f", p {p:.2g}" if p is not None else "")


def _only_counts(comparison: Comparison) -> list[tuple[str, int, float]]:
    """For each ordered pair: how many errors only the first makes, and what they cost."""
    rows = []
    for a, b in permutations(comparison.variants, 2):
        only = [e for sequence in comparison.evaluations for e in comparison.errors_only_in(sequence, a, b)]
        rows.append((f"only {a}, not {b}", len(only), sum(e.cost for e in only)))
    return rows


def format_markdown(comparison: Comparison) -> str:
    """The comparison as Markdown: summary, differences and errors."""
    lines = [f"# Comparison on {Path(comparison.dataset).name}", "", HOW.format(**comparison.settings), ""]
    for place in _places(comparison):
        header, rows = _summary(comparison, place)
        lines += [f"## {_title(comparison, place)}", "", "| " + " | ".join(header) + " |", "|" + " --- |" * len(header)]
        for cells, best in rows:
            shown = [f"**{cell}**" if name in best else cell for name, cell in zip(header, cells, strict=True)]
            lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in shown) + " |")
        others = list(comparison.differences.get(place, {}))
        if others:
            lines += [
                "",
                f"Difference to {comparison.baseline}:",
                "",
                "| measure | " + " | ".join(others) + " |",
                "|" + " --- |" * (len(others) + 1),
            ]
            for name in _columns(comparison):
                texts = [_difference_text(comparison, place, other, name) for other in others]
                lines.append(f"| {name} | " + " | ".join(texts) + " |")
        lines.append("")
    lines += ["## Errors", "", "| | errors | cost |", "| --- | --- | --- |"]
    lines += [f"| {text} | {count} | {cost:g} |" for text, count, cost in _only_counts(comparison)]
    if comparison.opinions:
        header, opinions = _opinion_rows(comparison)
        lines += [
            "",
            "## Second opinion: traccuracy",
            "",
            "| " + " | ".join(header) + " |",
            "|" + " --- |" * len(header),
        ]
        lines += ["| " + " | ".join(cells) + " |" for cells in opinions]
        lines += ["", "Known differences:", "", *(f"* {text}" for text in KNOWN_DIFFERENCES)]
    lines += ["", *(f"* {note}" for note in comparison.notes)]
    return "\n".join(lines).rstrip() + "\n"


def _opinion_rows(comparison: Comparison) -> tuple[list[str], list[list[str]]]:
    """Our values and traccuracy's, one row for each sequence and variant."""
    rows = []
    names: list[str] = []
    for sequence, row in comparison.opinions.items():
        for variant, opinion in row.items():
            evaluation = comparison.evaluations[sequence][variant]
            ours = {**evaluation.measures, **evaluation.counts}
            names = list(opinion.values)
            for tool, values in (("celltrail", ours), (f"traccuracy {opinion.version}", opinion.values)):
                shown = [values.get(name) for name in names]
                rows.append([sequence, variant, tool, *("–" if v is None else f"{v:.6g}" for v in shown)])
    return ["sequence", "variant", "software", *names], rows


def _title(comparison: Comparison, place: str) -> str:
    if place == "mean":
        return f"Mean over {counted(len(comparison.evaluations), 'sequence')}"
    count = comparison.lineages.get(place)
    return f"Sequence {place}" + (f" ({counted(count, 'lineage')})" if count else "")


def format_html(comparison: Comparison) -> str:
    """The comparison as one self-contained page."""
    return render(
        "comparison.html.j2",
        comparison=comparison,
        how=HOW.format(**comparison.settings),
        verdict=verdict(comparison),
        sections=[_section(comparison, place) for place in _places(comparison)],
        only_counts=_only_counts(comparison),
        only_lists=_only_lists(comparison),
        most=SHOWN_ERRORS,
        galleries=_galleries(comparison),
        opinions=_opinion_rows(comparison) if comparison.opinions else None,
        known_differences=KNOWN_DIFFERENCES,
        columns=_columns(comparison),
        versions=versions(),
    )


def verdict(comparison: Comparison) -> str:
    """Who is ahead, in what, and whether that is beyond doubt: the sentence on top."""
    place = _places(comparison)[0]
    for name in DECIDES:
        values = {variant: comparison.value(place, variant, name) for variant in comparison.variants}
        known = sorted(((value, variant) for variant, value in values.items() if value is not None), reverse=True)
        if len(known) < 2:
            continue
        (best, first), (value, second) = known[:2]
        if best == value:
            continue
        sure = comparison.best(place, name) == first
        doubt = "beyond doubt (95 %)" if sure else "but the difference may be chance (its 95 % interval holds zero)"
        return f"{first} is ahead in {name}, with {best:.4f} against {value:.4f} of {second}, {doubt}."
    return "No variant is ahead: they are equal in what can be measured, or nothing can."


def _section(comparison: Comparison, place: str) -> dict[str, Any]:
    """What the page says of one sequence, or of their mean."""
    header, rows = _summary(comparison, place)
    differences = [_difference(comparison, place, other) for other in comparison.differences.get(place, {})]
    section = {"title": _title(comparison, place), "header": header, "rows": rows, "differences": differences}
    if place == "mean":
        return section | {"costs": ""}
    evaluations = comparison.evaluations[place]
    costs = {
        variant: {name: WEIGHTS[name] * e.counts[name] for name in WEIGHTS if name in e.counts}
        for variant, e in evaluations.items()
    }
    frames = next(iter(evaluations.values())).frames
    lines = {
        variant: [sum(e.cost for e in found.errors if e.frame == frame) for frame in frames]
        for variant, found in evaluations.items()
    }
    return section | {
        "costs": bar_chart(costs, label="cost of the errors by type"),
        "by_frame": line_chart(frames, lines, {}, label="cost by frame"),
    }


def _difference(comparison: Comparison, place: str, other: str) -> dict[str, Any]:
    """How a variant differs from the baseline."""
    found = comparison.differences[place][other]
    shown = {name: _three(found[name]) for name in _columns(comparison) if name in found}
    return {
        "name": other,
        "chart": interval_chart(
            {name: (value or 0.0, low, high) for name, (value, low, high) in shown.items()},
            label=f"{other} minus {comparison.baseline}",
        ),
        "rank": comparison.wilcoxon.get(place, {}).get(other),
        "numbers": [(name, _difference_text(comparison, place, other, name)) for name in shown],
    }


def _errors_of_one(comparison: Comparison, sequence: str, one: str, other: str) -> list[Error]:
    """The errors that only the first of two variants makes, the costliest first."""
    return sorted(comparison.errors_only_in(sequence, one, other), key=lambda error: -error.cost)


def _only_lists(comparison: Comparison) -> list[tuple[str, str, str, list[Error]]]:
    baseline = comparison.baseline
    pairs = [pair for v in comparison.variants if v != baseline for pair in ((v, baseline), (baseline, v))]
    return [(s, a, b, _errors_of_one(comparison, s, a, b)) for s in comparison.evaluations for a, b in pairs]


def _galleries(comparison: Comparison) -> list[tuple[str, str, str, list[tuple[Error, list[Png]]]]]:
    """The costliest errors that a variant makes and the baseline does not, and the other way round."""
    galleries = []
    for sequence, evaluations in comparison.evaluations.items():
        images = images_beside(Path(comparison.dataset) / f"{sequence}_GT")
        for variant in comparison.variants:
            other = comparison.baseline if variant != comparison.baseline else _second(comparison)
            picked = costliest(_errors_of_one(comparison, sequence, variant, other))[:SHOWN_PLACES]
            res = Path(evaluations[variant].res)
            tracks = tracks_of(res)
            if not picked or tracks is None:
                continue
            masks, colours = open_labels(res), colour_of_tracks(tracks)
            shown = [(error, show_place(error, masks, images, colours)) for error in picked]
            galleries.append((sequence, variant, other, shown))
    return galleries


def _second(comparison: Comparison) -> str:
    return next(name for name in comparison.variants if name != comparison.baseline)
