"""The page Measure shows the tables that the command writes."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard.judging import measured
from celltrail.dashboard.judging.measured import Units
from celltrail.dashboard.opening import content, registry

OpenPage = Callable[..., AppTest]


def opened(folder: Path) -> tuple[registry.Movie, content.Result]:
    movie = registry.open_dataset(folder).movies[0]
    return movie, content.open_result(movie.results[0])


def test_the_tables_are_those_of_the_command(dataset: Path, tmp_path: Path) -> None:
    command = [
        "measure",
        str(dataset / "01_RES"),
        "--images",
        str(dataset / "01"),
        "--out",
        str(tmp_path / "cells.csv"),
        "--voxel",
        "0.5 0.5",
        "--interval",
        "120",
    ]
    subprocess.run([sys.executable, "-m", "celltrail", *command], check=True, capture_output=True)
    found = measured.measure(*opened(dataset), Units(0.5, 120.0))
    for table, name in ((found.cells, "cells.csv"), (found.tracks, "cells-tracks.csv")):
        stored = pd.read_csv(tmp_path / name, dtype={"repaired": str} if name == "cells.csv" else None)
        assert list(table.columns) == list(stored.columns)
        for column in stored.select_dtypes("number"):
            np.testing.assert_allclose(table[column].astype(float), stored[column].astype(float), rtol=1e-4)


def test_a_short_movie_is_measured_at_once(open_page: OpenPage, dataset: Path) -> None:
    found = measured.measure(*opened(dataset), Units())
    label = int(found.tracks["track"].iloc[0])
    test = open_page(dataset, "measure", track=str(label), t="2")
    assert not test.exception
    shown = test.dataframe[0].value
    assert shown["track"].tolist() == found.tracks["track"].tolist()
    assert shown["mean_area_px"].tolist() == pytest.approx(found.tracks["mean_area_px"].tolist())
    assert f"Track {label}" in [part.value for part in test.subheader]
    charts = {chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec) for chart in test.get("plotly_chart")}
    (mine,) = [trace for trace in charts["measure_time"]["data"] if trace.get("name") == "this track"]
    frames = np.frombuffer(base64.b64decode(mine["x"]["bdata"]), dtype=mine["x"]["dtype"])
    assert frames.tolist() == found.cells["frame"][found.cells["track"] == label].tolist()
    test.number_input(key="measure_pixel").set_value(0.5).run()
    assert "x_um" in test.selectbox(key="measure_column").options


def test_a_long_movie_is_measured_on_request(
    open_page: OpenPage, copy_of: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(measured, "count_cells", lambda result: 700_000)
    test = open_page(copy_of, "measure")
    assert not test.dataframe
    next(button for button in test.button if button.label == "Measure 700,000 cells").click().run()
    assert not test.exception
    assert len(test.dataframe[0].value) > 0
    test.run()  # what was measured stays
    assert len(test.dataframe[0].value) > 0
