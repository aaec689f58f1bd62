"""Images that leave something open: the question in the sidebar, and what follows from the answer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile

pytest.importorskip("streamlit")

from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.reading import AS_THE_FILES_SAY, Reading, choose_reading
from celltrail.dashboard.working.plans import plan_tracks
from celltrail.data.files.arrays.tiff import write_array

OpenPage = Any
MOVIE = np.random.default_rng(0).integers(0, 255, (4, 2, 32, 40), dtype=np.uint8)


def problems(page: Any) -> str:
    return " ".join(text.value for text in page.text)


def test_several_channels_are_asked_for_and_the_answer_holds_everywhere(open_page: OpenPage, tmp_path: Path) -> None:
    (tmp_path / "exp").mkdir()
    for number, frame in enumerate(MOVIE):
        tifffile.imwrite(tmp_path / "exp" / f"t{number:03d}.tif", frame, imagej=True, metadata={"axes": "CYX"})
    page = open_page(tmp_path / "exp", "overview")
    assert "choose one with --channel 0 … 1" in problems(page)
    next(box for box in page.sidebar.number_input if box.label == "Channel").set_value(1).run()
    assert not page.exception
    assert "--channel" not in problems(page)
    movie = registry.open_dataset(tmp_path / "exp").movies[0]
    images = content.open_movie(movie)
    assert images is not None
    np.testing.assert_array_equal(images[2], MOVIE[2, 1])
    plan = plan_tracks(movie, "run1", masks=None, model="sim-fluo")
    assert [command[-2:] for command in plan.commands] == [["--channel", "1"]] * 2
    choose_reading(movie.id, AS_THE_FILES_SAY)


def test_time_stored_as_slices_is_said_and_can_be_put_right(open_page: OpenPage, tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE[:, 0], imagej=True, metadata={"axes": "ZYX"})
    page = open_page(tmp_path / "movie.tif", "overview")
    assert any(
        "one frame of 4 slices: if this is time, give --axes TYX" in warning.value.replace("\\", "")
        for warning in page.warning
    )
    next(box for box in page.sidebar.text_input if box.label == "Axes").set_value("TYX").run()
    assert not page.exception
    assert not page.warning
    movie = registry.open_dataset(tmp_path / "movie.tif").movies[0]
    images = content.open_movie(movie)
    assert images is not None
    assert images.numbers == (0, 1, 2, 3)
    assert plan_tracks(movie, "r", masks=tmp_path).commands[0][-2:] == ["--image-axes", "TYX"]
    choose_reading(movie.id, AS_THE_FILES_SAY)


def test_a_choice_changes_the_stamp_of_the_images(tmp_path: Path) -> None:
    write_array(tmp_path / "t000.tif", MOVIE[0, 0])
    movie = registry.open_dataset(tmp_path).movies[0]
    before = content.images_stamp(movie)
    choose_reading(movie.id, Reading(axes="YX"))
    assert content.images_stamp(movie) != before
    choose_reading(movie.id, AS_THE_FILES_SAY)
    assert content.images_stamp(movie) == before


def test_black_and_white_masks_are_refused_with_the_remedy(tmp_path: Path) -> None:
    folder = tmp_path / "01_MASKS"
    folder.mkdir()
    (tmp_path / "01").mkdir()
    mask = np.zeros((32, 40), np.uint8)
    mask[2:9, 2:9] = mask[20:29, 20:30] = 255
    for number in range(3):
        write_array(folder / f"mask{number:03d}.tif", mask)
    layer = registry.open_dataset(tmp_path).movies[0].layers[0]
    with pytest.raises(ValueError, match="--split-binary"):
        content.open_result(layer)
