"""Data sets by opaque id: what is found, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError, open_images


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


def run_of(folder: Path, **inputs: Path) -> None:
    """Say in ``run.json`` what a result was made from."""
    run = {"inputs": {name: {"path": str(path)} for name, path in inputs.items()}}
    (folder / "run.json").write_text(json.dumps(run))


def my_folder(dataset: Path, tmp_path: Path) -> Path:
    """What the commands of the README leave: images, masks and a result, under names of one's own."""
    my = tmp_path / "my"
    shutil.copytree(dataset / "01", my / "images")
    shutil.copytree(dataset / "01_GT" / "SEG", my / "masks")
    shutil.copytree(dataset / "01_RES", my / "RES")
    run_of(my / "masks", images=my / "images")
    run_of(my / "RES", masks=my / "masks", images=my / "images")
    return my


@pytest.mark.parametrize("opened", [".", "images", "RES", "masks"])
def test_what_belongs_together_is_found(dataset: Path, tmp_path: Path, opened: str) -> None:
    my = my_folder(dataset, tmp_path)
    (movie,) = registry.open_dataset(my, registry.Given(my)).movies
    (movie,) = registry.open_dataset(my / opened, registry.Given(my)).movies
    assert movie.images == (my / "images").resolve()
    kinds = {layer.folder.name: layer.kind for layer in movie.layers}
    expected = {"RES": "result", "masks": "masks"}
    assert kinds == (expected if opened in (".", "images") else {opened: expected[opened]})


def test_a_result_under_the_name_of_the_ctc_finds_images_under_another(dataset: Path, tmp_path: Path) -> None:
    my = my_folder(dataset, tmp_path)
    (my / "RES").rename(my / "01_RES")
    (movie,) = registry.open_dataset(my).movies
    assert (movie.name, movie.images) == ("01", (my / "images").resolve())
    assert {layer.folder.name for layer in movie.results} == {"01_RES", "masks"}


def test_images_outside_are_named_and_shown_once_they_are_given(dataset: Path, tmp_path: Path) -> None:
    my = my_folder(dataset, tmp_path)
    away = Path(shutil.move(my / "images", tmp_path / "server"))
    run_of(my / "RES", images=away)
    (movie,) = registry.open_dataset(my / "RES").movies
    assert (movie.images, movie.elsewhere) == (None, away.resolve())
    (movie,) = registry.open_dataset(my / "RES", registry.Given(my / "RES", images=away, masks=my / "masks")).movies
    assert (movie.images, movie.elsewhere) == (away.resolve(), None)
    assert [layer.folder.name for layer in movie.layers] == ["masks", "RES"]
    assert content.open_movie(movie) is not None


def test_a_movie_file_has_the_results_made_from_it(dataset: Path, tmp_path: Path) -> None:
    movie_file = tmp_path / "movie.tif"
    tifffile.imwrite(movie_file, np.stack(list(open_images(dataset / "01").values())))
    shutil.copytree(dataset / "01_RES", tmp_path / "run1" / "movie.tif_RES")
    shutil.copytree(dataset / "01_RES", tmp_path / "other")
    run_of(tmp_path / "run1" / "movie.tif_RES", images=movie_file)
    (movie,) = registry.open_dataset(movie_file).movies
    assert movie.images == movie_file.resolve()
    assert [layer.name for layer in movie.results] == ["run1/movie.tif_RES"]


def test_a_corrected_result_stands_beside_the_one_that_was_opened(copy_of: Path) -> None:
    shutil.copytree(copy_of / "01_RES", copy_of / "01_RES_corrected")
    shutil.copytree(copy_of / "01_RES", copy_of / "01_RES_other")
    (movie,) = registry.open_dataset(copy_of / "01_RES").movies
    assert [layer.name for layer in movie.results] == ["01_RES", "01_RES_corrected"]
