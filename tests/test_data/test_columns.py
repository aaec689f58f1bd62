"""Tables as structures of arrays, and movies that read a frame only when it is asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from celltrail.data.columns import concatenate, ranges, row_of_cell, take
from celltrail.data.files.movie import ComputedFrames, DerivedFrames, part_of


@dataclass
class Cells:
    frame: NDArray[Any]
    position: NDArray[Any]
    terms: dict[str, NDArray[Any]] = field(default_factory=dict)


def cells(frames: list[int]) -> Cells:
    frame = np.array(frames, dtype=np.int64)
    return Cells(frame, np.stack([frame, -frame], axis=1).astype(float), {"half": (frame / 2).astype(np.float16)})


@given(st.lists(st.lists(st.integers(0, 9), max_size=5), min_size=1, max_size=4))
def test_a_table_is_the_same_in_pieces(frames: list[list[int]]) -> None:
    whole = concatenate(cells(part) for part in frames)
    expected = cells([frame for part in frames for frame in part])
    for name in ("frame", "position"):
        np.testing.assert_array_equal(getattr(whole, name), getattr(expected, name))
        assert getattr(whole, name).dtype == getattr(expected, name).dtype
    np.testing.assert_array_equal(whole.terms["half"], expected.terms["half"])
    odd = whole.frame % 2 == 1
    for rows in (odd, np.flatnonzero(odd)):
        few = take(whole, rows)
        assert few.frame.tolist() == [frame for frame in expected.frame.tolist() if frame % 2]
        np.testing.assert_array_equal(few.position[:, 1], -few.frame)
        np.testing.assert_array_equal(few.terms["half"], few.frame / 2)
    assert take(whole, slice(1, 2)).frame.tolist() == expected.frame.tolist()[1:2]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 4)), max_size=6))
def test_ranges_are_laid_end_to_end(pairs: list[tuple[int, int]]) -> None:
    start, length = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    owner, number = ranges(start, length)
    expected = [(i, n) for i, (begin, count) in enumerate(pairs) for n in range(begin, begin + count)]
    assert list(zip(owner.tolist(), number.tolist(), strict=True)) == expected


def test_cells_are_found_by_frame_and_label() -> None:
    assert row_of_cell(np.array([0, 0, 3]), np.array([2, 7, 2])) == {(0, 2): 0, (0, 7): 1, (3, 2): 2}


def test_asking_for_a_number_reads_nothing() -> None:
    read: list[int] = []

    def compute(number: int) -> NDArray[Any]:
        read.append(number)
        return np.full((2, 2), number)

    class Doubled(DerivedFrames):
        def __getitem__(self, number: int) -> NDArray[Any]:
            return 2 * self.masks[number]

    movie = Doubled(ComputedFrames([4, 1, 2], compute))
    part = part_of(movie, range(2, 9))
    assert (list(movie), len(movie), 1 in movie, 3 in movie) == ([1, 2, 4], 3, True, False)
    assert (list(part), len(part), 1 in part) == ([2, 4], 2, False)
    assert read == []
    assert part[4].tolist() == [[8, 8], [8, 8]]
    assert read == [4]
