"""The page Run: what it starts is the command that it shows; what jobs made is found again."""

from __future__ import annotations

import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard.opening import registry
from celltrail.dashboard.working import jobs, outcomes, plans, trial
from celltrail.data import InputError

OpenPage = Callable[..., AppTest]
Started = list[tuple[list[list[str]], Path | None]]


@pytest.fixture(autouse=True)
def own_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Started:
    """What was started, instead of starting it."""
    found: Started = []
    monkeypatch.setattr(jobs, "start_job", lambda title, commands, result: found.append((commands, result)))
    return found


@pytest.fixture
def two_results(copy_of: Path) -> Path:
    """A second result, in which one daughter has lost her mother."""
    worse = Path(shutil.copytree(copy_of / "01_RES", copy_of / "worse" / "01_RES"))
    rows = [line.split() for line in (worse / "res_track.txt").read_text().splitlines()]
    next(row for row in rows if row[3] != "0")[3] = "0"
    (worse / "res_track.txt").write_text("".join(" ".join(row) + "\n" for row in rows))
    return copy_of


def button_of(test: AppTest, label: str) -> Any:
    return next(button for button in test.button if button.label == label)


def test_the_equal_command_is_shown_and_started(open_page: OpenPage, copy_of: Path, started: Started) -> None:
    test = open_page(copy_of, "run")
    test.selectbox(key="run_method").select("greedy").run()
    test.text_input(key="run_name_run").input("mine").run()
    assert not test.exception
    lines = test.code[0].value.splitlines()
    assert lines == [
        f"celltrail track {copy_of}/01_RES --out {copy_of}/mine/01_RES --images {copy_of}/01 --method greedy --fill auto",
        f"celltrail evaluate {copy_of}/01_GT {copy_of}/mine/01_RES",
    ]
    button_of(test, "Run").click().run()
    commands, result = started[0]
    assert [" ".join(["celltrail", *command]) for command in commands] == lines
    assert result == copy_of / "mine" / "01_RES"
    assert test.text_input(key="run_name_run").value == "run1"  # the next one gets a fresh name


def test_settings_become_options(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "run")
    assert "--max-gap" not in test.code[0].value
    test.toggle(key="run_auto_gap").set_value(False).run()
    test.slider(key="run_gap").set_value(3).run()
    test.slider(key="run_foi").set_value(25).run()
    test.toggle(key="run_drop").set_value(True).run()
    test.selectbox(key="run_costs").select("calibrated").run()
    test.toggle(key="run_evaluate").set_value(False).run()
    assert test.code[0].value.endswith("--method ilp --fill auto --costs calibrated --max-gap 3 --allow-drop --foi 25")


def test_images_are_segmented_with_a_shipped_model(open_page: OpenPage, copy_of: Path) -> None:
    for folder in ("01_RES", "01_GT"):
        shutil.rmtree(copy_of / folder)
    test = open_page(copy_of, "run")
    test.selectbox(key="run_model").select("sim-fluo").run()
    test.toggle(key="run_tta").set_value(True).run()
    assert not test.exception
    first, second = test.code[0].value.splitlines()
    masks = f"{copy_of}/run1/01_MASKS"
    assert first == f"celltrail segment {copy_of}/01 --model sim-fluo --out {masks} --tta"
    assert second.startswith(f"celltrail track {masks} --out {copy_of}/run1/01_RES")


def test_scale_tables_and_film_become_commands(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "run")
    test.number_input(key="run_pixel").set_value(0.65).run()
    test.number_input(key="run_interval").set_value(300.0).run()
    test.toggle(key="run_products").set_value(True).run()
    assert not test.exception
    track, _, measure, film = test.code[0].value.splitlines()
    out = f"{copy_of}/run1"
    assert "--voxel '0.65 0.65'" in track
    assert measure == (
        f"celltrail measure {out}/01_RES --out {out}/cells.csv --images {copy_of}/01 --voxel '0.65 0.65' --interval 300"
    )
    assert film == f"celltrail render {out}/01_RES --images {copy_of}/01 --out {out}/film.mp4"


