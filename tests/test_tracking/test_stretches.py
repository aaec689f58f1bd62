"""A movie measured in stretches, by whoever, gives the table that one pass over it gives."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import write_masks
from celltrail.data.files.hypotheses import pack_hypotheses, write_hypotheses
from celltrail.data.files.opening import open_labels
from celltrail.data.files.pins import Pin
from celltrail.tracking.measuring.hypotheses import HypothesisMovie
from celltrail.tracking.measuring.merged import MergedMasks
from celltrail.tracking.measuring.table import measure_movie

Movie = dict[int, np.ndarray[Any, Any]]


def spread_by_mail(function: Callable[[Any], Any], items: Iterable[Any]) -> Any:
    """Like ``map``, but everything travels as it would to another process."""
    return (pickle.loads(pickle.dumps(function(pickle.loads(pickle.dumps(item))))) for item in items)


def assert_same(one: Any, two: Any) -> None:
    for name, value in vars(one).items():
        other = getattr(two, name)
        if name == "shift":
            assert value.keys() == other.keys()
            assert all(np.array_equal(value[span], other[span]) for span in value)
        else:
            assert np.array_equal(value, other, equal_nan=np.asarray(value).dtype.kind == "f"), name


@st.composite
def movies(draw: Callable[..., Any]) -> tuple[Movie, Movie]:
    """Up to 30 frames with a few cells each, long runs of empty ones, and missing numbers."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    full = draw(st.lists(st.booleans(), min_size=1, max_size=30))
    masks: Movie = {}
    for number, some in zip(np.flatnonzero(rng.random(2 * len(full) + 40) < 0.7).tolist(), full, strict=False):
        masks[number] = np.zeros((16, 18), np.uint16)
        for label in range(1, rng.integers(2, 5) if some else 1):
            y, x = rng.integers(0, 12, 2)
            masks[number][y : y + 4, x : x + 4] = label
    return masks, {number: rng.random((16, 18)) for number in masks}


@settings(max_examples=60, deadline=None)
@given(movies(), st.integers(1, 5), st.integers(1, 3))
def test_stretches_give_the_table_of_one_pass(movie: tuple[Movie, Movie], length: int, spans: int) -> None:
    masks, images = movie
    if not masks:
        return
    whole = measure_movie(masks, images, spans=spans, voxel=(2.0, 0.5, 0.5))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("celltrail.tracking.measuring.table.CHUNK", length)
        parts = measure_movie(masks, images, spans=spans, voxel=(2.0, 0.5, 0.5), mapper=spread_by_mail)
    assert_same(whole, parts)


def test_what_is_wrong_is_found_across_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celltrail.tracking.measuring.table.CHUNK", 2)
    frames: Movie = {number: np.eye(6, dtype=np.uint8) for number in range(6)}
    for number in frames:
        frames[number][0, 4] = 1
    with pytest.raises(InputError, match="binary masks"):
        measure_movie(frames, mapper=map)
    frames[5] = np.zeros((6, 7), np.uint8)
    with pytest.raises(InputError, match=r"Frame 5 has the shape \(6, 7\), the first frame has \(6, 6\)"):
        measure_movie(frames, mapper=map)
    frames = {number: np.eye(6 + number // 4, dtype=np.uint8) * 2 for number in range(8)}
    with pytest.raises(InputError, match=r"Frame 4 has the shape \(7, 7\), the first frame has \(6, 6\)"):
        measure_movie(frames, mapper=map)


def test_files_hypotheses_and_merges_travel(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("celltrail.tracking.measuring.table.CHUNK", 2)
    monkeypatch.chdir(tmp_path)
    Path("masks").mkdir()
    for number in range(7):
        boxes = [(slice(2, 8), slice(2, 14)), (slice(2, 8), slice(2, 8)), (slice(2, 8), slice(8, 14))]
        shapes = [np.ones((6, 12), bool), np.ones((6, 6), bool), np.ones((6, 6), bool)]
        found = pack_hypotheses((20, 20), boxes, shapes, [1.0, 2.0, 2.0], [-1, 0, 0], [0, 0, 0])
        write_hypotheses(Path("masks") / f"hyp{number:03d}.npz", found)
        labels = np.zeros((20, 20), np.int64)
        labels[2:8, 2:8], labels[2:8, 8:14] = 1, 2
        write_masks(Path("masks"), [(number, labels)])
    frames = open_labels(Path("masks"))
    pins = [Pin("merge", "keep", ((3, 1), (3, 2)))]
    for movie in (frames, HypothesisMovie(frames), MergedMasks(frames, pins)):
        whole = measure_movie(movie)
        assert_same(whole, measure_movie(movie, mapper=spread_by_mail))
        assert_same(whole, measure_movie(pickle.loads(pickle.dumps(movie))))
