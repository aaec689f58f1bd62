"""What the commands of all packages share: options, progress bars, errors and exit codes.

Exit codes: 0 done, 1 the work failed, 2 the input is wrong, 130 stopped by the user.
"""

from __future__ import annotations

import errno
import io
import json
import logging
import os
import re
import shlex
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Annotated, Any

import click
import typer
from typer.core import TyperCommand

from celltrail.data.errors import InputError, MissingExtra, Replaced, WorkFailed, raise_if
from celltrail.data.held import read_whole
from celltrail.data.progress import Progress, listening, silent
from celltrail.data.regular import read_toml, special_problem
from celltrail.data.running import log_file
from celltrail.data.running.json_text import to_json
from celltrail.data.running.plain_text import visible
from celltrail.data.settings import did_you_mean, number_problem, parse_numbers
from celltrail.data.settings_cli import as_typer
from celltrail.data.shared_options import AXES, CHANNEL, DASK, FRAMES, JOBS, SEED, SERIES, SPLIT_BINARY
from celltrail.data.words import counted
from celltrail.data.writing.output import is_stream, refuse_existing
from celltrail.data.writing.ownership import owned

PROGRESS_FILE = "CELLTRAIL_PROGRESS"
CONFIG_FILE = "celltrail.config"  # where a command's context keeps the path of its configuration file

FramesOption = Annotated[str | None, as_typer("frames", FRAMES)]
ChannelOption = Annotated[int | None, as_typer("channel", CHANNEL)]
AxesOption = Annotated[str | None, as_typer("axes", AXES)]
SeriesOption = Annotated[int | None, as_typer("series", SERIES)]
SplitOption = Annotated[bool, as_typer("split_binary", SPLIT_BINARY)]
VoxelOption = Annotated[
    str | None, typer.Option("--voxel", metavar="[Z] Y X", help="Size of a pixel in µm.", show_default=False)
]
IntervalOption = Annotated[
    float | None, typer.Option("--interval", min=0.0, help="Seconds between frames.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print the result as JSON, for machines.")]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace an existing result.")]
SeedOption = Annotated[int, as_typer("seed", SEED)]
JobsOption = Annotated[int, as_typer("jobs", JOBS)]
DaskOption = Annotated[str | None, as_typer("dask", DASK)]


WRITTEN = {"--out", "--json", "--errors", "--report", "--write"}  # options that name what a command makes
SEVERAL_NUMBERS = ("--size", "--voxel")  # options that take two or three numbers


