"""What the commands share: options from a file, exit codes, numbers, JSON."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import numpy as np
import pytest
import typer

from celltrail.data.errors import InputError, MissingExtra, import_extra
from celltrail.data.running import console
from celltrail.data.running.json_text import to_json
from celltrail.data.settings import parse_numbers


def run(*arguments: str, raises: BaseException | None = None) -> int:
    """A command with a few options, which prints what it got."""
    app = typer.Typer()

    @app.callback()
    def group() -> None:
        """Make the command a subcommand, as in the real thing."""

    @app.command(cls=console.Command)
    def go(
        folder: str,
        max_gap: Annotated[int, typer.Option("--max-gap")] = 1,
        size: Annotated[str, typer.Option("--size")] = "",
        overwrite: console.OverwriteOption = False,
    ) -> None:
        if raises is not None:
            raise raises
        typer.echo(f"{folder}|{max_gap}|{size}|{overwrite}")

    return console.run(app, ["go", *arguments])


def test_options_come_from_a_file_and_the_command_line_wins(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    config = tmp_path / "run.toml"
    config.write_text("max-gap = 3\noverwrite = true\nsize = [16, 64, 64]\n")
    assert run("here", "--config", str(config)) == 0
    assert run("here", "--config", str(config), "--max-gap", "5") == 0
    assert capsys.readouterr().out.split() == ["here|3|16", "64", "64|True", "here|5|16", "64", "64|True"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("max_gpa = 3", "'max_gpa' is not an option of 'go': did you mean 'max_gap'?"),
        ("qqqqqq = 3", "'celltrail go --help' lists the options"),
        ("max_gap = ", "is not a TOML file"),
    ],
)
def test_a_file_with_a_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, message: str) -> None:
    (tmp_path / "run.toml").write_text(text)
    assert run("here", "--config", str(tmp_path / "run.toml")) == 2
    assert message in capsys.readouterr().err


def test_a_file_that_is_not_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("here", "--config", "nowhere.toml") == 2
    assert "nowhere.toml does not exist" in capsys.readouterr().err


def interrupted(error: Exception) -> Exception:
    """As compiled code tells of Ctrl-C."""
    error.__cause__ = KeyboardInterrupt()
    return error


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (InputError("first thing.", "second thing."), 2, "first thing.\nsecond thing.\n"),
        (MissingExtra("run pip."), 2, "run pip.\n"),
        (KeyboardInterrupt(), 130, "Stopped.\n"),
        (interrupted(SystemError("compiled code returned with an exception set")), 130, "Stopped.\n"),
        (SystemError("no luck"), 1, "The work failed: SystemError: no luck\n"),
        (EOFError("no data left"), 1, "The work failed: RuntimeError: a file ends too early (no data left)\n"),
        (ValueError("no luck"), 1, "The work failed: ValueError: no luck\n"),
        (BrokenPipeError(), 0, ""),
        (MemoryError(), 1, "There is not enough memory: "),
        (PermissionError(13, "no", "a.tif"), 2, "a.tif may not be read or written: "),
        (OSError(28, "full", "a.tif"), 1, "The disk is full or a file may not grow further (a.tif): "),
        (typer.Exit(2), 2, ""),
    ],
)
def test_exit_codes(capsys: pytest.CaptureFixture[str], error: BaseException, code: int, message: str) -> None:
    assert run("here", raises=error) == code
    captured = capsys.readouterr()
    assert captured.err.startswith(message)
    assert "Traceback" not in captured.err
    assert captured.out == ""


def test_debug_shows_where() -> None:
    with pytest.raises(ValueError, match="no luck"):
        run("here", "--debug", raises=ValueError("no luck"))


def test_wrong_options_exit_with_2(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("here", "--max-gap", "many") == 2
    assert run("here", "--nonsense") == 2
    assert run() == 2
    assert "Traceback" not in capsys.readouterr().err


@pytest.mark.parametrize(
    "words",
    [("--size", "16", "64", "64", "here"), ("here", "--size", "16", "64", "64"), ("here", "--size", "16 64 64")],
)
def test_several_numbers_follow_one_option(capsys: pytest.CaptureFixture[str], words: tuple[str, ...]) -> None:
    assert run(*words) == 0
    assert capsys.readouterr().out == "here|1|16 64 64|False\n"


def test_numbers() -> None:
    assert parse_numbers("512x512", "--size") == (512.0, 512.0)
    assert parse_numbers("2, .5 0.5", "--voxel") == (2.0, 0.5, 0.5)
    for text in ("", "5", "1 2 3 4", "a b", "0 5", "-1 5", "nan 1", "inf 1"):
        with pytest.raises(InputError, match="give two numbers"):
            parse_numbers(text, "--size")


def test_json_holds_plain_values() -> None:
    value = {"a": np.float64(1.5), "b": np.array([1, 2]), "c": float("nan"), "d": Path("x"), 3: (np.int64(4), None)}
    assert json.loads(to_json(value)) == {"a": 1.5, "b": [1, 2], "c": None, "d": "x", "3": [4, None]}


def test_a_missing_package_names_the_extra() -> None:
    with pytest.raises(MissingExtra, match=r"pip install 'celltrail\[interop\]'"):
        import_extra("no_such_package.part", "interop")
    assert import_extra("json", "interop") is json


def test_a_folder_named_like_a_number_is_no_third_number(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "01").mkdir()  # the CTC names its sequences so
    assert run("--size", "64", "64", "01") == 0
    assert capsys.readouterr().out == "01|1|64 64|False\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("max-gap = 2.5", "'max-gap': '2.5' is not a valid integer"),
        ("max_gap = true", "'max-gap': 'True' is not a valid integer"),
        ("max-gap = -1", "'max-gap': -1 is not in the range"),
        ('fill = "sometimes"', "'fill': 'sometimes' is not one of"),
        ('overwrite = "perhaps"', "'overwrite': 'perhaps' is not a valid boolean"),
        ('voxel = "one"', "--voxel one"),
        ('frames = "8:2"', "--frames 8:2"),
        ('costs = "cheap"', "'cheap' is not a choice"),
    ],
)
def test_a_wrong_value_names_the_file_it_stands_in(tmp_path: Path, capsys, text: str, said: str) -> None:
    import numpy as np
    import tifffile

    import celltrail.cli

    (tmp_path / "masks").mkdir()
    for t in range(2):
        tifffile.imwrite(tmp_path / "masks" / f"mask{t}.tif", np.pad(np.ones((4, 4), np.uint8), 4))
    config = tmp_path / "settings.toml"
    config.write_text(text + "\n")
    command = ["track", str(tmp_path / "masks"), "--out", str(tmp_path / "RES")]
    assert console.run(celltrail.cli.app, [*command, "--config", str(config)]) == 2
    message = capsys.readouterr().err
    assert message.startswith(f"{config}: ")
    assert said in message
    assert console.run(celltrail.cli.app, [*command, "--frames", "9:"]) == 2
    assert str(config) not in capsys.readouterr().err
    assert not (tmp_path / "RES").exists()


def test_an_option_that_may_be_repeated_takes_a_list_from_the_file(tmp_path: Path, capsys) -> None:
    app = typer.Typer()

    @app.command(cls=console.Command)
    def show(name: Annotated[list[str] | None, typer.Option("--name")] = None) -> None:
        typer.echo("+".join(name or []))

    config = tmp_path / "settings.toml"
    for text, said in (('name = ["01", "02"]', "01+02"), ('name = "01"', "01")):
        config.write_text(text + "\n")
        assert console.run(app, ["--config", str(config)]) == 0
        assert capsys.readouterr().out.strip() == said


def test_names_are_written_out_where_a_result_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    console.say("two\nlines of \x1b[31mname\udcff")
    assert capsys.readouterr().out == "two\nlines of \\x1b[31mname\\udcff\n"
