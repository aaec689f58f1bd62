"""Candidates that overlap: their file, their conflicts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.hypotheses import (
    Hypotheses,
    find_cliques,
    find_conflicts,
    from_labels,
    labels_of,
    pack_hypotheses,
    paint,
    read_hypotheses,
    write_hypotheses,
)


def random_candidates(seed: int, n: int, shape: tuple[int, ...] = (20, 30)) -> tuple[Hypotheses, list[np.ndarray]]:
    random = np.random.default_rng(seed)
    boxes, masks, full = [], [], []
    for _ in range(n):
        start = [int(random.integers(0, side - 3)) for side in shape]
        stop = [int(random.integers(s + 1, min(s + 12, side) + 1)) for s, side in zip(start, shape, strict=True)]
        box = tuple(slice(a, b) for a, b in zip(start, stop, strict=True))
        mask = random.random([b - a for a, b in zip(start, stop, strict=True)]) < 0.7
        mask.flat[0] = True
        whole = np.zeros(shape, bool)
        whole[box] = mask
        boxes.append(box), masks.append(mask), full.append(whole)
    return pack_hypotheses(shape, boxes, masks, random.normal(size=n), [-1] * n, range(n)), full


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10_000), n=st.integers(0, 12))
def test_conflicts_equal_the_definition(seed: int, n: int) -> None:
    found, full = random_candidates(seed, n)
    expected = [
        [i, j]
        for i in range(n)
        for j in range(i + 1, n)
        if (full[i] & full[j]).sum() > 0.05 * min(full[i].sum(), full[j].sum())
    ]
    assert find_conflicts(found).tolist() == expected
    cliques = find_cliques(found)
    covered = {(int(i), int(j)) for c in cliques for i in c for j in c if i < j}
    assert covered == {(i, j) for i, j in expected}


@pytest.mark.parametrize("shape", [(20, 30), (5, 9, 11)])
def test_file_gives_back_what_was_written(tmp_path: Path, shape: tuple[int, ...]) -> None:
    found, full = random_candidates(3, 7, shape)
    write_hypotheses(tmp_path / "hyp000.npz", found)
    back = read_hypotheses(tmp_path / "hyp000.npz")
    assert back.shape == shape
    for row, whole in enumerate(full):
        assert np.array_equal(back.pixels(row), np.flatnonzero(whole))
    assert back.areas().tolist() == [int(whole.sum()) for whole in full]
    assert np.array_equal(back.score, found.score)


def test_plain_labels_are_hypotheses_without_conflicts() -> None:
    labels = np.array([[1, 1, 0, 5], [0, 1, 0, 5]])
    found = from_labels(labels)
    assert len(find_conflicts(found)) == 0
    assert paint(found, range(len(found))).tolist() == [[1, 1, 0, 2], [0, 1, 0, 2]]
    assert len(from_labels(np.zeros((3, 3), int))) == 0


def test_nested_candidates_form_one_clique() -> None:
    whole, left, right = np.ones((4, 8), bool), np.ones((4, 4), bool), np.ones((4, 4), bool)
    boxes = [(slice(0, 4), slice(0, 8)), (slice(0, 4), slice(0, 4)), (slice(0, 4), slice(4, 8))]
    found = pack_hypotheses((4, 8), boxes, [whole, left, right], [0, 1, 1], [-1, 0, 0], [0, 0, 0])
    assert [c.tolist() for c in find_cliques(found)] == [[0, 1], [0, 2]]
    assert paint(found, [1, 2])[0].tolist() == [1, 1, 1, 1, 2, 2, 2, 2]


def test_files_that_are_no_hypotheses(tmp_path: Path) -> None:
    found, _ = random_candidates(1, 3)
    (tmp_path / "text.npz").write_text("no")
    np.savez(tmp_path / "other.npz", schema=np.array("celltrail.graph/1"))
    outside = found.bbox.copy()
    outside[0, 2] = 999
    write_hypotheses(tmp_path / "outside.npz", replace(found, bbox=outside))
    write_hypotheses(tmp_path / "short.npz", replace(found, bits=found.bits[:-1]))
    for name, said in [
        ("text", "not a hypotheses"),
        ("other", "schema"),
        ("outside", "outside"),
        ("short", "size"),
        ("none", "exist"),
    ]:
        with pytest.raises(InputError, match=said):
            read_hypotheses(tmp_path / f"{name}.npz")


def test_a_gap_between_chosen_candidates_is_closed(tmp_path: Path) -> None:
    boxes = [(slice(0, 2), slice(0, 3)), (slice(0, 2), slice(4, 7))]
    found = pack_hypotheses((2, 9), boxes, [np.ones((2, 3), bool)] * 2, [1.0, 1.0], [-1, -1], [0, 0], gap=1)
    write_hypotheses(tmp_path / "hyp000.npz", found)
    read = read_hypotheses(tmp_path / "hyp000.npz")
    assert paint(read, [0, 1])[0, 3] in (1, 2)
    assert paint(read, [0, 1])[0, 7] == 0
    assert paint(read, [1])[0].tolist() == [0, 0, 0, 0, 1, 1, 1, 0, 0]


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({"parent": np.array([1, 0])}, "parts of each other"),
        ({"gap": np.array(-1)}, "a gap of -1 pixels"),
        ({"score": np.array([0.5, np.nan])}, "a score that is no finite number"),
    ],
)
def test_what_does_not_fit_together_is_said(tmp_path: Path, changed: dict[str, np.ndarray], problem: str) -> None:
    path = tmp_path / "hyp000.npz"
    write_hypotheses(path, from_labels(np.array([[1, 1, 0, 2]])))
    with np.load(path) as archive:
        arrays = dict(archive)
    np.savez(path, **(arrays | changed))
    with pytest.raises(InputError, match=problem):
        read_hypotheses(path)


def test_labels_may_be_of_any_size():
    """Somebody has edited the mask, and numbers cells as other programs do."""
    mask = np.zeros((12, 20), np.int64)
    mask[1:5, 1:5], mask[1:5, 8:12], mask[7:11, 8:12] = 3, 1, 2
    boxes = [(slice(1, 5), slice(1, 5)), (slice(1, 5), slice(8, 12)), (slice(1, 11), slice(8, 12))]
    found = pack_hypotheses(
        mask.shape, boxes, [np.ones((b.stop - b.start, 4), bool) for b, _ in boxes], [0] * 3, [-1] * 3, [0] * 3
    )
    names = np.array([0, 5, 2**31 + 5, 2**40])
    assert labels_of(found, mask).tolist() == [3, 1, 6]
    assert labels_of(found, names[mask]).tolist() == [2**40, 5, 2**40 + 3]
    drawn = from_labels(names[mask])
    assert labels_of(drawn, names[mask]).tolist() == names[1:].tolist()
    assert np.array_equal(names[paint(drawn, range(3))], names[mask])
