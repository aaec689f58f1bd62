"""No option of any command takes a number that nobody can mean, and no file does."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

import celltrail
import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_labels
from celltrail.data.formats.convert import convert_movie
from celltrail.data.running import console
from celltrail.data.settings import number_problem
from celltrail.tracking.costs.learned import load_costs

EVIL = ("nan", "inf", "-inf", "1e300", "-1e300", "1e-320", "1e-30", "9" * 400, "9" * 5000)
TEXTS = {"--voxel": "{0} {0}", "--size": "{0} {0}", "--frames": "{0}:{0}"}  # numbers in texts


def commands(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every command of the program with the words that call it."""
    if hasattr(command, "commands"):
        for name, inner in command.commands.items():
            yield from commands(inner, (*path, name))
    else:
        yield path, command


def numeric_options(app: Any) -> Iterator[tuple[tuple[str, ...], Any, Any]]:
    for path, command in commands(app):
        for parameter in command.params:
            kind = parameter.type.name
            if "integer" in kind or "float" in kind or set(parameter.opts) & set(TEXTS):
                yield path, command, parameter


def words_for(command: Any, tried: Any, value: str) -> list[str]:
    """A command line in which everything that must be given is there, and ``tried`` has the value."""
    words: list[str] = []
    for parameter in command.params:
        text = value if parameter is tried else "x"
        if parameter.param_type_name == "argument":
            words += [text if parameter is tried else "1" if "integer" in parameter.type.name else "x"]
        elif parameter is tried:
            if "integer" not in parameter.type.name and "float" not in parameter.type.name:
                text = TEXTS[next(iter(set(parameter.opts) & set(TEXTS)))].format(value)
            words += [f"{parameter.opts[-1]}={text}"]
        elif parameter.required:
            words += [f"{parameter.opts[-1]}=x"]
    return words


def test_every_numeric_option_of_every_command_refuses_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    app = typer.main.get_command(celltrail.cli.app)  # built once: that takes longer than to run it
    tried, wrong = 0, []
    for path, command, parameter in numeric_options(app):
        for value in EVIL:
            words = words_for(command, parameter, value)
            if "=" not in " ".join(words) and value.startswith("-"):
                continue  # an argument cannot begin so
            status = console.run(app, [*path, *words])
            said = capsys.readouterr().err
            tried += 1
            name = (
                parameter.opts[-1].strip("-")
                if parameter.param_type_name == "option"
                else parameter.human_readable_name
            )
            if status != 2 or name not in said.replace("\n", " ") or "Traceback" in said:
                wrong.append((*path, *words, status, said[:200]))
    assert wrong == []
    assert tried > 500
    assert list(tmp_path.iterdir()) == []


def test_a_file_of_options_is_judged_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "c.toml"
    for text in (
        "appear = nan",
        "appear = inf",
        "time-limit = 1e300",
        "gap-cost = 1e-320",
        "voxel = [nan, 1]",
        "foi = 1e9",
    ):
        config.write_text(text + "\n")
        words = ["track", str(tmp_path), "--out", str(tmp_path / "o"), "--config", str(config)]
        assert console.run(celltrail.cli.app, words) == 2
        said = capsys.readouterr().err
        assert said.startswith(str(config)), said
        assert len(said.splitlines()) == 1


def test_python_refuses_them_too(tmp_path: Path) -> None:
    for value in (math.nan, math.inf, 1e300, 1e-320):
        for name in ("appear", "border", "gap_cost", "late", "time_limit"):
            with pytest.raises(InputError, match=name):
                celltrail.track({}, **{name: value})
        with pytest.raises(InputError, match="voxel"):
            celltrail.track({}, voxel=(value, 1.0))


def test_usual_numbers_are_no_problem() -> None:
    for value in (0, 0.0, -1, 1e-12, 1e12, np.float32(0.1), 2**63 - 1, True, "nan", None):
        assert number_problem(value) is None
    for value in (math.nan, -math.inf, 1e13, 1e-13, -1e-320, 2**63, 10**400):
        assert number_problem(value) is not None


@pytest.mark.parametrize("value", ["nan", "inf", "1e300", "-1e300", "1e400"])
def test_tables_of_points(value: str, tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_text(f"track_id,t,y,x\n1,0,5,{value}\n1,1,6,6\n")
    with pytest.raises(InputError, match="line 2"):
        convert_movie(tmp_path / "p.csv", tmp_path / "o.geff")


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e300", "1e999", "[]", '"1"'])
def test_cost_files(value: str, tmp_path: Path, root: Path) -> None:
    good = json.loads((root / "tracking" / "costs" / "learned.json").read_text())
    good["links"]["intercept"] = "VALUE"
    (tmp_path / "costs.json").write_text(json.dumps(good).replace('"VALUE"', value))
    with pytest.raises(InputError, match=r"costs\.json"):
        load_costs(tmp_path / "costs.json")


@pytest.mark.parametrize("text", ["1 0 0 9" + "9" * 30, "9" * 5000 + " 0 0 0", "1 0 1e300 0", "nan 0 0 0"])
def test_track_files(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labels(tmp_path / "mask000.tif", np.eye(4, dtype=np.uint16))
    (tmp_path / "res_track.txt").write_text(text + "\n")
    assert console.run(celltrail.cli.app, ["convert", str(tmp_path), str(tmp_path / "o.csv")]) == 2
    said = capsys.readouterr().err
    assert "res_track.txt" in said
    assert "Traceback" not in said


@pytest.mark.parametrize("number", ["9" * 30, "-1", "1e300", "9" * 5000, "nan"])
def test_pins(number: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_labels(tmp_path / "mask000.tif", np.eye(4, dtype=np.uint16))
    pins = tmp_path / "pins.csv"
    pins.write_text(f"kind,action,frame,label,frame2,label2,frame3,label3\ndetection,keep,{number},1,,,,\n")
    words = ["track", str(tmp_path), "--out", str(tmp_path / "o"), "--pins", str(pins)]
    assert console.run(celltrail.cli.app, words) == 2
    assert "Traceback" not in capsys.readouterr().err
    assert not (tmp_path / "o").exists()
