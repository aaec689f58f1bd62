"""Which stage lost what, how good tracking could be, and where the truth looks wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_movies import Movie, draw, random_pair, write_sequence

from celltrail.data.files.tracks import Tracks
from celltrail.data.graph.candidates import Candidates, Detections, Divisions, Links, Solution, save_graph
from celltrail.evaluation import evaluate_sequence
from celltrail.evaluation.measures.ceiling import link_truly, measure_ceiling
from celltrail.evaluation.measures.contingency import tabulate
from celltrail.evaluation.measures.technical import count_operations

Write = Callable[..., tuple[Path, Path]]
ROWS = Tracks.from_rows


def with_graph(
    res: Path,
    table: list[tuple[int, int, float, float, int]],
    links: list[tuple[int, int, bool]],
    divisions: list[tuple[int, int, int, bool]] = (),  # type: ignore[assignment]
) -> None:
    """Write ``graph.npz``: detections (frame, label in the input, y, x, label in the result), links, divisions."""
    n, m, d = len(table), len(links), len(divisions)
    zeros = np.zeros(n, dtype=np.int64)
    track = np.array([row[4] for row in table])
    detections = Detections(
        np.array([row[0] for row in table]),
        np.array([row[1] for row in table]),
        np.array([(0.0, row[2], row[3]) for row in table]),
        zeros + 1,
        zeros.astype(float),
        zeros,
        zeros,
        zeros,
        zeros == 0,
        zeros - 1,
        zeros - 1,
    )
    candidates = Candidates(
        detections,
        Links(np.array([x[0] for x in links]), np.array([x[1] for x in links]), np.zeros(m, int), np.zeros(m, int) - 1),
        Divisions(
            *(np.array([x[i] for x in divisions], dtype=np.int64) for i in range(3)),
            np.zeros(d, int),
            np.zeros(d, int) - 1,
        ),
    )
    solution = Solution(
        track > 0,
        track > 0,
        track > 0,
        np.array([x[2] for x in links], bool),
        np.array([x[3] for x in divisions], bool),
        0,
        0,
        0,
        zeros,
        np.full(m, np.nan),
        np.full(d, np.nan),
    )
    save_graph(res / "graph.npz", candidates, solution, track=track)


def stages(gt: Path, res: Path) -> dict[tuple[str, int, int | None], str]:
    return {(e.type, e.frame, e.gt_label): e.stage for e in evaluate_sequence(gt, res).errors if e.cost}


def test_the_stage_that_lost_it(sequence: Write) -> None:
    """Five cells in a row, three frames; each is lost in another way."""
    truth = Movie(draw(dict.fromkeys(range(3), "1.2.3.4.5")), ROWS((n, 0, 2, 0) for n in range(1, 6)))
    masks = draw({0: "1.2.3.4.5", 1: "1.2.3.4.5", 2: "1.7.8...."})
    result = Movie(
        masks, ROWS([(1, 0, 2, 0), (2, 0, 1, 0), (3, 0, 1, 0), (4, 0, 1, 0), (5, 0, 1, 0), (7, 2, 2, 0), (8, 2, 2, 0)])
    )
    gt, res = sequence(truth, result)
    assert set(stages(gt, res).values()) == {""}
    table = [(t, n, 0.0, 2.0 * (n - 1), n) for t in (0, 1) for n in range(1, 6)]
    table += [(2, 1, 0.0, 0.0, 1), (2, 2, 0.0, 2.0, 7), (2, 3, 0.0, 4.0, 8), (2, 4, 0.0, 6.0, 0)]
    row = {(t, n): i for i, (t, n, *_) in enumerate(table)}
    links = [(row[0, n], row[1, n], True) for n in range(1, 6)] + [(row[1, 1], row[2, 1], True)]
    links += [(row[1, 3], row[2, 3], False)]  # offered, not chosen
    with_graph(res, table, links)
    found = stages(gt, res)
    assert found["EA", 1, 2] == "candidate"  # no such link
    assert found["EA", 1, 3] == "solver"
    assert found["FN", 2, 4] == "solver"  # a detection was there and left out
    assert found["FN", 2, 5] == "detection"
    assert found["EA", 1, 4] == found["EA", 1, 5] == "detection"


def test_links_chosen_but_written_otherwise_and_wrong_links(sequence: Write) -> None:
    truth = Movie(draw({0: "1..2", 1: "1..2"}), ROWS([(1, 0, 1, 0), (2, 0, 1, 0)]))
    crossed = Movie(draw({0: "1..2", 1: "2..1"}), ROWS([(1, 0, 1, 0), (2, 0, 1, 0)]))
    gt, res = sequence(truth, crossed)
    table = [(0, 1, 0.0, 0.0, 1), (0, 2, 0.0, 3.0, 2), (1, 1, 0.0, 0.0, 2), (1, 2, 0.0, 3.0, 1)]
    with_graph(res, table, [(0, 2, True), (0, 3, True), (1, 3, False)])
    found = stages(gt, res)
    assert found["EA", 0, 1] == "export"  # chosen, but the masks say otherwise
    assert found["EA", 0, 2] == "solver"
    assert found["ED", 0, 1] == "solver"  # a wrong link that was chosen
    assert found["ED", 0, 2] == "export"  # a wrong link that nobody chose


def test_a_division_that_was_no_candidate(sequence: Write) -> None:
    masks = draw({0: ".1.", 1: "2.3"})
    truth = Movie(masks, ROWS([(1, 0, 0, 0), (2, 1, 1, 1), (3, 1, 1, 1)]))
    gt, res = sequence(truth, Movie(masks, ROWS([(1, 0, 0, 0), (2, 1, 1, 0), (3, 1, 1, 0)])))
    table = [(0, 1, 0.0, 1.0, 1), (1, 2, 0.0, 0.0, 2), (1, 3, 0.0, 2.0, 3)]
    with_graph(res, table, [(0, 1, False), (0, 2, False)])
    assert {e.stage for e in evaluate_sequence(gt, res).errors} == {"candidate"}
    with_graph(res, table, [(0, 1, False), (0, 2, False)], [(0, 1, 2, False)])
    assert {e.stage for e in evaluate_sequence(gt, res).errors} == {"solver"}


@pytest.mark.parametrize("seed", range(10))
def test_the_ceiling_is_reached_by_true_links_and_never_passed(tmp_path: Path, seed: int) -> None:
    truth, result = random_pair(seed)
    assert truth.tracks is not None
    table = tabulate(truth.masks, result.masks)
    ideal, tracks = link_truly(table, truth.tracks)
    assert tracks.problems() == []
    operations = count_operations(ideal, truth.tracks, tracks)
    assert len(operations.delete) == len(operations.wrong) == 0
    evaluation = evaluate_sequence(*write_sequence(tmp_path, truth, result))
    ceiling = measure_ceiling(table, truth.tracks)
    assert evaluation.ceiling == ceiling
    for name in ("TRA", "LNK"):
        assert (evaluation.measures[name] or 0) <= (ceiling[name] or 0) + 1e-12
    assert ceiling["DET"] == evaluation.measures["DET"]


def test_the_ceiling_of_perfect_detections_is_one() -> None:
    truth, _ = random_pair(3)
    assert truth.tracks is not None
    ceiling = measure_ceiling(tabulate(truth.masks, truth.masks), truth.tracks)
    assert [ceiling[name] for name in ("DET", "TRA", "LNK", "CT", "TF", "BC")] == [1.0] * 6


def test_suspect_truth(sequence: Write) -> None:
    """A mother ends and two begin beside it; a track is cut; a track ends for good; all far apart."""
    truth = Movie(
        draw(
            {
                0: ".1....4....6 ............ ............",
                1: ".1....4....6 ............ ............",
                2: "2.3...5..... ............ ............",
            }
        ),
        ROWS([(1, 0, 1, 0), (2, 2, 2, 0), (3, 2, 2, 0), (4, 0, 1, 0), (5, 2, 2, 0), (6, 0, 1, 0)]),
    )
    evaluation = evaluate_sequence(*sequence(truth, truth))
    assert [(e.type, e.frame, e.gt_label, e.cost) for e in evaluation.errors] == [
        ("suspect_gt", 1, 1, 0.0),
        ("suspect_gt", 1, 4, 0.0),
    ]
    assert "tracks 2 and 3" in evaluation.errors[0].note
    assert "track 5" in evaluation.errors[1].note
    assert evaluation.counts["suspect_gt"] == 2
    linked = Movie(
        truth.masks, ROWS([(1, 0, 1, 0), (2, 2, 2, 1), (3, 2, 2, 1), (4, 0, 1, 0), (5, 2, 2, 4), (6, 0, 1, 0)])
    )
    assert evaluate_sequence(*sequence(linked, linked)).errors == []