@pytest.mark.slow
def test_what_a_run_makes_can_be_made_and_is_shown(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "run")
    movie = registry.open_dataset(copy_of).movies[0]
    plan = plans.plan_tracks(
        movie, "all", masks=copy_of / "01_GT" / "SEG", voxel=(0.5, 0.5), interval=60.0, products=True
    )
    for command in plan.commands:
        subprocess.run([sys.executable, "-m", "celltrail", *command], check=True)
    cells = pd.read_csv(copy_of / "all" / "cells.csv")
    assert len(cells) > 50
    assert (copy_of / "all" / "film.mp4").stat().st_size > 1000
    key = jobs.start_job("made", [["--version"]], plan.result)
    while jobs.list_jobs()[0].state == "running":
        time.sleep(0.2)
    test.run()
    assert not test.exception
    assert button_of(test, "Show this result").key == f"show_{key}"


@pytest.mark.slow
def test_a_frame_is_tried_before_the_movie_is_segmented(open_page: OpenPage, copy_of: Path) -> None:
    for folder in ("01_RES", "01_GT"):
        shutil.rmtree(copy_of / folder)
    test = open_page(copy_of, "run", t="3")
    test.selectbox(key="run_model").select("sim-fluo").run()
    button_of(test, "Try on frame 3").click().run()
    assert not test.exception
    found = trial.try_model(registry.open_dataset(copy_of).movies[0], "sim-fluo", 3)
    assert found.diameter is not None
    assert 6 <= found.cells <= 14  # ten were simulated
    assert found.picture.shape[:2] == (160, 200)
    test.number_input(key="run_diameter").set_value(20.0).run()
    assert "--diameter 20" in test.code[0].value


def test_a_model_is_trained_from_the_frames_that_have_masks(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of, "run")
    test.session_state.run_kind = "Train a model"
    test.run()
    assert not test.exception
    assert test.code[0].value == (
        f"celltrail train {copy_of}/01={copy_of}/01_GT/SEG --minutes 5 --out {copy_of}/model1/model.safetensors"
    )


def test_a_model_beside_the_data_is_offered(open_page: OpenPage, copy_of: Path, root: Path) -> None:
    shutil.rmtree(copy_of / "01_RES")
    shutil.rmtree(copy_of / "01_GT")
    (copy_of / "mine").mkdir()
    shutil.copy(root / "segmentation" / "models" / "sim-fluo.safetensors", copy_of / "mine" / "own.safetensors")
    test = open_page(copy_of, "run")
    test.selectbox(key="run_model").select("mine/own.safetensors").run()
    assert f"--model {copy_of}/mine/own.safetensors" in test.code[0].value


@pytest.mark.parametrize("name", ["../up", "/etc", "a b", "", "-x", "a;b", "."])
def test_names_that_are_no_names_are_refused(open_page: OpenPage, dataset: Path, name: str) -> None:
    test = open_page(dataset, "run")
    test.text_input(key="run_name_run").input(name).run()
    assert not test.exception
    assert "Use letters" in test.warning[0].value
    assert "Run" not in [button.label for button in test.button]


def test_a_name_that_is_taken_is_refused(open_page: OpenPage, two_results: Path) -> None:
    test = open_page(two_results, "run")
    test.text_input(key="run_name_run").input("worse").run()
    assert "There is a result named worse already" in test.warning[0].value
    assert button_of(test, "Run").disabled


def test_results_are_compared(open_page: OpenPage, two_results: Path, started: Started) -> None:
    test = open_page(two_results, "run")
    test.session_state.run_kind = "Compare results"
    test.run()
    assert test.multiselect(key="run_variants").value == ["first", "worse"]
    test.selectbox(key="run_baseline").select("worse").run()
    button_of(test, "Run").click().run()
    assert not test.exception
    assert started == [
        (
            [
                [
                    "compare",
                    str(two_results),
                    f"first={two_results}",
                    f"worse={two_results}/worse",
                    "--baseline",
                    "worse",
                    "--out",
                    f"{two_results}/comparison1",
                ]
            ],
            two_results / "comparison1",
        )
    ]


