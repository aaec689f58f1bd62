"""The measures of a result against its truth, computed from the files as they are."""

from __future__ import annotations

from functools import lru_cache

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.registry import Layer, Movie
from celltrail.evaluation import Evaluation, evaluate_sequence

FIRST = ("TRA", "SEG", "DET", "LNK", "IoU", "RI", "RE", "warping_error", "BIO", "ADE", "JACT")
NAMES = {
    "RI": "Rand index",
    "RE": "Rand error",
    "warping_error": "Warping error",
    "pixel_error": "Pixel error",
    "split_merge_error": "Split and merge error",
    "division_F1": "Division F1",
}
Measures = dict[str, float | None]


def measures(movie: Movie, layer: Layer) -> Measures | None:
    """All measures of a result by name; ``None`` where there is no truth to compare with.

    Raises
    ------
    InputError
        If truth or result cannot be evaluated.
    """
    if movie.truth is None or layer.id == movie.truth.id:
        return None
    return dict(evaluation(movie.truth, layer).measures)


def evaluation(truth: Layer, layer: Layer) -> Evaluation:
    """The full comparison of a result with its truth: measures, and every error with its place.

    Raises
    ------
    InputError
        If truth or result cannot be evaluated.
    """
    return _evaluation(truth, layer, content.stamp(truth.folder), content.stamp(layer.folder))


@lru_cache(maxsize=16)
def _evaluation(truth: Layer, layer: Layer, _truth_stamp: str, _stamp: str) -> Evaluation:
    return evaluate_sequence(truth.folder.parent, layer.folder, frames=part_of_movie(truth, layer))


def part_of_movie(truth: Layer, layer: Layer) -> tuple[int, int] | None:
    """First and last frame of a result that covers a part of its truth: they are compared on it; ``None``: on all of it."""
    mine, all_frames = content.open_result(layer).labels.numbers, content.open_result(truth).labels.numbers
    first, last = min(mine), max(mine)
    return None if first <= min(all_frames) and last >= max(all_frames) else (first, last)


def say_part(truth: Layer, layer: Layer) -> str | None:
    """That a result was compared on a part of the movie only; ``None`` where it covers all of it."""
    part = part_of_movie(truth, layer)
    if part is None:
        return None
    where = f"frame {part[0]}" if part[0] == part[1] else f"frames {part[0]} to {part[1]}"
    return f"This result covers {where} of the movie: it is compared with the truth on this part only."


def in_order(names: Measures) -> list[str]:
    """Names of measures, the most used first, the rest by name."""
    return [name for name in FIRST if name in names] + sorted(name for name in names if name not in FIRST)
