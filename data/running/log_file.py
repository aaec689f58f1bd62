"""What a command did and when: a log in its result, and on the screen with ``--verbose``.

A run that fails leaves no result; its log then lies beside the place where that would be.

Packages log to :data:`logger`, which says nothing by itself; the command line keeps the lines, and shows warnings.
"""

from __future__ import annotations

import logging
import shlex
import sys
import time
import traceback
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celltrail.data.progress import Progress
from celltrail.data.running.plain_text import visible

LOG_FILE = "run.log"
PAUSE = 10.0  # seconds between two lines about one stage
logger = logging.getLogger("celltrail")
_lines: list[str] = []
_results: list[Path] = []  # what the command that runs shall make, once it has said so


class _Keep(logging.Handler):
    """Keeps the lines of the command that runs."""

    def emit(self, record: logging.LogRecord) -> None:
        _lines.append(visible(self.format(record)))


class _Screen(logging.StreamHandler[Any]):
    """Shows lines, each as one line."""

    def format(self, record: logging.LogRecord) -> str:
        return visible(super().format(record))


def begin(arguments: list[str]) -> None:
    """Begin the log of a command; only warnings are shown on the screen."""
    end()
    keep = _Keep()
    keep.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%d %H:%M:%S"))
    logger.addHandler(keep)
    logger.setLevel(logging.INFO)
    logger.propagate = False
    show_on_screen(logging.WARNING)
    logger.info("celltrail %s: %s", version("celltrail"), shlex.join(arguments))


def end() -> None:
    """Forget the lines: the command has ended."""
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
    _lines.clear()
    _results.clear()


def show_on_screen(level: int) -> None:
    """Show lines from this level on stderr."""
    for handler in [handler for handler in logger.handlers if not isinstance(handler, _Keep)]:
        logger.removeHandler(handler)
    screen = _Screen(sys.stderr)
    screen.setLevel(level)
    screen.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%H:%M:%S") if level < logging.WARNING else None)
    logger.addHandler(screen)


def is_verbose() -> bool:
    """Whether every line is shown on the screen."""
    return any(handler.level == logging.INFO for handler in logger.handlers)


def logged(show: Progress) -> Progress:
    """Progress that is shown by ``show`` and told in the log: the begin and the end of each stage, and now and then between."""
    begun: dict[str, float] = {}
    last: dict[str, float] = {}

    def report(stage: str, done: int, total: int, note: str = "") -> None:
        show(stage, done, total, note)
        now = time.monotonic()
        if stage not in begun:
            begun[stage] = last[stage] = now
            logger.info("%s: begins, %d in all", stage, total)
        if done >= total or now - last[stage] >= PAUSE:
            last[stage] = now
            ends = f"{stage}: {done} of {total} after {now - begun[stage]:.1f} s"
            logger.info("%s, %s", ends, note) if note else logger.info("%s", ends)

    return report


def announce(result: Path) -> None:
    """Say what the command shall make, so that its log is found where it fails; forget the log of an earlier failure."""
    _results[:] = [result]
    with suppress(OSError):
        failed_log(result).unlink(missing_ok=True)


def failed_log(result: Path) -> Path:
    """Where the log of a run lies that failed to make ``result``: ``NAME.failed.log`` beside it."""
    return result.parent / f"{result.name}.failed.log"


def write_log(folder: Path) -> None:
    """Write the lines so far into the folder of a result, as ``run.log``."""
    if _lines:
        (folder / LOG_FILE).write_text("\n".join(_lines) + "\n", encoding="utf-8")


def write_failure(error: Exception) -> Path | None:
    """Write the lines so far, and where the error arose, beside the place of the result.

    Returns the file; ``None`` where the command makes no result that has a log, or the disk takes no file.
    """
    if not _results:
        return None
    file = failed_log(_results[0])
    text = "\n".join(
        [*_lines, "", *(visible(line) for text in traceback.format_exception(error) for line in text.splitlines())]
    )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text + "\n", encoding="utf-8")
    except OSError:
        with suppress(OSError):
            file.unlink(missing_ok=True)
        return None
    return file