class Command(TyperCommand):
    """A command whose options may also stand in a TOML file (``--config FILE.toml``).

    Options of `SEVERAL_NUMBERS` take their two or three numbers as separate words
    (``--size 512 512``) or as one ("512,512"); the command gets one text, see `parse_numbers`.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.params.append(
            click.Option(
                ["--config"],
                type=click.Path(path_type=Path),
                is_eager=True,
                expose_value=False,
                metavar="FILE.toml",
                help="Read options from this file; options on the command line win.",
                callback=_load_config,
            )
        )
        self.params.append(
            click.Option(
                ["-v", "--verbose"],
                is_flag=True,
                is_eager=True,
                expose_value=False,
                callback=_be_verbose,
                help="Tell on stderr what is done, line by line.",
            )
        )

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Join the numbers after an option of `SEVERAL_NUMBERS` into one word."""
        try:
            rest = super().parse_args(ctx, _join_numbers(args))
            raise_if([*_number_problems(ctx, self.params), *_path_problems(ctx, self.params)])
            return rest
        except ValueError as error:  # of the operating system, which is asked about paths here
            if isinstance(error, InputError) or "null" not in str(error):
                raise
            raise InputError(
                "A path on the command line or in the configuration holds a null byte, which no name may: give another name."
            ) from None
        except click.BadParameter as error:
            source = ctx.meta.get(CONFIG_FILE)
            if source is None or error.param is None or not _is_from_file(ctx, error.param):
                raise
            raise InputError(f"{source}: '{_flag(error.param)}': {error.message.rstrip('.')}.") from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, which owns what it makes; a problem with a value of the configuration file names the file.

        Where another run replaces what it reads, it begins again.
        """
        begin, read = super().invoke, list(_read_from(ctx, self.params))
        learns_from = list(_read_from(ctx, [one for one in self.params if one.param_type_name == "argument"]))
        for out in _made(ctx, self.params):
            refuse_existing(out, overwrite=True, inputs=learns_from)
        try:
            with ExitStack() as stack:
                for out in sorted(_made(ctx, self.params)):  # in one order, so that two commands never wait crosswise
                    stack.enter_context(owned(out))
                return read_whole(lambda: begin(ctx), read, lambda note: tell([note]))
        except EOFError as error:  # which click takes for the end of the keyboard
            raise RuntimeError(f"a file ends too early ({error})") from error
        except SystemError as error:  # compiled code that was interrupted
            if isinstance(error.__cause__ or error.__context__, KeyboardInterrupt):
                raise KeyboardInterrupt from error
            raise
        except InputError as error:
            source = ctx.meta.get(CONFIG_FILE)
            if source is None:
                raise
            given = [parameter for parameter in self.params if _is_from_file(ctx, parameter)]
            words = [f"--{_flag(parameter)}" for parameter in given]
            words += [f"'{ctx.params[parameter.name]}'" for parameter in given if parameter.name in ctx.params]
            raise InputError(
                *(f"{source}: {text}" if any(word in text for word in words) else text for text in error.problems)
            ) from None


def _number_problems(context: click.Context, parameters: Iterable[click.Parameter]) -> Iterator[str]:
    """What is wrong with the numbers of a command line, see `celltrail.data.settings.number_problem`."""
    for parameter in parameters:
        value = context.params.get(parameter.name or "")
        if parameter.type.name == "text" and isinstance(value, str) and value:
            yield from _text_problems(context, parameter, value)
        for number in value if isinstance(value, list | tuple) else (value,):
            if problem := number_problem(number):
                where = f"{context.meta.get(CONFIG_FILE)}: " if _is_from_file(context, parameter) else ""
                name = parameter.opts[-1] if parameter.param_type_name == "option" else parameter.human_readable_name
                yield f"{where}{name} {number}: {problem}."


def _made(context: click.Context, parameters: Iterable[click.Parameter]) -> set[Path]:
    """The files and folders that a command makes; streams belong to nobody."""
    found = set()
    for parameter in parameters:
        value = context.params.get(parameter.name or "")
        if value and (set(parameter.opts) & {"--out", "out", "target"}) and not is_stream(Path(value)):
            found.add(Path(value))
    return found


def _read_from(context: click.Context, parameters: Iterable[click.Parameter]) -> Iterator[Path]:
    """The files and folders that a command reads."""
    for parameter in parameters:
        value = context.params.get(parameter.name or "")
        if parameter.type.name == "path" and not set(parameter.opts) & {*WRITTEN, "out", "target"}:
            yield from (Path(one) for one in (value if isinstance(value, list | tuple) else (value,)) if one)


def _text_problems(context: click.Context, parameter: click.Parameter, text: str) -> Iterator[str]:
    """What is wrong with numbers that stand in a text: ``--voxel '1 0.4 0.4'``, ``--frames 0:9``."""
    try:
        if parameter.opts[-1] in SEVERAL_NUMBERS:
            parse_numbers(text, parameter.opts[-1])
        elif parameter.opts[-1] == "--frames" and FRAMES.parse is not None:
            FRAMES.parse(text)
    except InputError as error:
        where = f"{context.meta.get(CONFIG_FILE)}: " if _is_from_file(context, parameter) else ""
        yield from (f"{where}{problem}" for problem in error.problems)


def _path_problems(context: click.Context, parameters: Iterable[click.Parameter]) -> Iterator[str]:
    """What is wrong with the paths of a command line: a pipe or a device is written to at most, never waited for."""
    for parameter in parameters:
        written = set(parameter.opts) & WRITTEN
        value = context.params.get(parameter.name or "")
        for path in value if isinstance(value, list | tuple) else (value,):
            if parameter.type.name != "path" or not path or (written and "\0" not in str(path)):
                continue
            if problem := special_problem(Path(path)):
                yield problem


def _is_from_file(context: click.Context, parameter: click.Parameter) -> bool:
    """Whether the value of an option was read from the configuration file."""
    return context.get_parameter_source(parameter.name or "") is click.core.ParameterSource.DEFAULT_MAP


def _flag(parameter: click.Parameter) -> str:
    """The name of an option as it stands in a configuration file."""
    return max(parameter.opts, key=len).lstrip("-")


def _be_verbose(_: click.Context, __: click.Parameter, wanted: bool) -> None:
    if wanted:
        log_file.show_on_screen(logging.INFO)


def _join_numbers(arguments: list[str]) -> list[str]:
    joined: list[str] = []
    words = iter(arguments)
    for word in words:
        joined.append(word)
        if word not in SEVERAL_NUMBERS:
            continue
        numbers: list[str] = []
        for following in words:
            is_number = re.fullmatch(r"\d+(\.\d*)?|\.\d+", following)
            # The third word may be a folder: the sequences of the CTC are named 01, 02 …
            if is_number and (len(numbers) < 2 or (len(numbers) == 2 and not Path(following).exists())):
                numbers.append(following)
                continue
            joined += [" ".join(numbers)] if numbers else []
            numbers = []
            joined.append(following)
            if following not in SEVERAL_NUMBERS:
                break
        if numbers:
            joined.append(" ".join(numbers))
    return joined


def _load_config(context: click.Context, _: click.Parameter, path: Path | None) -> None:
    if path is None:
        return
    try:
        values = read_toml(path)
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: --config names a TOML file with options.") from None
    except InputError:
        raise
    except (ValueError, OSError) as error:
        raise InputError(f"{path} is not a TOML file: {error}.") from None
    options: dict[str, click.Option] = {}
    for parameter in context.command.params:
        if isinstance(parameter, click.Option) and parameter.name not in ("config", "verbose", "help"):
            for flag in parameter.opts:
                options[flag.lstrip("-").replace("-", "_")] = parameter
    problems: list[str] = []
    defaults: dict[str, Any] = {}
    for key, value in values.items():
        option = options.get(key.replace("-", "_"))
        if option is None:
            hint = did_you_mean(key, options, f"'celltrail {context.info_name} --help' lists the options.")
            problems.append(f"{path}: '{key}' is not an option of '{context.info_name}': {hint}")
        elif isinstance(value, dict):
            problems.append(f"{path}: '{key}' is a section, but options stand without sections: write {key} = VALUE.")
        else:
            defaults[option.name or ""] = _as_typed(value, option)
    if problems:
        raise InputError(*problems)
    context.meta[CONFIG_FILE] = path
    context.default_map = {**(context.default_map or {}), **defaults}


def _as_typed(value: Any, option: click.Option) -> Any:
    """A value of the configuration file as the command line would have it: as text, so that it is judged the same."""
    if isinstance(value, bool) and option.is_flag:
        return value
    if isinstance(value, list):
        words = [str(item) for item in value]
        return words if option.multiple else " ".join(words)
    return [str(value)] if option.multiple else str(value)


@contextmanager
def show_progress(*, quiet: bool = False, lines: bool = False) -> Iterator[Progress]:
    """A progress bar on stderr when it is a terminal, otherwise nothing, or ``lines`` now and then; and lines in the log (`celltrail.data.running.log_file`).

    Where the variable `PROGRESS_FILE` names a file, each report becomes a line of JSON in it instead.
    """
    with (
        _show_progress(quiet=quiet or log_file.is_verbose(), lines=lines) as show,
        listening(log_file.logged(show)) as report,
    ):
        yield report


@contextmanager
def _show_progress(*, quiet: bool, lines: bool) -> Iterator[Progress]:
    file = os.environ.get(PROGRESS_FILE)
    if file:
        with Path(file).open("a", encoding="utf-8", buffering=1) as stream:

            def write(stage: str, done: int, total: int, note: str = "") -> None:
                stream.write(json.dumps({"stage": stage, "done": done, "total": total, "note": note}) + "\n")

            yield write
        return
    if lines and not quiet and not sys.stderr.isatty():
        yield write_lines()
        return
    if quiet or not sys.stderr.isatty():
        yield silent
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as Bars

    columns = (
        TextColumn("{task.description:<12}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Bars(*columns, console=Console(stderr=True), transient=False) as bars:
        tasks: dict[str, Any] = {}

        def report(stage: str, done: int, total: int, note: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bars.add_task(stage, total=total, note=note)
            bars.update(tasks[stage], completed=done, total=total, note=note)

        yield report


def tell(notes: Iterable[str]) -> None:
    """Say on stderr what a person should know of the input, each sentence once."""
    for note in dict.fromkeys(notes):
        typer.echo(visible(note), err=True)


def write_lines(pause: float = 5.0) -> Progress:
    """Progress as lines on stderr, for output that goes to a file: at most one in ``pause`` seconds, and the end of a stage."""
    begun: dict[str, float] = {}
    last: dict[str, float] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        now = time.monotonic()
        begun.setdefault(stage, now)
        if done < total and now - last.get(stage, -pause) < pause:
            return
        last[stage] = now
        left = (now - begun[stage]) / done * (total - done) if 0 < done < total else 0.0
        words = [f"{100 * done // max(total, 1)} %", note, f"about {left / 60:.1f} min left" if left else ""]
        typer.echo(f"{stage}: {', '.join(word for word in words if word)}", err=True)

    return report


def quoted(path: Path | str) -> str:
    """A path as a shell takes it, for commands that are shown to be copied."""
    return shlex.quote(str(path))


def say(text: object, *, err: bool = False) -> None:
    """Print lines, in which control characters and bytes of names are written out instead of obeyed."""
    typer.echo("\n".join(visible(line) for line in str(text).split("\n")), err=err)


def print_json(value: Any) -> None:
    """Print a value as JSON on stdout (NaN becomes null)."""
    typer.echo(to_json(value))


def run(app: Callable[..., Any], arguments: list[str] | None = None) -> int:
    """Run a Typer app; errors become one plain message on stderr, and an exit code.

    ``--debug`` anywhere on the command line shows the traceback instead.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in arguments
    arguments = [argument for argument in arguments if argument != "--debug"]
    for name in ("stdout", "stderr"):  # closed by who has started us
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115 (as long as the process)
    log_file.begin(arguments)
    for stream in (sys.stdout, sys.stderr):  # a name that is no UTF-8 must not end the command that has made it
        if isinstance(stream, io.TextIOWrapper) and stream.errors == "strict":
            stream.reconfigure(errors="backslashreplace")
    try:
        status = app(args=arguments, standalone_mode=False)
        if status == 130:  # Ctrl-C, as the command-line library reports it
            _complain("Stopped.")
        return status if isinstance(status, int) else 0
    except Replaced as error:  # time and again
        if debug:
            raise
        _complain(f"{visible(str(error))}: run the command again to read that.")
        return 2
    except InputError as error:
        if debug:
            raise
        _complain("\n".join(map(visible, group_problems(error.problems))))
        return 2
    except MissingExtra as error:
        if debug:
            raise
        _complain(visible(str(error)))
        return 2
    except (click.exceptions.Abort, KeyboardInterrupt):
        _complain("Stopped.")
        return 130
    except click.ClickException as error:
        error.message = visible(error.message)
        error.show()
        return 2
    except click.exceptions.Exit as error:
        return error.exit_code
    except BrokenPipeError:
        return 0
    except Exception as error:
        if debug:
            raise
        status, text = _resource_problem(error) or _unforeseen(error)
        log = log_file.write_failure(error) if status == 1 else None
        _complain(text if log is None else f"{text}\nWhat was done until then is told in {log}.")
        return status
    finally:
        log_file.end()


