"""The layout of the lineage tree, on trees drawn by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from celltrail.dashboard.judging import charts, lineage_layout
from celltrail.dashboard.opening import content
from celltrail.data import Tracks

# 1 ─┬─ 2 ── 5 (2 continues as 5)      4 ───
#    └─ 3
FAMILY = Tracks.from_rows([(1, 0, 3, 0), (2, 4, 6, 1), (3, 4, 9, 1), (4, 0, 9, 0), (5, 8, 9, 2)])


def test_rows_of_a_family() -> None:
    layout = lineage_layout.arrange(FAMILY)
    rows = dict(zip(FAMILY.label.tolist(), layout.row.tolist(), strict=True))
    assert rows == {2: 0.0, 5: 0.0, 3: 1.0, 1: 0.5, 4: 2.0}
    assert layout.root.tolist() == [1, 1, 1, 4, 1]


def test_lineages_that_divide_come_first() -> None:
    #   1 ───      2 ─┬─ 3
    #                 └─ 4
    tracks = Tracks.from_rows([(1, 0, 9, 0), (2, 2, 4, 0), (3, 5, 9, 2), (4, 5, 9, 2)])
    layout = lineage_layout.arrange(tracks)
    assert dict(zip(tracks.label.tolist(), layout.row.tolist(), strict=True)) == {3: 0.0, 4: 1.0, 2: 0.5, 1: 2.0}


def test_a_lineage_of_ten_thousand_generations_needs_no_recursion() -> None:
    chain = Tracks.from_rows([(n, n, n, n - 1) for n in range(1, 10_001)])
    assert set(lineage_layout.arrange(chain).row.tolist()) == {0.0}


@given(st.lists(st.integers(0, 1_000_000), max_size=60))
def test_no_two_leaves_share_a_row(choices: list[int]) -> None:
    rows = [(1, 0, 0, 0)]
    for label, choice in enumerate(choices, start=2):
        parent = choice % label  # 0 or an earlier track
        begin = next((end + 1 for name, _, end, _ in rows if name == parent), 0)
        rows.append((label, begin, begin, parent))
    tracks = Tracks.from_rows(rows)
    layout = lineage_layout.arrange(tracks)
    leaves = ~np.isin(tracks.label, tracks.parent)
    assert sorted(layout.row[leaves].tolist()) == list(range(int(leaves.sum())))


def test_births_and_counts() -> None:
    assert charts.births_per_frame(FAMILY) == {3: 1}
    cells = next(trace for trace in charts.draw_counts(FAMILY).data if trace.name == "cells")
    assert cells.y.tolist() == [2, 2, 2, 2, 3, 3, 3, 2, 3, 3]


def test_cells_are_measured() -> None:
    labels = np.array([[0, 5, 5], [0, 5, 5], [9, 0, 0]], dtype=np.uint16)
    table = content.measure_cells(3, labels)
    assert table["track"].tolist() == [5, 9]
    assert table["frame"].tolist() == [3, 3]
    assert table[["y", "x"]].to_numpy().tolist() == [[0.5, 1.5], [2.0, 0.0]]
    assert table["area"].tolist() == [4, 1]


def test_speed_is_per_frame() -> None:
    table = content.measure_cells(0, np.eye(1, dtype=np.uint8)).iloc[[0, 0, 0]].reset_index(drop=True)
    table["frame"], table["x"], table["y"] = [0, 1, 3], [0.0, 3.0, 3.0], [0.0, 4.0, 10.0]
    assert content.speed_of(table)[1:].tolist() == [5.0, 3.0]
