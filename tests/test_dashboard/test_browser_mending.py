"""Strokes on the image in a real browser: a mask of one picture, and a cell of a volume, are split and tracked again."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from in_browser import central_cell, served, settle, show_frame

from celltrail.dashboard.opening import registry
from celltrail.data import open_labels, read_tracks
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result

pytestmark = pytest.mark.slow
FRAME = 5


def split_and_save(page: Any, result: Path, centre: tuple[float, float]) -> None:
    """Draw a stroke from above to below across a cell of `FRAME`, and have it saved and tracked."""
    page.get_by_role("radio", name="Split").click()
    settle(page)
    box = page.get_by_role("application").bounding_box()
    height, width = open_labels(result).shape[-2:]
    zoom = min(box["width"] / width, box["height"] / height)
    at_x = box["x"] + box["width"] / 2 + (centre[1] - width / 2) * zoom
    at_y = box["y"] + box["height"] / 2 + (centre[0] - height / 2) * zoom
    page.mouse.move(at_x, at_y - 18 * zoom)
    page.mouse.down()
    page.mouse.move(at_x, at_y, steps=4)
    page.mouse.move(at_x, at_y + 18 * zoom, steps=4)
    page.mouse.up()
    page.get_by_text(f"Frame {FRAME}: split").wait_for()
    page.get_by_role("button", name="Save and track").click()
    page.wait_for_url(lambda url: registry.opaque_id(result.with_name("01_RES_mended")) in url)
    settle(page)


def test_a_stroke_on_the_image_mends_a_mask(page: Any, address: str, shown: Path) -> None:
    labels = open_labels(shown / "01_RES")
    label = central_cell(labels, FRAME)
    page.goto(f"{address}/browse?run={registry.opaque_id(shown / '01_RES')}&t={FRAME}&track={label}")
    show_frame(page, FRAME)
    settle(page)
    y, x = np.argwhere(labels[FRAME] == label).mean(axis=0) + 0.5
    split_and_save(page, shown / "01_RES", (y, x))
    mended = open_labels(shown / "01_MASKS_mended")
    assert len(np.unique(mended[FRAME])) == len(np.unique(labels[FRAME])) + 1
    assert len(np.unique(mended[FRAME - 1])) == len(np.unique(labels[FRAME - 1]))
    page.goto("about:blank")  # nobody looks at what goes now
    shutil.rmtree(shown / "01_RES_mended")
    shutil.rmtree(shown / "01_MASKS_mended")
    (shown / "01_RES" / "mends.csv").unlink()


def test_a_stroke_on_a_plane_mends_a_cell_of_a_volume(page: Any, root: Path, tmp_path: Path) -> None:
    movie = simulate_movie(frames=8, cells=4, size=(16, 100, 120), cycle=100.0, seed=4)
    folder, place = tmp_path / "movie", tmp_path / "place"
    place.mkdir()
    write_movie(movie, folder)
    write_result(track(movie.masks, images=movie.images), folder / "01_RES")
    labels = open_labels(folder / "01_RES")
    values, counts = np.unique(labels[FRAME][labels[FRAME] > 0], return_counts=True)
    label = int(values[counts.argmax()])
    cell = labels[FRAME] == label
    plane = int(cell.sum(axis=(1, 2)).argmax())
    y, x = np.argwhere(cell[plane]).mean(axis=0) + 0.5
    with served(root, folder, place) as address:
        page.goto(f"{address}/browse?run={registry.opaque_id(folder / '01_RES')}&t={FRAME}&track={label}")
        show_frame(page, FRAME)
        settle(page)
        split_and_save(page, folder / "01_RES", (y, x))
        page.goto("about:blank")  # before the server ends, which an open page would ask for
    mended = open_labels(folder / "01_MASKS_mended")
    parts = np.unique(mended[FRAME][cell])
    assert len(parts[parts > 0]) == 2
    np.testing.assert_array_equal((mended[FRAME] > 0)[~cell], (labels[FRAME] > 0)[~cell])
    np.testing.assert_array_equal(mended[FRAME - 1] > 0, labels[FRAME - 1] > 0)
    assert read_tracks(folder / "01_RES_mended" / "res_track.txt")
