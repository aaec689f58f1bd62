"""A mother at the side of the image whose second daughter is born outside: drawn by hand, and her mirror image.

::

    side ────────────        ─── (sister) ───      the mother's centre is as far from
         ( mother )      →                         one daughter as from the other
                                 daughter
"""

from __future__ import annotations

import json

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.files.pins import Pin
from celltrail.data.graph.candidates import FREE, KEPT, load_graph
from celltrail.data.running import console
from celltrail.evaluation import evaluate_sequence
from celltrail.tracking import track, write_result
from celltrail.tracking.candidates.border_divisions import (
    ASSUMED,
    find_lone_daughters,
    lone_daughter_features,
    mirror_images,
)
from celltrail.tracking.candidates.parts import find_candidates
from celltrail.tracking.explain import explain_cell
from celltrail.tracking.measuring.table import measure_movie

SIZE = (64, 64)
MOTHER, DAUGHTER = (2.0, 24.0, 4.0), (6.5, 24.0, 2.8)
DIVIDES = 3  # last frame of the mother


def disks(cells, shape=SIZE):
    labels = np.zeros(shape, np.uint16)
    grid = np.indices(shape)
    for label, (*centre, radius) in cells.items():
        apart = sum((axis - c) ** 2 for axis, c in zip(grid, centre, strict=True))
        labels[apart <= radius**2] = label
    return labels


