"""Tracks are found by number, filtered, coloured by certainty, and chosen in a plot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard.judging import charts, track_list
from celltrail.dashboard.judging.track_list import Filter
from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.content import Result
from celltrail.data import read_tracks
from celltrail.data.formats.certainty import read_certainty
from celltrail.data.pictures.colours import CERTAINTY, certainty_colour, css

OpenPage = Callable[..., AppTest]
TABLE = pd.DataFrame(
    {
        "track": [1, 2, 3],
        "frames": [9, 2, 5],
        "daughters": ["4, 5", "", ""],
        "speed": [1.5, np.nan, 4.0],
        "certainty": [0.99, 1.0, 0.4],
    }
)


@pytest.fixture
def result(dataset: Path) -> Result:
    return content.open_result(registry.open_dataset(dataset).movies[0].results[0])


@pytest.mark.parametrize(
    ("wanted", "kept"),
    [
        (Filter(), [1, 2, 3]),
        (Filter(number=2), [2]),
        (Filter(frames=(3, 9)), [1, 3]),
        (Filter(divides=True), [1]),
        (Filter(speed=(1.0, 4.0)), [1, 3]),
        (Filter(certainty=0.5), [3]),
        (Filter(frames=(1, 5), certainty=0.5), [3]),
    ],
)
def test_a_filter_keeps_what_passes(wanted: Filter, kept: list[int]) -> None:
    assert wanted.keep(TABLE)["track"].tolist() == kept


def test_certainty_is_that_of_the_files(result: Result) -> None:
    known = read_certainty(result.layer.folder / "graph.npz")
    assert known is not None
    table = content.certainty_table(result)
    assert table is not None
    rows = zip(table["frame"].tolist(), table["track"].tolist(), table["probability"].tolist(), strict=True)
    assert {(frame, label): value for frame, label, value in rows} == pytest.approx(known.right)
    whole = content.track_feature(result, "certainty")
    label = int(result.tracks.label[-1])
    mine = [value for (_, name), value in known.right.items() if name == label]
    assert whole[label] == pytest.approx(np.prod(mine))
    assert set(whole) == set(result.tracks.label.tolist())


def test_the_colours_of_certainty_run_from_sure_to_wrong() -> None:
    assert certainty_colour(1.0) == CERTAINTY[0]
    assert certainty_colour(0.0) == CERTAINTY[-1]
    steps = [certainty_colour(value) for value in (1.0, 0.99, 0.9, 0.7, 0.5, 0.2, 0.0)]
    assert len(set(steps)) == len(steps)
    assert css((255, 0, 16)) == "#ff0010"


def test_a_box_in_a_plot_chooses_its_tracks_and_a_point_is_shown(open_page: OpenPage, dataset: Path) -> None:
    tracks = read_tracks(dataset / "01_RES" / "res_track.txt")
    test = open_page(dataset, "browse")
    assert not test.exception
    assert f"{len(tracks)} of {len(tracks)} tracks" in "".join(part.value for part in test.markdown)
    test.session_state.brushed = {registry.opaque_id(dataset / "01_RES"): [1, 2, 3]}
    test.run()
    assert "**3** chosen in a plot" in "".join(part.value for part in test.markdown)
    test.button(key="forget_brush").click().run()
    assert "chosen in a plot" not in "".join(part.value for part in test.markdown)
    test.number_input(key="find_track").set_value(2).run()
    assert test.dataframe[0].value["track"].tolist() == [2]


@pytest.mark.parametrize("told", [[7, 3], {"0": 7, "1": 3}])
def test_what_a_point_of_a_plot_carries(told: object) -> None:
    """The browser tells an array of numbers as a list or as an object."""
    assert charts.carried({"x": 1.0, "customdata": told}) == [7, 3]


def test_the_plot_is_coloured_and_can_be_brushed() -> None:
    points = pd.DataFrame({"track": [1, 2], "begin": [0, 3], "length": [4, 5], "speed": [1.0, 2.0]})
    figure = charts.draw_scatter(points, "length", "speed", selected=2, colours={1: "#111111"}, names=track_list.AXES)
    (trace,) = figure.data
    assert list(trace.marker.color) == ["#111111", charts.ACCENT]
    assert [list(row) for row in trace.customdata] == [[1, 0], [2, 3]]
    assert figure.layout.dragmode == "select"
    assert figure.layout.yaxis.title.text == "speed (pixels per frame)"


def test_the_viewer_is_told_only_the_cells_that_are_not_sure(result: Result) -> None:
    assert "certainty" in content.features_of(result)
    doubtful = content.uncertain_cells(result)
    table = content.certainty_table(result)
    assert table is not None
    assert len(doubtful) == int((table["probability"] < 0.995).sum())
    assert json.dumps(doubtful)