@pytest.mark.parametrize(
    ("what", "ending"),
    [
        ("Tracking", ["tracking.toml"]),
        ("Segmentation", ["model.safetensors", "--steps", "200"]),
    ],
)
def test_settings_are_searched(
    open_page: OpenPage, copy_of: Path, started: Started, what: str, ending: list[str]
) -> None:
    test = open_page(copy_of, "run")
    test.session_state.run_kind = "Search settings"
    test.session_state.run_search = what
    test.run()
    test.slider(key="run_trials").set_value(7).run()
    button_of(test, "Run").click().run()
    assert not test.exception
    folder = copy_of / "search1"
    assert started == [
        (
            [
                [
                    "tune",
                    what.lower(),
                    str(copy_of),
                    "--sequence",
                    "01",
                    "--trials",
                    "7",
                    "--study",
                    f"{folder}/study.sqlite",
                    "--out",
                    f"{folder}/{ending[0]}",
                    *ending[1:],
                ]
            ],
            folder / "study.sqlite",
        )
    ]


def test_what_is_started_are_commands_that_exist(dataset: Path) -> None:
    import typer.main

    import celltrail.cli

    commands = typer.main.get_command(celltrail.cli.app)
    opened = registry.open_dataset(dataset)
    movie, both = opened.movies[0], {"a": dataset, "b": dataset}
    made = [
        plans.plan_tracks(
            movie, "n", masks=None, model="sim-fluo", segment=["--tta"], track=["--foi", "3"], evaluate=True
        ),
        plans.plan_comparison(opened, "n", both, "a"),
        plans.plan_search(opened, "n", ["01"], trials=3, steps=20),
        plans.plan_search(opened, "n", ["01"], trials=3, steps=None),
    ]
    for command in [command for plan in made for command in plan.commands]:
        known, words = commands, list(command)
        while hasattr(known, "commands"):
            known = known.commands[words.pop(0)]
        known.make_context(command[0], words)  # raises for an option that it does not know


@pytest.mark.parametrize(
    ("kind", "title"), [("Compare results", "Nothing to compare yet"), ("Search settings", "Nothing to learn from")]
)
def test_what_cannot_be_run_says_why(open_page: OpenPage, copy_of: Path, kind: str, title: str) -> None:
    for folder in ("01_RES", "01_GT"):
        shutil.rmtree(copy_of / folder)
    test = open_page(copy_of, "run")
    test.session_state.run_kind = kind
    test.run()
    assert title in [part.value for part in test.subheader]


def test_a_comparison_runs_as_a_job_and_its_table_appears(open_page: OpenPage, two_results: Path) -> None:
    dataset = registry.open_dataset(two_results)
    plan = plans.plan_comparison(dataset, "comparison1", plans.variants_of(dataset), "first")
    key = jobs.start_job(plan.title, [[*plan.commands[0], "--draws", "100"]], plan.result)
    while jobs.read_job(key).state == "running":
        time.sleep(0.05)
    assert jobs.read_job(key).state == "done", jobs.read_job(key).log
    test = open_page(two_results, "run")
    assert not test.exception
    table = test.dataframe[0].value
    assert {"measure", "first", "worse", "meaning"} == set(table.columns)
    compared = outcomes.read_comparison(plan.result)
    values = outcomes.comparison_table(compared, compared.places[0]).set_index(["measure", "variant"])
    assert values.loc[("TRA", "worse"), "difference"] == pytest.approx(
        values.loc[("TRA", "worse"), "value"] - values.loc[("TRA", "first"), "value"]
    )
    assert values.loc[("TRA", "worse"), "value"] < values.loc[("TRA", "first"), "value"]
    with (plan.result / "results.csv").open() as stream:
        stored = {(row["measure"], row["variant"]): row for row in csv.DictReader(stream)}
    assert values.loc[("TRA", "worse"), "low"] == pytest.approx(float(stored["TRA", "worse"]["low"]))
    assert outcomes.list_comparisons(two_results) == [plan.result]
    page = open_page(two_results, "compare")
    page.session_state.compare_tabs = "With intervals"
    page.run()
    assert not page.exception
    assert page.selectbox(key="compare_stored").options == ["comparison1"]
    assert page.dataframe[0].value["measure"].tolist() == table["measure"].tolist()


