"""Files that somebody named: opened only if they are regular files, and read as text, JSON or TOML without surprises.

A pipe would be waited for without end, a device never ends. Whoever reads a file that was named by a person or by
another file opens it here.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
import tomllib
from io import BufferedReader
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.held import hold

DEEPEST = 200  # parts of a dotted key
KINDS = {
    stat.S_IFIFO: "a pipe",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}


def special(path: Path) -> str | None:
    """What a path is that is neither a regular file nor a folder ("a pipe"); ``None`` for these and for nothing."""
    try:
        return KINDS.get(stat.S_IFMT(path.stat().st_mode))
    except (OSError, ValueError):
        return None


def special_problem(path: Path) -> str | None:
    """A sentence for a path that is neither a regular file nor a folder; ``None`` for these and for nothing."""
    if "\0" in str(path):
        return f"{path} holds a null byte, which no name may: give another name."
    kind = special(path)
    return None if kind is None else f"{path} is {kind}, not a file: save what it gives as a file, and give that."


def refuse_special(path: Path) -> None:
    """Raise `InputError` for a pipe, a device or a socket."""
    if problem := special_problem(path):
        raise InputError(problem)


def open_regular(path: Path) -> BufferedReader:
    """A regular file, open for reading; never waits, and what is read is what was looked at.

    Raises
    ------
    InputError
        If it is a pipe, a device or a socket.
    Replaced
        If its folder is no longer the one in which something was read before (`celltrail.data.held`).
    OSError
        If it cannot be opened, or is a folder.
    """
    refuse_special(path)
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    stream = os.fdopen(handle, "rb")  # a folder is an OSError
    try:
        hold(path.parent)
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise InputError(f"{path} is not a regular file: give a file.")
    except BaseException:
        stream.close()
        raise
    return stream


def read_text(path: Path, encoding: str = "utf-8") -> str:
    """The text of a regular file; ``ValueError`` where it is none, otherwise as `open_regular`."""
    with open_regular(path) as stream:
        return stream.read().decode(encoding)


def read_json(path: Path) -> Any:
    """What a JSON file holds; its numbers are finite.

    Raises
    ------
    ValueError
        If it is no JSON, nested too deeply, or holds a number that is none (NaN, infinity, 1e999).
    InputError, OSError
        As `open_regular`.
    """
    return parse_json(read_text(path))


def parse_json(text: str) -> Any:
    """As `read_json`, of a text."""
    try:
        return json.loads(text, parse_constant=_no_number, parse_float=_finite)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def read_toml(path: Path) -> dict[str, Any]:
    """What a TOML file holds; errors as `read_json`, but for NaN and infinity, which are judged by who takes them."""
    text = read_text(path)
    for line in text.splitlines():  # the parser's time grows with the square of the length of a dotted key
        words = [] if line.lstrip().startswith("#") else [line.partition("=")[0], *re.split(r"[\s,=\[\]{}]+", line)]
        if any(word.count(".") > DEEPEST for word in words):
            raise ValueError("nested too deeply")
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ValueError("nested too deeply") from None


def _no_number(text: str) -> float:
    raise ValueError(f"{text} is no number")


def _finite(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _no_number(text)
