"""Data sets by opaque id: what is found, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError


def test_a_data_set_has_its_results_and_truths(dataset: Path) -> None:
    (movie,) = registry.open_dataset(dataset).movies
    assert [(layer.name, layer.kind) for layer in movie.layers] == [
        ("01_RES", "result"),
        ("01_GT/TRA", "truth"),
        ("01_GT/SEG", "annotated"),
    ]
    assert movie.images == (dataset / "01").resolve()


def test_variants_in_subfolders_and_masks_are_found(copy_of: Path) -> None:
    shutil.copytree(copy_of / "01_RES", copy_of / "greedy" / "01_RES")
    shutil.copytree(copy_of / "01_GT" / "SEG", copy_of / "01_MASKS")
    (movie,) = registry.open_dataset(copy_of).movies
    assert [(layer.name, layer.kind) for layer in movie.results] == [
        ("01_RES", "result"),
        ("01_MASKS", "masks"),
        ("greedy/01_RES", "result"),
    ]


def test_one_result_can_be_opened_alone(dataset: Path, tmp_path: Path) -> None:
    (movie,) = registry.open_dataset(dataset / "01_RES").movies
    assert [layer.name for layer in movie.results] == ["01_RES"]
    assert movie.images is not None
    alone = Path(shutil.copytree(dataset / "01_RES", tmp_path / "mine"))
    (movie,) = registry.open_dataset(alone).movies
    assert (movie.images, movie.results[0].folder) == (None, alone.resolve())


def test_a_folder_of_images_can_be_opened(dataset: Path, tmp_path: Path) -> None:
    images = Path(shutil.copytree(dataset / "01", tmp_path / "images"))
    (movie,) = registry.open_dataset(images).movies
    assert movie.images == images.resolve()
    assert movie.layers == ()


def test_ids_hold_no_path_and_stay_the_same(dataset: Path) -> None:
    first, second = (registry.open_dataset(dataset).movies[0] for _ in range(2))
    assert first.id == second.id
    for key in (first.id, *(layer.id for layer in first.layers)):
        assert len(key) == 12
        int(key, 16)
    assert registry.layer(first.layers[0].id) == first.layers[0]
    with pytest.raises(KeyError):
        registry.layer("../../etc/passwd")


def test_a_folder_that_is_a_link_out_of_the_data_set_is_refused(copy_of: Path, tmp_path: Path) -> None:
    outside = Path(shutil.move(copy_of / "01_RES", tmp_path / "outside"))
    (copy_of / "01_RES").symlink_to(outside)
    with pytest.raises(InputError, match="leads out of"):
        registry.open_dataset(copy_of)


def test_a_frame_that_is_a_link_out_of_the_data_set_is_refused(copy_of: Path, tmp_path: Path) -> None:
    frame = copy_of / "01_RES" / "mask003.tif"
    outside = Path(shutil.move(frame, tmp_path / "secret003.tif"))
    frame.symlink_to(outside)
    layer = registry.open_dataset(copy_of).movies[0].results[0]
    with pytest.raises(InputError, match="leads out of"):
        content.open_result(layer)


def test_a_track_file_that_is_a_link_is_refused(copy_of: Path, tmp_path: Path) -> None:
    file = copy_of / "01_RES" / "res_track.txt"
    outside = Path(shutil.move(file, tmp_path / "other.txt"))
    file.symlink_to(outside)
    layer = registry.open_dataset(copy_of).movies[0].results[0]
    with pytest.raises(InputError, match="leads out of"):
        content.open_result(layer)


def test_a_link_within_the_data_set_is_followed(copy_of: Path) -> None:
    (copy_of / "02_RES").symlink_to(copy_of / "01_RES")
    movies = registry.open_dataset(copy_of).movies
    assert [movie.name for movie in movies] == ["01", "02"]


def test_a_changed_result_is_read_again(copy_of: Path) -> None:
    layer = registry.open_dataset(copy_of).movies[0].results[0]
    before = len(content.open_result(layer).tracks)
    file = copy_of / "01_RES" / "res_track.txt"
    lines = file.read_text().splitlines(keepends=True)
    childless = [line for line in lines if not any(other.split()[3] == line.split()[0] for other in lines)]
    file.write_text("".join(line for line in lines if line != childless[-1]))
    assert len(content.open_result(layer).tracks) == before - 1