def movie(mother=MOTHER, daughter=DAUGHTER, depth=0.0):
    """Masks and images: fifteen cells that jitter, and cell 1, bright before she divides; ``depth``: moved inside."""
    rng = np.random.default_rng(5)
    masks, images = {}, {}
    for t in range(8):
        jitter = rng.normal(0, 0.5, (16, 2))
        cells = {k + 1: (8 + 16 * (k // 4) + jitter[k, 0], 8 + 16 * (k % 4) + jitter[k, 1], 4.0) for k in range(16)}
        del cells[2]
        if depth:
            del cells[6]
        y, x, radius = mother if t <= DIVIDES else daughter
        cells[1], cells[20] = (y + depth, x, radius), cells[1]
        masks[t] = disks(cells)
        contrast = np.where(masks[t] > 0, 4.0, 1.0)
        images[t] = 100 + 20.0 * (masks[t] > 0)
        if t == DIVIDES:
            images[t] += 60.0 * (masks[t] == 1)
            contrast[masks[t] == 1] = 12
        images[t] += rng.normal(0, 1, SIZE) * contrast
    return masks, images


def lone_links(masks, cell=1, frame=DIVIDES):
    """Labels of the daughters that this mother may have alone."""
    table = measure_movie(masks)
    part = find_candidates(table).whole
    rows = find_lone_daughters(part)
    source, target = part.links.source[rows], part.links.target[rows]
    mine = (table.label[source] == cell) & (table.frame[source] == frame)
    return table.label[target[mine]].tolist()


def test_the_mirror_image_is_as_far_on_the_other_side():
    table = measure_movie(movie()[0])
    part = find_candidates(table).whole
    rows = np.arange(len(part.links))
    mirrored = mirror_images(table, part.links, rows)
    source, target = table.position[part.links.source], table.position[part.links.target]
    drift = table.shift[1][part.links.source]
    assert mirrored + target == pytest.approx(2 * (source + drift))


@pytest.mark.parametrize(
    ("mother", "daughter", "depth", "found"),
    [
        (MOTHER, DAUGHTER, 0.0, True),
        (MOTHER, DAUGHTER, 20.0, False),  # inside, the sister would be seen
        (MOTHER, (6.5, 24.0, 4.0), 0.0, False),  # a cell that comes into the image
        (MOTHER, (4.0, 24.0, 2.0), 0.0, False),  # her mirror image is inside
        ((4.0, 24.0, 4.0), (2.0, 24.0, 3.0), 0.0, False),  # a cell that leaves
        ((2.0, 24.0, 4.0), (2.0, 31.0, 3.5), 0.0, False),  # along the side
    ],
)
def test_where_a_sister_can_be_outside(mother, daughter, depth, found):
    assert (1 in lone_links(movie(mother, daughter, depth)[0])) == found


def test_the_sister_is_like_the_daughter_and_what_is_assumed_says_nothing():
    table = measure_movie(movie()[0])
    part = find_candidates(table).whole
    rows = find_lone_daughters(part)
    features = lone_daughter_features(part, rows)
    assert not set(features) & set(ASSUMED)
    assert set(features) | set(ASSUMED) == set(part.division_features)
    u, v = part.links.source[rows], part.links.target[rows]
    size = np.maximum(table.diameter[u], part.usual.diameter / 2)
    assert features["separation"] == pytest.approx(np.minimum(2 * part.links.distance[rows] / size, 8))
    assert features["daughters_to_mother"] == pytest.approx(np.log(2 * table.area[v] / table.area[u]))
    assert features["covered_less"] == pytest.approx(part.links.shared[rows] / table.area[v])
    assert features["one_does_not_go_on"][table.label[v] == 1].max() == 0


def test_three_dimensions():
    """The same below the bottom of a stack."""
    masks = {}
    for t in range(4):
        one = (1.0, 20.0, 20.0, 4.0) if t < 2 else (5.0, 20.0, 20.0, 2.8)
        masks[t] = disks({1: one, 2: (10.0, 8.0, 30.0, 4.0), 3: (10.0, 30.0, 8.0, 4.0)}, (20, 40, 40))
    assert lone_links(masks, frame=1) == [1]


@pytest.fixture(scope="module")
def result():
    masks, images = movie()
    return track(masks, images=images)


def test_a_daughter_alone_is_born_at_the_side(result):
    run = result.run
    assert (run["divisions"], run["divisions_one_outside"], run["status"]) == (0, 1, "optimal")
    ((born,),) = result.tracks.children().values()
    ended = int(result.tracks.parent[result.tracks.row_of(born)])
    rows = {row[0]: tuple(row) for row in result.tracks.rows().tolist()}
    assert rows[ended] == (ended, 0, DIVIDES, 0)
    assert rows[born] == (born, DIVIDES + 1, 7, ended)
    assert len(rows) == 17
    (listed,) = run["division_list"]["one_outside"]
    assert (listed["mother"]["frame"], listed["mother"]["track"]) == (DIVIDES, ended)
    assert [cell["track"] for cell in listed["daughters"]] == [born]
    assert listed["margin"] > 0


def test_inside_the_image_it_is_the_same_cell():
    masks, images = movie(depth=20.0)
    run = track(masks, images=images).run
    assert (run["divisions"], run["divisions_one_outside"], run["tracks"]) == (0, 0, 15)


def test_why_calls_it_a_division(result, tmp_path, capsys):
    out = tmp_path / "RES"
    write_result(result, out)
    candidates, solution, tracks = load_graph(out / "graph.npz")
    found = explain_cell(candidates, solution, tracks, DIVIDES, 1)
    best = found["future"][0]
    assert (best["kind"], best["chosen"], len(best["cells"])) == ("division", True, 2)
    assert best["terms"]["sister_outside"] < 0
    assert sum(best["terms"].values()) == pytest.approx(best["cost"], abs=0.02)
    assert best["margin"] == pytest.approx(-best["terms"]["sister_outside"], abs=0.01)  # the same two as one cell
    assert best["margin"] == pytest.approx(result.run["division_list"]["one_outside"][0]["margin"])
    mother = found["cell"]["track"]
    assert console.run(celltrail.cli.app, ["why", str(out), str(DIVIDES), str(mother)]) == 0
    assert "the other daughter is outside the image" in capsys.readouterr().out
    assert json.loads((out / "run.json").read_text(encoding="utf-8"))["divisions_one_outside"] == 1


def test_a_pin_that_keeps_the_link_keeps_the_cell():
    masks, images = movie()
    pinned = track(masks, images=images, pins=[Pin("link", "keep", ((DIVIDES, 1), (DIVIDES + 1, 1)))])
    assert (pinned.run["divisions_one_outside"], pinned.run["tracks"]) == (0, 16)
    links = pinned.candidates.links
    assert set(links.fixed.tolist()) == {FREE, KEPT}


def test_pins_on_the_mother_reach_the_daughter_that_nobody_sees(result):
    masks, images = movie()
    mother, daughter = (DIVIDES, 1), (DIVIDES + 1, 1)
    for cells in [(mother,), (mother, daughter)]:
        pinned = track(masks, images=images, pins=[Pin("division", "forbid", cells)])
        assert pinned.run["divisions_one_outside"] == 0
        assert pinned.run["status"] == "optimal"
        assert pinned.solution.objective > result.solution.objective
    kept = track(masks, images=images, pins=[Pin("division", "keep", (mother, daughter))])
    assert (kept.run["divisions_one_outside"], kept.run["tracks"]) == (1, 17)


def test_where_the_truth_goes_on_the_solver_erred(result, tmp_path):
    write_result(result, tmp_path / "01_RES")
    masks, images = movie()
    whole = track(masks, images=images, pins=[Pin("link", "keep", ((DIVIDES, 1), (DIVIDES + 1, 1)))])
    truth = tmp_path / "01_GT" / "TRA"
    write_result(whole, truth, graph=False)
    for path in [*truth.glob("mask*.tif"), truth / "res_track.txt"]:
        path.rename(truth / path.name.replace("mask", "man_track").replace("res_track", "man_track"))
    (error,) = evaluate_sequence(tmp_path / "01_GT", tmp_path / "01_RES").errors
    assert (error.type, error.frame, error.stage) == ("EC", DIVIDES, "solver")