def group_problems(problems: Iterable[str]) -> list[str]:
    """Tell once what is wrong with many files: sentences that differ only in their first word become one.

    A folder of 84 colour images is one problem to a person, not 84.
    """
    alike: dict[str, list[str]] = {}
    for problem in problems:
        subject, _, predicate = problem.partition(" ")
        alike.setdefault(predicate if Path(subject).suffix else problem, []).append(problem)
    sentences = []
    for group in alike.values():
        more = len(group) - 1
        others = f" ({counted(more, 'more file')} in the same way.)" if more else ""
        sentences.append(group[0] + others)
    return sentences


def _resource_problem(error: Exception) -> tuple[int, str] | None:
    """Exit code and sentence for what a machine has run out of, forbids, or could not do; ``None`` for anything else."""
    if _lacks_memory(error):
        return 1, "There is not enough memory: crop or bin the movie, take fewer --frames, or close other programs."
    if isinstance(error, WorkFailed):
        return 1, str(error)
    if isinstance(error, PermissionError):
        name = visible(str(error.filename))
        return 2, f"{name} may not be read or written: change its permissions, or choose another place."
    if isinstance(error, OSError) and error.errno in (errno.ENAMETOOLONG, errno.ELOOP, errno.EROFS, errno.ENOTDIR):
        return 2, f"{visible(str(error.filename))}: {str(error.strerror).lower()}: choose another name or place."
    if isinstance(error, OSError) and error.errno in (errno.EMFILE, errno.ENFILE):
        return (
            1,
            "Too many files are open: take fewer --jobs, or allow more (ulimit -n 1024) and run the command again.",
        )
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
        place = f" ({visible(str(error.filename))})" if error.filename else ""
        return 1, f"The disk is full or a file may not grow further{place}: free some space and run the command again."
    return None


def _lacks_memory(error: BaseException) -> bool:
    """Whether an error of Python, of a library or of the loader is one of memory."""
    text = str(error).lower()
    told = ("cannot allocate memory", "can't allocate memory", "failed to map segment", "can't start new thread")
    return isinstance(error, MemoryError) or (
        isinstance(error, OSError | ImportError | RuntimeError)
        and any(words in text for words in (*told, "std::bad_alloc", "not enough memory", "out of memory"))
    )


def _unforeseen(error: Exception) -> tuple[int, str]:
    """Exit code and sentence for what nobody has thought of."""
    text = visible(" ".join(str(error).split())) or "no further word"
    return 1, f"The work failed: {type(error).__name__}: {text}\nRun the command again with --debug to see where."


def _complain(text: str) -> None:
    for line in text.splitlines():
        typer.secho(line, err=True, fg=typer.colors.RED if sys.stderr.isatty() else None)
