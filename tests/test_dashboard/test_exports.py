"""The files that a page gives away can be read again."""

from __future__ import annotations

import csv
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from celltrail.dashboard.judging import exports
from celltrail.dashboard.opening import content, registry
from celltrail.data import InputError, open_labels, read_tracks
from celltrail.data.formats.convert import convert_movie


def opened(dataset: Path) -> tuple[registry.Movie, content.Result]:
    movie = registry.open_dataset(dataset).movies[0]
    return movie, content.open_result(movie.results[0])


def test_the_ctc_folder_is_whole(dataset: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(exports.ctc_zip(opened(dataset)[1]))) as archive:
        archive.extractall(tmp_path)
    assert read_tracks(tmp_path / "01_RES" / "res_track.txt") == read_tracks(dataset / "01_RES" / "res_track.txt")
    old, new = open_labels(dataset / "01_RES"), open_labels(tmp_path / "01_RES")
    assert list(new) == list(old)
    np.testing.assert_array_equal(new[5], old[5])


def test_the_table_has_a_row_for_every_cell(dataset: Path) -> None:
    rows = list(csv.DictReader(io.StringIO(exports.csv_table(opened(dataset)[1]).decode())))
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    assert len(rows) == int((tracks.end - tracks.begin + 1).sum())
    assert {"track_id", "t", "y", "x", "parent_track_id"} <= set(rows[0])


def test_geff_can_be_read_again(dataset: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(exports.geff_zip(opened(dataset)[1]))) as archive:
        archive.extractall(tmp_path)
    convert_movie(tmp_path / "tracks.geff", tmp_path / "back.csv")
    rows = list(csv.DictReader(io.StringIO((tmp_path / "back.csv").read_text())))
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    assert len({row["track_id"] for row in rows}) == len(tracks)


def test_the_report_is_one_page(dataset: Path) -> None:
    movie, result = opened(dataset)
    assert movie.truth is not None
    page = exports.html_report(movie, movie.truth, result).decode()
    assert page.startswith("<!doctype html>")
    assert "TRA" in page
    assert "http://" not in page.replace("http://www.w3.org", "")


@pytest.mark.parametrize("name", ["run.json", "graph.npz", "pins.csv", "res_track.txt"])
def test_links_that_lead_out_of_the_data_set_are_not_given_away(copy_of: Path, tmp_path: Path, name: str) -> None:
    _, result = opened(copy_of)
    secret = tmp_path / "secret.txt"
    secret.write_text("SECRET")
    (copy_of / "01_RES" / name).unlink(missing_ok=True)
    (copy_of / "01_RES" / name).symlink_to(secret)
    with pytest.raises(InputError, match=rf"{name} leads out of"):
        exports.ctc_zip(result)
