"""Errors, suspects and differences, on movies drawn by hand."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from celltrail.dashboard.judging import differences, events, scores
from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.content import Result
from celltrail.data import Tracks, read_tracks
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import clip_tracks
from celltrail.evaluation import evaluate_sequence
from celltrail.tracking import track, write_result

Draw = Callable[..., Result]


def disc(centre: tuple[int, int], radius: int = 5) -> np.ndarray:
    y, x = np.mgrid[:100, :100]
    return (y - centre[0]) ** 2 + (x - centre[1]) ** 2 <= radius**2


def frames_of(cells: Mapping[int, Mapping[int, tuple[int, int]]], count: int = 8) -> dict[int, np.ndarray]:
    """Masks from label → frame → centre."""
    masks = {frame: np.zeros((100, 100), dtype=np.uint16) for frame in range(count)}
    for label, places in cells.items():
        for frame, centre in places.items():
            masks[frame][disc(centre)] = label
    return masks


@pytest.fixture
def draw(tmp_path: Path) -> Draw:
    """Write a result, open it."""

    def make(name: str, masks: Mapping[int, np.ndarray], rows: list[tuple[int, int, int, int]]) -> Result:
        folder = tmp_path / name / "01_RES"
        folder.mkdir(parents=True)
        write_masks(folder, masks.items())
        write_track_file(folder / "res_track.txt", Tracks.from_rows(rows))
        movie = registry.open_dataset(tmp_path / name).movies[0]
        return content.open_result(movie.results[0])

    return make


def still(centre: tuple[int, int], first: int = 0, last: int = 7) -> dict[int, tuple[int, int]]:
    return {frame: centre for frame in range(first, last + 1)}


def kinds(found: list[events.Event]) -> list[tuple[str, int, int]]:
    return [(event.kind, event.frame, event.track) for event in found]


def test_a_quiet_movie_has_no_suspects(draw: Draw) -> None:
    result = draw("quiet", frames_of({1: still((50, 50)), 2: still((20, 70))}), [(1, 0, 7, 0), (2, 0, 7, 0)])
    assert events.find_suspects(result) == []


def test_each_rule_finds_its_case(draw: Draw) -> None:
    cells = {
        1: still((50, 50), 0, 4),  # ends inside, without dividing
        2: still((20, 70), 3, 4),  # short, begins and ends inside
        3: still((80, 20), 0, 3),
        4: still((80, 20), 4, 7),  # the only daughter of 3
        5: still((4, 4), 0, 5),  # leaves at the border: nothing odd
        6: still((20, 20), 0, 3) | still((35, 20), 4, 7),  # jumps by 15 pixels
    }
    rows = [(1, 0, 4, 0), (2, 3, 4, 0), (3, 0, 3, 0), (4, 4, 7, 3), (5, 0, 5, 0), (6, 0, 7, 0)]
    assert set(kinds(events.find_suspects(draw("odd", frames_of(cells), rows)))) == {
        ("ends inside", 4, 1),
        ("short track", 3, 2),
        ("begins inside", 3, 2),
        ("ends inside", 4, 2),
        ("one daughter", 3, 3),
        ("jump", 4, 6),
    }


def test_a_sudden_change_of_area_is_odd(draw: Draw) -> None:
    masks = frames_of({1: still((50, 50))})
    masks[5][disc((50, 50), 9)] = 1
    found = kinds(events.find_suspects(draw("area", masks, [(1, 0, 7, 0)])))
    assert found == [("area jump", 5, 1), ("area jump", 6, 1)]


def test_errors_against_the_truth_cost_what_aogm_says(copy_of: Path) -> None:
    file = copy_of / "01_RES" / "res_track.txt"
    rows = [list(map(int, line.split())) for line in file.read_text().splitlines()]
    child = next(row for row in rows if row[3])
    child[3] = 0
    file.write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))
    movie = registry.open_dataset(copy_of).movies[0]
    assert movie.truth is not None
    evaluation = scores.evaluation(movie.truth, movie.results[0])
    found = events.errors_of(evaluation)
    assert any(event.kind == "EA" for event in found)
    assert sum(event.cost for event in found) == pytest.approx(evaluation.counts["AOGM"])


def test_differences_of_two_results(draw: Draw) -> None:
    #  A: 1 ────────   2 ────────          B: 7 ────┬── 8 (cut at frame 3)    and no cell 2 in frame 5
    a = draw("a", frames_of({1: still((50, 50)), 2: still((20, 20))}), [(1, 0, 7, 0), (2, 0, 7, 0)])
    cells = {7: still((50, 50), 0, 3), 8: still((50, 50), 4, 7), 9: still((20, 20), 0, 4), 10: still((20, 20), 6, 7)}
    b = draw("b", frames_of(cells), [(7, 0, 3, 0), (8, 4, 7, 0), (9, 0, 4, 0), (10, 6, 7, 9)])
    found = differences.disagreements(a, b)
    assert [(event.kind, event.frame, event.track, event.truth_track) for event in found] == [
        ("link only in A", 3, 1, 7),
        ("link only in B", 4, 2, 9),
        ("cell only in A", 5, 2, 0),
    ]


def test_a_result_does_not_differ_from_itself_under_other_labels(draw: Draw) -> None:
    a = draw(
        "a",
        frames_of({1: still((50, 50), 0, 3), 2: still((44, 50), 4), 3: still((56, 50), 4)}),
        [(1, 0, 3, 0), (2, 4, 7, 1), (3, 4, 7, 1)],
    )
    b = draw(
        "b",
        frames_of({9: still((50, 50), 0, 3), 5: still((44, 50), 4), 4: still((56, 50), 4)}),
        [(9, 0, 3, 0), (5, 4, 7, 9), (4, 4, 7, 9)],
    )
    assert differences.disagreements(a, b) == []


@pytest.fixture
def of_same_masks(dataset: Path, tmp_path: Path) -> list[Result]:
    """Two results that were made from the same masks."""
    shutil.copytree(dataset / "01_GT", tmp_path / "01_GT")
    for name, method in (("a", "ilp"), ("b", "greedy")):
        result = track(tmp_path / "01_GT" / "TRA", method=method, fill="never")
        write_result(result, tmp_path / name / "01_RES")
    return [content.open_result(layer) for layer in registry.open_dataset(tmp_path).movies[0].results]


def test_results_of_the_same_masks_are_matched_without_looking_at_them(
    of_same_masks: list[Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    a, b = of_same_masks
    assert content.cells_by_mask(a) is not None
    quick = differences.match_cells(a, b)
    monkeypatch.setattr(content, "cells_by_mask", lambda result: None)
    slow = differences.match_cells(a, b)
    order = ["frame", "a", "b"]
    assert len(quick) == len(content.cell_table(a)) > 50
    np.testing.assert_array_equal(quick.sort_values(order)[order].to_numpy(), slow.sort_values(order)[order].to_numpy())


@pytest.mark.parametrize(
    "change", [{"inputs": None}, {"config": {"pins": ["merge"]}}, {"inputs": {"masks": {"sha256": "b"}}}]
)
def test_where_the_masks_may_differ_the_pixels_decide(of_same_masks: list[Result], change: dict[str, object]) -> None:
    ours, theirs = (
        content.cells_by_mask(replace(result, run=(result.run or {}) | extra))
        for result, extra in zip(of_same_masks, ({}, change), strict=True)
    )
    assert ours is not None
    assert theirs is None or theirs.masks != ours.masks


def test_features_of_tracks(draw: Draw) -> None:
    cells = {1: {0: (50, 50), 1: (50, 53)}, 2: still((40, 50), 2, 7), 3: still((60, 50), 2, 7)}
    result = draw("features", frames_of(cells), [(1, 0, 1, 0), (2, 2, 7, 1), (3, 2, 7, 1)])
    assert content.track_feature(result, "length") == {1: 2.0, 2: 6.0, 3: 6.0}
    assert content.track_feature(result, "generation") == {1: 0.0, 2: 1.0, 3: 1.0}
    assert content.track_feature(result, "speed") == {1: 3.0, 2: 0.0, 3: 0.0}
    colours, (low, high) = content.feature_colours(result, "length")
    assert (low, high) == (2.0, 6.0)
    assert colours[2] == colours[3] != colours[1]


def test_a_result_of_a_part_is_compared_on_that_part(copy_of: Path) -> None:
    for number in (0, 1, 10, 11):
        (copy_of / "01_RES" / f"mask{number:03d}.tif").unlink()
    tracks = read_tracks(copy_of / "01_RES" / "res_track.txt")
    write_track_file(copy_of / "01_RES" / "res_track.txt", clip_tracks(tracks, range(2, 10)))
    movie = registry.open_dataset(copy_of).movies[0]
    assert movie.truth is not None
    assert scores.part_of_movie(movie.truth, movie.results[0]) == (2, 9)
    expected = evaluate_sequence(copy_of / "01_GT", copy_of / "01_RES", frames=range(2, 10)).measures
    assert scores.measures(movie, movie.results[0]) == expected
