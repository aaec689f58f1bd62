"""One page that tells how good a result is: measures, certificate, counts, lineages, pictures, errors.

The page holds everything it shows and needs no network.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import track_file
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_images, open_labels
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.formats.certainty import read_certainty
from celltrail.data.pictures.colours import (
    CERTAINTY,
    CERTAINTY_TICKS,
    CERTAINTY_UNIT,
    Colour,
    certainty_colour,
    certainty_place,
    colour_of_tracks,
    css,
    doubtful_cells,
    neighbours_in,
)
from celltrail.data.pictures.render import flatten_stack, outline_image
from celltrail.data.words import counted
from celltrail.data.writing.output import output_file
from celltrail.evaluation.errors import Error
from celltrail.evaluation.record import Evaluation
from celltrail.evaluation.reports.drawing import Png, inline_png, line_chart, lineage_chart
from celltrail.evaluation.reports.rendering import render
from celltrail.evaluation.sequence import evaluate_sequence
from celltrail.evaluation.summary import read_run, versions

HEADLINES = ("SEG", "DET", "TRA", "LNK", "IoU", "BIO")
SHOWN_FRAMES, SHOWN_ERRORS, SHOWN_PLACES, PLACE_RADIUS = 4, 40, 6, 32
CERTIFICATE = {  # entries of run.json in words
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


def write_report(
    out: Path,
    gt: Path,
    res: Path,
    *,
    images: Path | Frames | None = None,
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
    images : Path | Frames | None
        The images of the movie, for pictures of cells (a folder, or opened); otherwise those beside the truth (``NN`` beside ``NN_GT``),
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
    movie = images if isinstance(images, Frames) else images_beside(gt) if images is None else open_images(images)
    tracks = tracks_of(res)
    colours = {} if tracks is None else colour_of_tracks(tracks, neighbours_in(masks))
    page = render("sequence.html.j2", **_contents(evaluation, Path(res), tracks, masks, movie, colours))
    with output_file(out, overwrite=overwrite) as work:
        work.write_text(page, encoding="utf-8")


def _contents(
    evaluation: Evaluation,
    res: Path,
    tracks: Tracks | None,
    masks: Frames,
    movie: Frames | None,
    colours: Mapping[int, Colour],
) -> dict[str, Any]:
    """What the page says."""
    run = read_run(res) or {}
    certainty = read_certainty(res / "graph.npz")
    branches: Mapping[int, Colour] = colours
    if certainty is not None and tracks is not None:
        branches = dict.fromkeys(tracks.label.tolist(), certainty_colour(1.0))
    doubts = doubtful_cells(certainty.right) if certainty is not None else {}
    lineages, shown_tracks = ("", 0) if tracks is None else lineage_chart(tracks, branches, doubts=doubts)
    said = run.get("confidence")
    errors = sorted((error for error in evaluation.errors if error.cost > 0), key=lambda error: -error.cost)
    return {
        "evaluation": evaluation,
        "summary": _summary(evaluation),
        "sure": str(said.get("sentence", "")).capitalize() if isinstance(said, dict) else "",
        "headlines": [name for name in HEADLINES if name in evaluation.measures],
        "certificate": _certificate(run) if "status" in run else [],
        "optimal": run.get("status") == "optimal",
        "bound_of": run.get("bound_of", "the problem"),
        "counts": _counts(evaluation) if evaluation.per_frame else "",
        "lineages": lineages,
        "colour_bar": colour_bar() if certainty is not None else None,
        "shown_tracks": shown_tracks,
        "all_tracks": 0 if tracks is None else len(tracks),
        "pictures": _pictures(evaluation, masks, movie, colours),
        "errors": errors,
        "shown": [(error, show_place(error, masks, movie, colours)) for error in costliest(errors)[:SHOWN_PLACES]],
        "suspects": [error for error in evaluation.errors if error.type == "suspect_gt"],
        "most": SHOWN_ERRORS,
        "versions": versions(),
    }


def colour_bar() -> dict[str, Any]:
    """The colours of certainty from wrong to sure, and where its numbers stand (per cent of the width)."""
    ticks = [(f"{value:g}", 100 * (1 - certainty_place(value))) for value in CERTAINTY_TICKS]
    return {"shades": [css(colour) for colour in CERTAINTY[::-1]], "ticks": ticks, "unit": CERTAINTY_UNIT}


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


def _summary(evaluation: Evaluation) -> str:
    counts, frames = evaluation.counts, evaluation.frames
    cells, missed = counts.get("truth_cells", 0), counts.get("FN", 0)
    words = f"Frames {frames[0]} to {frames[-1]}. " if frames else ""
    if cells:
        words += f"{1 - missed / cells:.1%} of {counted(cells, 'true cell')} (counted in every frame) are found"
        if counts.get("truth_links"):
            kept = 1 - counts["EA"] / counts["truth_links"]
            words += f", and {kept:.1%} of {counted(counts['truth_links'], 'link')} between frames"
        words += ". "
    if counts.get("truth_divisions") and "divisions_found(1)" in counts:
        words += (
            f"{counts['divisions_found(1)']:.0f} of {counted(counts['truth_divisions'], 'division')} are found within "
            "one frame. "
        )
    if evaluation.truth == "ST":
        words += "The full masks of the truth are computer-made (silver truth). "
    return words


def _certificate(run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What the solver says of its result: name and value."""
    return [
        (name, _show(run[key]))
        for key, name in CERTIFICATE.items()
        if run.get(key) is not None and not isinstance(run[key], (dict, list))
    ]


def _show(value: Any) -> str:
    return f"{value:,.6g}" if isinstance(value, float) else f"{value:,}" if isinstance(value, int) else str(value)


def _counts(evaluation: Evaluation) -> str:
    per_frame = evaluation.per_frame
    lines = {name: per_frame[f"{name}_cells"] for name in ("truth", "result")}
    marks = {
        f"divisions of the {name}": per_frame[f"{name}_divisions"]
        for name in ("truth", "result")
        if f"{name}_divisions" in per_frame
    }
    return line_chart(evaluation.frames, lines, marks, label="cells per frame, and divisions")


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


def _pictures(
    evaluation: Evaluation, masks: Frames, movie: Frames | None, colours: Mapping[int, Colour]
) -> list[tuple[int, Png]]:
    frames = evaluation.frames or list(masks)
    picked = sorted({frames[i] for i in np.linspace(0, len(frames) - 1, SHOWN_FRAMES).astype(int)}) if frames else []
    pictures = ((frame, _picture(masks, movie, frame, colours, None)) for frame in picked)
    return [
        (frame, inline_png(picture, alt=f"frame {frame} with outlines", largest=440))
        for frame, picture in pictures
        if picture is not None
    ]


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


def show_place(error: Error, masks: Frames, movie: Frames | None, colours: Mapping[int, Colour]) -> list[Png]:
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
    return shown


def _view_radius(labels: NDArray[Any]) -> int:
    """Half the side of a view that shows a cell and its neighbours, in pixels."""
    areas = np.unique(labels[labels > 0], return_counts=True)[1]
    size = 1.5 * float(np.sqrt(np.median(areas))) if len(areas) else 0.0
    return int(np.clip(size, PLACE_RADIUS, 4 * PLACE_RADIUS))


def _ring(picture: NDArray[np.uint8], y: int, x: int, radius: float = 6.0) -> None:
    rows, columns = np.ogrid[: picture.shape[0], : picture.shape[1]]
    distance = np.hypot(rows - y, columns - x)
    picture[np.abs(distance - radius) < 0.6] = 255
