"""One page that tells how good a result is: measures, certificate, counts, lineages, pictures, errors.

The page holds everything it shows and needs no network.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.output import output_file
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.pictures.colours import Colour, colour_of_tracks, neighbours_in
from celltrail.data.pictures.render import flatten_stack, outline_image
from celltrail.evaluation.errors import MEANING, Error
from celltrail.evaluation.measures.catalogue import definition
from celltrail.evaluation.record import Evaluation
from celltrail.evaluation.reports.drawing import inline_png, line_chart, lineage_chart
from celltrail.evaluation.sequence import evaluate_sequence
from celltrail.evaluation.summary import read_run, versions

HEADLINES = ("SEG", "DET", "TRA", "LNK", "IoU", "BIO")
SHOWN_FRAMES, SHOWN_ERRORS, SHOWN_PLACES, PLACE_RADIUS = 4, 40, 6, 32

STYLE = """
:root { color-scheme: light dark; --text:#1c2733; --soft:#5b6875; --page:#fff; --card:#f4f6f8; --line:#d5dbe1;
  --s0:#0b62c4; --s1:#c45a00; --s2:#00795a; --s3:#9c4a86; --s4:#7a6a00; --s5:#5b6875; }
@media (prefers-color-scheme: dark) { :root { --text:#e4e9ee; --soft:#9aa7b4; --page:#12171d; --card:#1b222b;
  --line:#35404c; --s0:#6db3ff; --s1:#ffa04d; } }
body { font:16px/1.5 system-ui,sans-serif; color:var(--text); background:var(--page); max-width:60rem;
  margin:2rem auto; padding:0 1rem; }
h1 { font-size:1.6rem; margin-bottom:.2rem } h2 { font-size:1.2rem; margin-top:2.2rem }
.soft, figcaption, .legend { color:var(--soft); font-size:.9rem }
.cards { display:flex; flex-wrap:wrap; gap:.7rem; margin:1rem 0 }
.card { background:var(--card); border:1px solid var(--line); border-radius:.5rem; padding:.5rem .9rem; min-width:6rem }
.card b { display:block; font-size:1.4rem; font-variant-numeric:tabular-nums }
.scroll { overflow-x:auto } table { border-collapse:collapse; width:100%; font-size:.9rem }
th,td { text-align:left; padding:.25rem .6rem; border-bottom:1px solid var(--line); vertical-align:top }
td.n { text-align:right; font-variant-numeric:tabular-nums; white-space:nowrap }
svg { width:100%; height:auto; background:var(--card); border-radius:.5rem } svg text { fill:var(--soft); font-size:11px }
.grid { stroke:var(--line) } .line { fill:none; stroke-width:2 } .fork { stroke:var(--soft); fill:none }
.s0 { --own:var(--s0) } .s1 { --own:var(--s1) } .s2 { --own:var(--s2) } .s3 { --own:var(--s3) }
.s4 { --own:var(--s4) } .s5 { --own:var(--s5) } .line,.mark { stroke:var(--own) } .bar { fill:var(--own) }
.line.s1 { stroke-dasharray:6 3 } .line.s2 { stroke-dasharray:2 3 } .line.s3 { stroke-dasharray:9 3 2 3 }
.key { margin-right:1.2rem; font-weight:600; color:var(--own) } .zero { stroke:var(--text) }
.pictures { display:flex; flex-wrap:wrap; gap:.8rem } figure { margin:0 } img { max-width:100%; border-radius:.3rem }
"""


def write_report(
    out: Path,
    gt: Path,
    res: Path,
    *,
    images: Path | None = None,
    evaluation: Evaluation | None = None,
    overwrite: bool = False,
) -> None:
    """Write a self-contained HTML page about one result.

    Parameters
    ----------
    out : Path
        The page.
    gt, res : Path
        Folders of truth and result, as for `evaluation.evaluate_sequence`.
    images : Path | None
        The images of the movie, for pictures of cells; otherwise those beside the truth (``NN`` beside ``NN_GT``),
        where there are any.
    evaluation : Evaluation | None
        The measures, where they have been computed already.

    Raises
    ------
    InputError
        If ``out`` exists, or truth, result or images cannot be read.
    """
    evaluation = evaluation or evaluate_sequence(gt, res)
    masks = open_labels(res)
    movie = images_beside(gt) if images is None else open_images(images)
    tracks = tracks_of(res)
    colours = {} if tracks is None else colour_of_tracks(tracks, neighbours_in(masks))
    parts = [
        _head(evaluation),
        _measures(evaluation),
        _certificate(res),
        _counts(evaluation),
        _lineages(tracks, colours),
        _pictures(evaluation, masks, movie, colours),
        _errors(evaluation, masks, movie, colours),
        _suspects(evaluation),
        _provenance(evaluation),
    ]
    page = html_page(f"Celltrail report: {evaluation.name}", parts)
    with output_file(out, overwrite=overwrite) as work:
        work.write_text(page, encoding="utf-8")


def html_page(title: str, parts: Sequence[str]) -> str:
    """A whole page from its sections, light and dark, without anything from the network."""
    return (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{escape(title)}</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head>'
        f"<body>{''.join(parts)}</body></html>\n"
    )


def images_beside(gt: Path) -> Frames | None:
    """The images ``NN`` beside a truth ``NN_GT``; ``None`` where there are none that can be shown."""
    folder = Path(gt).resolve()
    if not folder.name.endswith("_GT"):
        return None
    try:
        return open_images(folder.with_name(folder.name.removesuffix("_GT")))
    except InputError:
        return None


def tracks_of(res: Path) -> Tracks | None:
    """The tracks of a result folder; ``None`` where it has none."""
    file = track_file(Path(res)) if Path(res).is_dir() else None
    return None if file is None else read_tracks(file)


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"


def _head(evaluation: Evaluation) -> str:
    counts, frames = evaluation.counts, evaluation.frames
    cells, missed = counts.get("truth_cells", 0), counts.get("FN", 0)
    words = f"Frames {frames[0]} to {frames[-1]}. " if frames else ""
    if cells:
        words += f"{1 - missed / cells:.1%} of {cells:.0f} true cells (counted in every frame) are found"
        if counts.get("truth_links"):
            kept = 1 - counts["EA"] / counts["truth_links"]
            words += f", and {kept:.1%} of {counts['truth_links']:.0f} links between frames"
        words += ". "
    if counts.get("truth_divisions") and "divisions_found(1)" in counts:
        words += (
            f"{counts['divisions_found(1)']:.0f} of {counts['truth_divisions']:.0f} divisions are found within "
            "one frame. "
        )
    if evaluation.truth == "ST":
        words += "The full masks of the truth are computer-made (silver truth). "
    cards = "".join(
        f'<div class="card" title="{escape(definition(name))}">{name}<b>{_number(evaluation.measures.get(name))}</b></div>'
        for name in HEADLINES
        if name in evaluation.measures
    )
    return (
        f"<h1>How good is {escape(Path(evaluation.res).name)}?</h1>"
        f'<p class="soft">Compared with {escape(Path(evaluation.gt).name)}</p><p>{escape(words)}</p>'
        f'<div class="cards">{cards}</div>'
    )


def _measures(evaluation: Evaluation) -> str:
    main = [name for name in evaluation.measures if "(" not in name]
    rest = [name for name in evaluation.measures if "(" in name]
    return (
        "<h2>Measures</h2><p class=soft>The ceiling is what perfect linking of the same detections would reach.</p>"
        f"{_measure_table(evaluation, main)}<details><summary>Measures of divisions within i frames</summary>"
        f"{_measure_table(evaluation, rest)}</details>"
    )


def _measure_table(evaluation: Evaluation, names: Sequence[str]) -> str:
    rows = "".join(
        f"<tr><td><b>{escape(name)}</b></td><td class=n>{_number(evaluation.measures[name])}</td>"
        f"<td class=n>{_number(evaluation.ceiling[name]) if name in evaluation.ceiling else ''}</td>"
        f"<td>{escape(definition(name))}{_why_not(evaluation, name)}</td></tr>"
        for name in names
    )
    return (
        "<div class=scroll><table><tr><th>Measure</th><th>Value</th><th>Ceiling</th><th>What it says</th></tr>"
        f"{rows}</table></div>"
    )


def _why_not(evaluation: Evaluation, name: str) -> str:
    return f" <i>No value: {escape(evaluation.reasons[name])}.</i>" if name in evaluation.reasons else ""


def _certificate(res: Path) -> str:
    run = read_run(res)
    if run is None or "status" not in run:
        return ""
    optimal = run["status"] == "optimal"
    words = (
        "The tracking is proven optimal: no other choice of links and divisions among the candidates costs less."
        if optimal
        else "The tracking is feasible, but not proven optimal: the true optimum lies between bound and objective."
    )
    names = {
        "status": "status",
        "objective": "cost of the solution (nats)",
        "bound": "lower bound of any solution (nats)",
        "gap": "gap (nats)",
        "relative_gap": "relative gap",
        "solver": "solver",
        "components": "independent problems",
        "detections": "detections",
        "links": "links",
        "divisions": "divisions",
    }
    rows = "".join(
        f"<tr><td>{label}</td><td class=n>{escape(_show(run[key]))}</td></tr>"
        for key, label in names.items()
        if run.get(key) is not None and not isinstance(run[key], (dict, list))
    )
    return f"<h2>Certificate of the solver</h2><p>{words}</p><table>{rows}</table>"


def _show(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _counts(evaluation: Evaluation) -> str:
    per_frame = evaluation.per_frame
    if not per_frame:
        return ""
    lines = {name: per_frame[f"{name}_cells"] for name in ("truth", "result")}
    marks = {
        f"divisions of the {name}": per_frame[f"{name}_divisions"]
        for name in ("truth", "result")
        if f"{name}_divisions" in per_frame
    }
    chart = line_chart(evaluation.frames, lines, marks, label="cells per frame, and divisions")
    return f"<h2>Cells and divisions over time</h2>{chart}<p class=soft>Ticks below: mothers that divide.</p>"


def _lineages(tracks: Tracks | None, colours: Mapping[int, Colour]) -> str:
    if tracks is None or len(tracks) == 0:
        return ""
    chart, shown = lineage_chart(tracks, colours)
    rest = "" if shown == len(tracks) else f" The largest lineages are shown: {shown} of {len(tracks)} tracks."
    return (
        f"<h2>Lineages of the result</h2>{chart}<p class=soft>A line is a track, in the colour of its outlines; "
        f"a fork is a division.{rest}</p>"
    )


def _picture(
    masks: Frames, movie: Frames | None, frame: int, colours: Mapping[int, Colour], box: tuple[slice, slice] | None
) -> NDArray[np.uint8] | None:
    if frame not in masks:
        return None
    labels = flatten_stack(masks[frame], labels=True)
    has_image = movie is not None and frame in movie and movie.shape == masks.shape
    image = flatten_stack(movie[frame]) if movie is not None and has_image else np.zeros(labels.shape, dtype=np.uint8)
    if box is not None:
        image, labels = image[box], labels[box]
    return outline_image(image, labels, colours)


def _pictures(evaluation: Evaluation, masks: Frames, movie: Frames | None, colours: Mapping[int, Colour]) -> str:
    frames = evaluation.frames or list(masks)
    picked = sorted({frames[i] for i in np.linspace(0, len(frames) - 1, SHOWN_FRAMES).astype(int)}) if frames else []
    figures = []
    for frame in picked:
        picture = _picture(masks, movie, frame, colours, None)
        if picture is not None:
            shown = inline_png(picture, alt=f"frame {frame} with outlines", largest=440)
            figures.append(f"<figure>{shown}<figcaption>frame {frame}</figcaption></figure>")
    return (
        "<h2>Cells of the result</h2><p class=soft>One colour for one track, in every frame.</p>"
        f'<div class="pictures">{"".join(figures)}</div>'
    )


def _errors(evaluation: Evaluation, masks: Frames, movie: Frames | None, colours: Mapping[int, Colour]) -> str:
    ranked = sorted((error for error in evaluation.errors if error.cost > 0), key=lambda error: -error.cost)
    if not ranked:
        return "<h2>Errors</h2><p>There is none.</p>" if evaluation.per_frame else ""
    rows = "".join(
        f"<tr><td>{error.type}</td><td class=n>{error.frame}</td><td class=n>{error.y:.0f}, {error.x:.0f}</td>"
        f"<td class=n>{error.cost:g}</td><td>{escape(describe_error(error))}</td></tr>"
        for error in ranked[:SHOWN_ERRORS]
    )
    total = sum(error.cost for error in ranked)
    places = "".join(show_place(error, masks, movie, colours) for error in costliest(ranked)[:SHOWN_PLACES])
    return (
        f"<h2>The costliest errors</h2><p>{len(ranked)} errors cost {total:g} together (AOGM); "
        f"the first {min(SHOWN_ERRORS, len(ranked))} are listed.</p><div class=scroll><table><tr><th>Type</th>"
        f"<th>Frame</th><th>y, x</th><th>Cost</th><th>What is wrong</th></tr>{rows}</table></div>"
        f"<h3>Where some of them are</h3><p class=soft>The frame before, the frame itself with a ring around the place, the frame after.</p>{places}"
    )


def _suspects(evaluation: Evaluation) -> str:
    suspects = [error for error in evaluation.errors if error.type == "suspect_gt"]
    if not suspects:
        return ""
    rows = "".join(
        f"<tr><td class=n>{error.frame}</td><td class=n>{error.y:.0f}, {error.x:.0f}</td><td>{escape(error.note)}</td></tr>"
        for error in suspects[:SHOWN_ERRORS]
    )
    return (
        f"<h2>Is the truth right here?</h2><p>{len(suspects)} places look as if a division or a continuation had not "
        "been annotated. They cost nothing above.</p><div class=scroll><table><tr><th>Frame</th><th>y, x</th>"
        f"<th>What is odd</th></tr>{rows}</table></div>"
    )


def costliest(errors: list[Error]) -> list[Error]:
    """One error of each kind and cell, in the given order."""
    seen: set[tuple[str, int | None, int | None]] = set()
    first: list[Error] = []
    for error in errors:
        key = (error.type, error.gt_label, error.res_label if error.gt_label is None else None)
        if key not in seen:
            seen.add(key)
            first.append(error)
    return first


def describe_error(error: Error) -> str:
    """An error in words."""
    who = [
        f"true cell {error.gt_label}" if error.gt_label is not None else "",
        f"cell {error.res_label} of the result" if error.res_label is not None else "",
    ]
    words = f"{MEANING[error.type]} ({', '.join(part for part in who if part)}"
    if error.frame2 is not None:
        follower = error.gt_label2 if error.gt_label2 is not None else error.res_label2
        words += f"; to {follower} in frame {error.frame2}"
    lost = {
        "detection": "lost by the detection",
        "candidate": "not offered to the solver",
        "solver": "the solver chose otherwise",
        "export": "lost in writing",
    }
    return words + ")" + (f": {lost[error.stage]}" if error.stage in lost else "")


def show_place(error: Error, masks: Frames, movie: Frames | None, colours: Mapping[int, Colour]) -> str:
    """Pictures of the place of an error (in a white ring), in the frame before, its own and the one after."""
    radius = _view_radius(flatten_stack(masks[error.frame], labels=True)) if error.frame in masks else PLACE_RADIUS
    center = (round(error.y), round(error.x))
    box = (slice(max(0, center[0] - radius), center[0] + radius), slice(max(0, center[1] - radius), center[1] + radius))
    shown = []
    for frame in (error.frame - 1, error.frame, error.frame + 1):
        picture = _picture(masks, movie, frame, colours, box)
        if picture is not None:
            if frame == error.frame:
                _ring(picture, center[0] - box[0].start, center[1] - box[1].start)
            shown.append(inline_png(picture, alt=f"frame {frame}", scale=2 if radius < 2 * PLACE_RADIUS else 1))
    return (
        f'<figure><div class="pictures">{"".join(shown)}</div><figcaption>{error.type}, frame {error.frame}: '
        f"{escape(describe_error(error))}</figcaption></figure>"
    )


def _view_radius(labels: NDArray[Any]) -> int:
    """Half the side of a view that shows a cell and its neighbours, in pixels."""
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    size = 1.5 * float(np.sqrt(np.median(areas))) if len(areas) else 0.0
    return int(np.clip(size, PLACE_RADIUS, 4 * PLACE_RADIUS))


def _ring(picture: NDArray[np.uint8], y: int, x: int, radius: float = 6.0) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(rows - y, columns - x)
    picture[np.abs(distance - radius) < 0.6] = 255


def _provenance(evaluation: Evaluation) -> str:
    used = ", ".join(f"{name} {number}" for name, number in versions().items())
    return f'<h2>How this was made</h2><p class="soft">{escape(used)}</p>'
