"""An option of ``track`` stands in one place, and is found everywhere from there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import celltrail.tracking.settings
from celltrail.data.errors import InputError
from celltrail.data.settings import changed, options_of, to_config, to_toml, to_words
from celltrail.tracking import candidate_graph, track
from celltrail.tracking.costs.pricing import Constants
from celltrail.tracking.repeat import settings_of_run
from celltrail.tracking.settings import TrackSettings

ONE_LINE = '    calm: float = setting(0.5, Option("How calm the cells are.", minimum=0, unit="nats"))\n'
USES = """
import importlib.util, json, sys
from pathlib import Path

name, file = sys.argv[1:]
made = importlib.util.spec_from_file_location(name, file)
sys.modules[name] = importlib.util.module_from_spec(made)
made.loader.exec_module(sys.modules[name])

import celltrail.cli
from celltrail import candidate_graph, track
from celltrail.dashboard.correcting import corrections
from celltrail.dashboard.opening import content, registry
from celltrail.data.files.pins import Pin
from celltrail.data.running import console
from celltrail.tracking.settings import TrackSettings

def run(*words):
    return console.run(celltrail.cli.app, list(words))

def kept(folder):
    return json.loads(Path(folder, "run.json").read_text())["config"]["calm"]

found = {"help": run("track", "--help")}
Path("calm.toml").write_text("calm = 0.25\\n")
found["toml"] = run("track", "set/01_GT/TRA", "--out", "set/01_RES", "--config", "calm.toml"), kept("set/01_RES")
found["command line"] = run("track", "set/01_GT/TRA", "--out", "line", "--calm", "2"), kept("line")
found["from"] = run("track", "--from", "set/01_RES/run.json", "--out", "again"), kept("again")
found["python"] = track("set/01_GT/TRA", calm=3.0).run["config"]["calm"]
found["object"] = track("set/01_GT/TRA", TrackSettings(calm=4.0)).run["config"]["calm"]
found["graph"] = len(candidate_graph("set/01_GT/TRA", calm=3.0)) > 0
result = content.open_result(registry.open_dataset(Path("set")).movies[0].results[0])
merged = corrections.solve_again(result, [Pin("merge", "keep", ((0, 1), (0, 2)))])
found["corrected"] = kept(merged.out)
found["refused"] = run("track", "set/01_GT/TRA", "--out", "no", "--calm", "-1")
Path("calm.toml").write_text("clam = 0.25\\n")
found["misspelt"] = run("track", "set/01_GT/TRA", "--out", "no", "--config", "calm.toml")
Path("found.json").write_text(json.dumps(found))
"""


def test_a_line_in_one_place_makes_an_option_everywhere(tmp_path: Path, root: Path) -> None:
    from celltrail.data.simulation.scene import simulate_movie, write_movie

    write_movie(simulate_movie(frames=4, cells=5, size=(80, 80), seed=2), tmp_path / "set")
    text = Path(celltrail.tracking.settings.__file__).read_text(encoding="utf-8")
    before = "    repair: bool = setting("
    assert text.count(before) == 1
    (tmp_path / "more.py").write_text(text.replace(before, ONE_LINE + before), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", USES, celltrail.tracking.settings.__name__, "more.py"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads((tmp_path / "found.json").read_text()) == {
        "help": 0,
        "toml": [0, 0.25],
        "command line": [0, 2.0],
        "from": [0, 0.25],
        "python": 3.0,
        "object": 4.0,
        "graph": True,
        "corrected": 0.25,
        "refused": 2,
        "misspelt": 2,
    }
    assert "How calm the cells are." in done.stdout
    assert "did you mean 'calm'?" in done.stderr


def test_an_unknown_setting_is_refused_with_the_nearest_known_name() -> None:
    masks = {0: np.diag([1, 2, 3])}
    for use in (track, candidate_graph):
        with pytest.raises(InputError, match=r"'max_gpa' is no setting of TrackSettings: did you mean 'max_gap'\?"):
            use(masks, max_gpa=2)
    with pytest.raises(InputError, match=r"'image' is no setting of TrackSettings: did you mean 'images'\?"):
        track(masks, image="images")
    with pytest.raises(InputError, match=r"^run.json: 'methd' is no setting of TrackSettings: did you mean 'method'\?"):
        settings_of_run({"config": {"methd": "ilp"}})
    with pytest.raises(InputError, match="'qqqq' is no setting of TrackSettings: choose among method, costs, "):
        changed(TrackSettings(), {"qqqq": 1})


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "magic"}, "'magic' is not a choice for method: choose one of ilp, lap, greedy."),
        ({"max_gap": -1}, "'max_gap' is -1 frames: give a whole number from 0 to 100."),
        ({"max_gap": 1.5}, "'max_gap' is 1.5: give a whole number."),
        ({"max_gap": True}, "'max_gap' is True: give a whole number."),
        ({"foi": None}, "'foi' is None: give a whole number."),
        ({"time_limit": float("nan")}, "'time_limit' is nan seconds: give a number from 0 on."),
        ({"allow_drop": "no"}, "'allow_drop' is 'no': give true or false."),
        ({"voxel": "wide"}, "--voxel wide: give two numbers (Y X) or three (Z Y X)"),
        ({"masks_as_given": True, "hypotheses": True}, "leave out --masks-as-given"),
    ],
)
def test_a_value_that_is_not_allowed_is_refused(options: dict[str, object], said: str) -> None:
    with pytest.raises(InputError) as refused:
        changed(TrackSettings(), options)
    assert said in str(refused.value)


def test_every_wrong_value_is_named_at_once() -> None:
    with pytest.raises(InputError) as refused:
        TrackSettings(method="magic", foi=-1, jobs=0)
    assert len(refused.value.problems) == 3


def test_settings_are_read_as_they_were_written() -> None:
    settings = TrackSettings(
        method="greedy", max_gap=2, voxel=(2.0, 0.5, 0.5), frames=range(3, 8), appear=np.float64(2.5), allow_drop=True
    )
    config = json.loads(json.dumps(to_config(settings)))
    assert config["frames"] == "3:7"
    assert "jobs" not in config
    again = settings_of_run({"config": {**config, "images": True, "pins": []}})
    assert replace(again, voxel=tuple(again.voxel or ())) == settings
    assert settings_of_run({"config": {}}) == TrackSettings()


def test_what_help_shows_as_a_default_is_the_default() -> None:
    options = options_of(TrackSettings)
    for name in ("appear", "border", "late"):
        assert options[name].shown == f"{getattr(Constants, name):g}"


def test_python_prints_the_sentence_of_every_option() -> None:
    for name, about in options_of(TrackSettings).items():
        assert f"    {name} : " in (TrackSettings.__doc__ or "")
        assert about.sentence in (TrackSettings.__doc__ or "")


def test_values_become_words_and_lines() -> None:
    values = {"max_gap": 0, "allow_drop": True, "repair": False, "late": None, "costs": 'a "b".json'}
    assert to_words(values) == ["--max-gap", "0", "--allow-drop", "--costs", 'a "b".json']
    assert to_toml({"max_gap": 0, "allow_drop": True, "late": None}) == "max-gap = 0\nallow-drop = true\n"
