"""Cells of two sizes in one image are all found; those of one size are found as before."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer
from PIL import Image
from scipy import ndimage

pytest.importorskip("torch")

from celltrail.data.files.hypotheses import find_conflicts, pack_hypotheses, paint, read_hypotheses
from celltrail.data.running import console
from celltrail.segmentation import load_model
from celltrail.segmentation.cli import add_commands
from celltrail.segmentation.prediction.blocks import label_in_blocks
from celltrail.segmentation.prediction.first_look import survey
from celltrail.segmentation.prediction.granulometry import strangers
from celltrail.segmentation.prediction.hypotheses import FoundHypotheses
from celltrail.segmentation.prediction.ladder import best_overlap
from celltrail.segmentation.prediction.movie import label_frame, view
from celltrail.segmentation.prediction.two_sizes import choose, label_part, size_of
from celltrail.segmentation.segment_settings import DEFAULT_MODEL


def nuclei(side: int, *groups: tuple[int, float], seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Image (uint16) and truth: textured nuclei of several shapes that do not touch, in groups of (number, diameter)."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    truth, grey = np.zeros((side, side), int), np.zeros((side, side))
    for number, diameter in sorted(groups, key=lambda group: -group[1]):
        left = number
        while left:
            v, u = y - random.uniform(0, side), x - random.uniform(0, side)
            angle, longer = random.uniform(0, np.pi), np.exp(random.normal(0, 0.12))
            a, b = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
            radius = diameter / 2 * np.exp(random.normal(0, 0.08))
            bend = 1 + 0.08 * np.cos(3 * np.arctan2(b, a) + random.uniform(0, 6))
            inside = np.hypot(a / longer, b * longer) < radius * bend
            if inside.sum() < 0.6 * radius**2 * np.pi or truth[ndimage.binary_dilation(inside, iterations=3)].any():
                continue
            texture = ndimage.gaussian_filter(random.normal(size=grey.shape), max(diameter / 10, 1))
            truth[inside] = truth.max() + 1
            grey[inside] = np.exp(random.normal(0, 0.2)) * (1 + 0.2 * texture / texture.std())[inside]
            left -= 1
    grey = 300 + 1000 * ndimage.gaussian_filter(grey, 1) + random.normal(0, 40, grey.shape)
    return grey.clip(0).astype(np.uint16), truth


def all_found(truth: np.ndarray, labels: np.ndarray) -> bool:
    return labels.max() == truth.max() and bool((best_overlap(truth, labels, int(truth.max())) > 0.5).all())


def same_cells(mine: np.ndarray, theirs: np.ndarray) -> bool:
    return mine.max() == theirs.max() and bool((best_overlap(mine, theirs, int(mine.max())) > 0.95).all())


@pytest.fixture(scope="module")
def model():
    return load_model(DEFAULT_MODEL)


@pytest.mark.parametrize("groups", [[(20, 10), (3, 60)], [(30, 12), (4, 45)], [(10, 14), (8, 60)]])
def test_cells_of_both_sizes_are_found(model, groups: list[tuple[int, float]]) -> None:
    image, truth = nuclei(400, *groups, seed=2)
    found = survey({0: image}, model)
    assert sorted([found.diameter, found.other]) == pytest.approx([d for _, d in groups], rel=0.3)
    assert found.fits
    assert all_found(truth, label_frame(model, image, **view(found, model, 0, image)))


@pytest.mark.parametrize("groups", [[(50, 12), (1, 60)], [(30, 18)], [(8, 60)], [(20, 16), (12, 30)]])
def test_debris_and_cells_that_differ_a_little_are_looked_at_once(model, groups: list[tuple[int, float]]) -> None:
    image, _ = nuclei(400, *groups, seed=3)
    assert survey({0: image}, model).other is None


def test_what_is_narrower_and_wider_than_the_cells() -> None:
    y, x = np.mgrid[:200, :200]
    plane = np.random.default_rng(0).normal(0, 0.02, (200, 200)).astype(np.float32)
    for row, column, diameter in [(40, 40, 20), (40, 100, 20), (150, 60, 64), (100, 150, 8), (60, 160, 8), (40, 51, 6)]:
        plane[np.hypot(y - row, x - column) < diameter / 2] = 1
    narrow, wide = strangers(plane, 20)
    assert narrow == pytest.approx(np.array([[60, 160, 8], [100, 150, 8]]), abs=2)  # not what touches a cell
    assert wide == pytest.approx(np.array([[150, 60, 64]]), abs=12)
    assert [len(rows) for rows in strangers(plane + (x / 50).astype(np.float32), 20)] == [2, 1]  # whatever the light


def reading(*cells: tuple[slice, slice, float], gap: int = 0) -> FoundHypotheses:
    """Boxes with scores, each a region, all chosen."""
    boxes = [cell[:2] for cell in cells]
    masks = [np.ones([side.stop - side.start for side in box], bool) for box in boxes]
    n = len(cells)
    rows = pack_hypotheses((20, 40), boxes, masks, [c[2] for c in cells], [-1] * n, range(n), gap=gap)
    return FoundHypotheses(rows, list(range(n)))


LEFT, RIGHT = (slice(2, 18), slice(2, 10)), (slice(2, 18), slice(10, 18))
WHOLE, LONE, TOUCHING = (slice(2, 18), slice(2, 18)), (slice(5, 9), slice(30, 34)), (slice(4, 8), slice(17, 22))


def test_a_large_cell_or_the_small_ones_inside_it() -> None:
    #   +---+---+            +-------+
    #   | L | R [T]   [o]    | WHOLE |        two readings of one image
    #   +---+---+            +-------+
    small = [(*LEFT, 3.0), (*RIGHT, 3.0), (*LONE, 5.0), (*TOUCHING, 5.0)]
    both, large = choose(reading(*small), reading((*WHOLE, 6.0), gap=2))
    image = paint(both.hypotheses, both.best)
    assert len(both.best) == 3
    assert len(np.unique(image[WHOLE])) == 1
    assert (large == (image == image[5, 5])).all()
    assert np.count_nonzero(image == image[5, 20]) == 16  # the cell that touches is cut, and stays
    assert not len(find_conflicts(both.hypotheses))
    assert len(set(both.hypotheses.region.tolist())) == 3
    both, large = choose(reading(*small), reading((*WHOLE, 1.5)))
    assert len(both.best) == 4
    assert not large.any()
    nothing = reading()
    assert choose(nothing, reading((*WHOLE, 2.0)))[0].best == choose(reading(*small[:1]), nothing)[0].best == [0]
    assert not choose(nothing, nothing)[0].best


def test_alternatives_of_a_chosen_cell_stay_with_it() -> None:
    masks = [np.ones((16, 16), bool), np.ones((16, 8), bool), np.ones((4, 4), bool)]
    rows = pack_hypotheses((20, 40), [WHOLE, LEFT, LONE], masks, [6, 1, 5], [-1, 0, -1], [0, 0, 1])
    both, _ = choose(reading((*LONE, 6.0)), FoundHypotheses(rows, [0, 2]))  # both have found LONE
    assert both.best == [0, 1]
    assert both.hypotheses.score.tolist() == [6, 6, 1]
    assert both.hypotheses.parent.tolist() == [-1, -1, 1]
    assert both.hypotheses.region.tolist() == [0, 1, 1]


def test_blocks_find_the_cells_of_the_whole(model) -> None:
    image, truth = nuclei(250, (9, 14), (4, 50), seed=4)
    sizes = (size_of(50, model.diameter), size_of(14, model.diameter))
    labels = label_in_blocks(model, image, block=200, overlap=60, sizes=sizes, stand_out=True)
    assert all_found(truth, labels)
    assert same_cells(labels, label_part(model, image, sizes=sizes, stand_out=True))


def test_a_movie_of_two_sizes_is_said_to_be_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "in").mkdir()
    cells = 0
    for frame in range(2):
        image, truth = nuclei(220, (9, 12), (3, 55), seed=frame)
        cells += int(truth.max())
        tifffile.imwrite(tmp_path / f"in/t{frame:03d}.tif", image)
    app = typer.Typer()
    add_commands(app)
    arguments = ["segment", tmp_path / "in", "--out", tmp_path / "out", "--binary"]
    assert console.run(app, [str(a) for a in arguments]) == 0
    told = capsys.readouterr().out
    run = json.loads((tmp_path / "out/run.json").read_text())
    assert f"{run['diameter']:.0f} pixels wide, others about {run['other']:.0f}" in told
    assert (run["kind"], run["fits"], run["cells"]) == ("movie", True, cells)
    for frame in range(2):
        mask = tifffile.imread(tmp_path / f"out/mask{frame:03d}.tif")
        found = read_hypotheses(tmp_path / f"out/hyp{frame:03d}.npz")
        assert found.mask_sha256
        assert len(found) > mask.max()
        assert all(len(set(found.region[pair])) == 1 for pair in find_conflicts(found))
        binary = np.asarray(Image.open(tmp_path / f"out/binary{frame:03d}.png")) > 0
        assert binary[mask > 0].mean() > 0.95
