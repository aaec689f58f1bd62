"""The track table: its text, its invariants, its family relations, and the cutting at holes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.tracks import Tracks, format_tracks, frames_of_labels, read_tracks, split_at_holes

# 1 ──┬── 2 ──── 4      1 divides into 2 and 3; 4 continues 2; 5 is alone
#     └── 3       5
FAMILY = Tracks.from_rows([(1, 0, 4, 0), (2, 5, 7, 1), (3, 5, 9, 1), (4, 9, 9, 2), (5, 2, 6, 0)])


@st.composite
def lineages(draw: st.DrawFn) -> Tracks:
    """Valid tables: every parent ends before its child begins; labels in any order."""
    labels = draw(st.lists(st.integers(1, 10**6), unique=True, max_size=12))
    rows: list[tuple[int, int, int, int]] = []
    for label in labels:
        begin = draw(st.integers(0, 500))
        parents = [row[0] for row in rows if row[2] < begin]
        parent = draw(st.sampled_from([0, *parents]))
        rows.append((label, begin, begin + draw(st.integers(0, 50)), parent))
    return Tracks.from_rows(draw(st.permutations(rows)))


@given(lineages())
def test_reading_what_was_written_gives_the_same_table(
    tmp_path_factory: pytest.TempPathFactory, tracks: Tracks
) -> None:
    path = tmp_path_factory.mktemp("tracks") / "res_track.txt"
    path.write_text(format_tracks(tracks))
    assert read_tracks(path) == tracks
    assert tracks.problems() == []


def test_the_text_is_that_of_the_ctc() -> None:
    assert format_tracks(FAMILY) == "1 0 4 0\n2 5 7 1\n3 5 9 1\n4 9 9 2\n5 2 6 0\n"
    assert format_tracks(Tracks.from_rows([])) == ""


@pytest.mark.parametrize(
    "text", ["1 0 4 0\r\n2 5 7 1\r\n", "1\t0\t4\t0\n\n2   5 7 1", "\ufeff1 0 4 0\n2 5 7 1\n", " 1 0 4 0 \n2 5 7 1"]
)
def test_what_editors_do_to_a_file_is_accepted(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.txt").write_bytes(text.encode("utf-8"))
    assert read_tracks(tmp_path / "t.txt").rows().tolist() == [[1, 0, 4, 0], [2, 5, 7, 1]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 0 4 0 7\n", "line 1, has 5 columns, expected 4"),
        ("1 0 4\n", "line 1, has 3 columns"),
        ("1 0 4 0\nlabel begin end parent\n", "line 2, 'label begin end parent', is not four integers"),
        ("1 0 4.5 0\n", "line 1, '1 0 4.5 0', is not four integers"),
        (f"{10**30} 0 4 0\n", "line 1, has a number too large"),
    ],
)
def test_lines_that_are_wrong_are_named(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "t.txt").write_text(text)
    with pytest.raises(InputError) as caught:
        read_tracks(tmp_path / "t.txt")
    assert message in str(caught.value)


def test_all_wrong_lines_are_listed_up_to_twenty(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("1 0 4\n" * 50)
    with pytest.raises(InputError) as caught:
        read_tracks(tmp_path / "t.txt")
    assert len(caught.value.problems) == 21
    assert "30 more lines" in caught.value.problems[-1]


def test_a_missing_or_binary_track_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_tracks(tmp_path / "t.txt")
    (tmp_path / "t.txt").write_bytes(b"\xff\xfe\x00\x80" * 9)
    with pytest.raises(InputError, match="is not a text file"):
        read_tracks(tmp_path / "t.txt")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ((1, 0, 4, 0), "Track 1 is listed 2 times"),
        ((0, 5, 6, 0), "a label that is not positive"),
        ((9, -1, 6, 0), "frame numbers start at 0"),
        ((9, 7, 6, 0), "ends in frame 6, before it begins in frame 7"),
        ((9, 5, 6, 9), "is its own parent"),
        ((9, 5, 6, 77), "names parent 77, which is not in the table"),
        ((9, 4, 6, 1), "begins in frame 4, but its parent 1 ends in frame 4"),
    ],
)
def test_a_broken_invariant_is_one_sentence(row: tuple[int, int, int, int], message: str) -> None:
    tracks = Tracks.from_rows([*FAMILY.rows().tolist(), row])
    (problem,) = tracks.problems()
    assert message in problem
    assert [label for label, _, _ in tracks.faults()] == [row[0]]


def test_a_cycle_is_named_once_with_all_its_tracks() -> None:
    tracks = Tracks.from_rows([(4, 0, 1, 9), (9, 2, 3, 6), (6, 4, 5, 4), (2, 6, 7, 6)])
    assert [p for p in tracks.problems() if "cycle" in p] == [
        "Tracks 4 → 9 → 6 → 4 descend from each other: cut this cycle."
    ]
    assert set(tracks.roots()) == {2, 4, 6, 9}


def test_children_divisions_and_roots() -> None:
    assert FAMILY.children() == {1: [2, 3], 2: [4]}
    assert FAMILY.divisions() == {1: [2, 3]}
    assert FAMILY.roots() == {1: 1, 2: 1, 3: 1, 4: 1, 5: 5}
    assert FAMILY.row_of(4) == 3
    with pytest.raises(KeyError, match="no track has the label 8"):
        FAMILY.row_of(8)


def test_roots_of_a_long_chain() -> None:
    chain = Tracks.from_rows([(i + 1, i, i, i) for i in range(5000)])
    assert set(chain.roots().values()) == {1}


def test_columns_must_fit() -> None:
    with pytest.raises(ValueError, match="equal length"):
        Tracks(np.arange(2), np.arange(3), np.arange(2), np.arange(2))


def test_frames_of_labels() -> None:
    frames = frames_of_labels({3: np.array([1, 2]), 0: np.array([2]), 1: np.array([], dtype=np.int64)})
    assert {label: present.tolist() for label, present in frames.items()} == {1: [3], 2: [0, 3]}


def test_a_track_is_cut_at_its_hole_and_its_children_follow_the_last_piece() -> None:
    tracks = Tracks.from_rows([(1, 0, 9, 0), (2, 10, 11, 1), (3, 10, 11, 1)])
    present = {1: np.array([2, 3, 4, 7, 8, 9]), 2: np.array([10, 11]), 3: np.array([10, 11])}
    cut, renamed = split_at_holes(tracks, present)
    assert sorted(cut.rows().tolist()) == [[1, 2, 4, 0], [2, 10, 11, 4], [3, 10, 11, 4], [4, 7, 9, 1]]
    assert renamed == {(1, 7): 4}


@given(st.lists(st.sets(st.integers(0, 12), min_size=1), min_size=1, max_size=5))
def test_cutting_leaves_no_hole_and_loses_no_frame(frames: list[set[int]]) -> None:
    tracks = Tracks.from_rows([(i + 1, min(f), max(f), 0) for i, f in enumerate(frames)])
    present = {i + 1: np.array(sorted(f)) for i, f in enumerate(frames)}
    cut, renamed = split_at_holes(tracks, present)
    assert cut.problems() == []
    origin = {new: old for (old, _), new in renamed.items()} | {label: label for label in present}
    covered: dict[int, list[int]] = {}
    for label, begin, end, _ in cut.rows().tolist():
        covered.setdefault(origin[label], []).extend(range(begin, end + 1))
    assert {label: sorted(f) for label, f in covered.items()} == {i + 1: sorted(f) for i, f in enumerate(frames)}
    assert split_at_holes(cut, {row[0]: np.arange(row[1], row[2] + 1) for row in cut.rows().tolist()}) == (cut, {})