@pytest.mark.slow
def test_a_search_for_the_tracker_runs_as_a_job(open_page: OpenPage, copy_of: Path) -> None:
    plan = plans.plan_search(registry.open_dataset(copy_of), "search1", ["01"], trials=2, steps=None)
    key = jobs.start_job(plan.title, plan.commands, plan.result)
    while jobs.read_job(key).state == "running":
        time.sleep(0.05)
    assert jobs.read_job(key).state == "done", jobs.read_job(key).log
    table = outcomes.read_study(plan.result)
    assert table["state"].tolist() == ["complete", "complete"]
    test = open_page(copy_of, "run")
    assert not test.exception
    best = table.loc[table["value"].idxmax()]
    assert any(part.value.startswith(f"Best so far: **{best['value']:.3f}**") for part in test.markdown)
    assert (copy_of / "search1" / "tracking.toml").read_text().strip() in [code.value.strip() for code in test.code]


def write_study(path: Path) -> None:
    """A search of three trials, of which the second is the best and the last has not ended."""
    optuna = pytest.importorskip("optuna")
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(study_name="segmentation", storage=f"sqlite:///{path}", direction="maximize")
    for value in (0.5, 0.8):
        trial = study.ask()
        trial.suggest_float("rate", 0.0, 1.0)
        study.tell(trial, value)
    study.ask()
    study._storage.remove_session()
    path.with_name("tracking.toml").write_text('costs = "learned"\n')


def test_a_study_is_a_table(open_page: OpenPage, copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (copy_of / "search1").mkdir()
    study = copy_of / "search1" / "study.sqlite"
    write_study(study)
    table = outcomes.read_study(study)
    assert table["value"].tolist()[:2] == [0.5, 0.8]
    assert table["state"].tolist() == ["complete", "complete", "running"]
    job = jobs.Job("20260101-000000-00000000", "search", [["tune"]], 0.0, "running", "tune", 0.66, "", study)
    monkeypatch.setattr(jobs, "list_jobs", lambda: [job])
    test = open_page(copy_of, "run")
    assert not test.exception
    assert "Best so far: **0.800** in trial **1** of 3" in [part.value for part in test.markdown]
    assert test.dataframe[0].value["trial"].tolist()[0] == 1
    assert 'costs = "learned"' in [code.value for code in test.code]


def test_a_damaged_result_becomes_one_card(open_page: OpenPage, copy_of: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    study, comparison = copy_of / "study.sqlite", copy_of / "comparison1"
    study.write_bytes(b"not a database, but long enough to be looked at")
    comparison.mkdir()
    (comparison / "results.json").write_text('{"schema": "other"}')
    with pytest.raises(InputError, match="holds no search"):
        outcomes.read_study(study)
    with pytest.raises(InputError, match="no comparison of this version"):
        outcomes.read_comparison(comparison)
    found = [
        jobs.Job(f"{n}", "t", [["x"]], 0.0, "done", "", 1.0, "", path) for n, path in enumerate((study, comparison))
    ]
    monkeypatch.setattr(jobs, "list_jobs", lambda: found)
    test = open_page(copy_of, "run")
    assert not test.exception
    texts = " ".join(part.value for part in test.text)
    assert "holds no search" in texts
    assert "no comparison of this version" in texts


def test_with_one_result_open_others_are_made_beside_it(open_page: OpenPage, copy_of: Path) -> None:
    test = open_page(copy_of / "01_RES", "run")
    assert not test.exception
    assert f"--out {copy_of}/run1/01_RES " in test.code[0].value


def test_names_are_free(tmp_path: Path) -> None:
    (tmp_path / "run1").mkdir()
    assert plans.free_name(tmp_path, "run") == "run2"
