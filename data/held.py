"""Who reads a result while another run replaces it sees the old one or the new one, never some of each.

A name stands for one folder only as long as nothing else takes its place. Whoever opens a file asks here (`hold`), so
that a folder in which something was read before is still the same; a command, a page and an answer of the server begin
again where it is not (`read_whole`). What has been read is read: that an input changes later disturbs nobody.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from contextvars import ContextVar
from pathlib import Path
from typing import TypeVar

from celltrail.data.errors import Replaced

Result = TypeVar("Result")
TRIES = 4


def identity(path: Path) -> tuple[int, int] | None:
    """What tells a file or folder from another one under the same name; ``None`` where there is none."""
    try:
        status = path.stat()
    except (OSError, ValueError):
        return None
    return status.st_dev, status.st_ino


class Held:
    """A file or folder as it is now. Where the system can, it is kept open, so that no other one gets its number.

    One that was ``given`` by a person counts as replaced also where nothing stands in its place, as between two renames;
    others may be temporary.
    """

    __slots__ = ("_given", "_handle", "_identity", "_path")

    def __init__(self, path: Path, *, given: bool = True) -> None:
        self._path, self._given = path.absolute(), given
        self._handle: int | None = None
        if hasattr(os, "O_PATH"):
            with suppress(OSError, ValueError):
                self._handle = os.open(self._path, os.O_PATH | os.O_CLOEXEC)
        self._identity = identity(self._path)

    def __del__(self) -> None:
        if self._handle is not None:
            os.close(self._handle)

    def __getstate__(self) -> tuple[Path, bool, tuple[int, int] | None]:
        return self._path, self._given, self._identity

    def __setstate__(self, state: tuple[Path, bool, tuple[int, int] | None]) -> None:
        (self._path, self._given, self._identity), self._handle = state, None

    def check(self) -> None:
        """Raise `Replaced` where something else stands under its name now."""
        now = identity(self._path)
        if self._identity is not None and now != self._identity and (self._given or now is not None):
            raise Replaced(f"{self._path} was replaced by a new result while it was read")


_read: ContextVar[dict[Path, Held] | None] = ContextVar("read", default=None)


def hold(path: Path) -> None:
    """Call it after opening a file or folder: raises `Replaced` where one in which it lies is no longer that of before."""
    known = _read.get()
    if known is None:
        return
    path = path.absolute()
    for place in (path, *path.parents):
        if place in known:
            known[place].check()
    known.setdefault(path, Held(path, given=False))


def _replaced() -> Replaced | None:
    for one in (_read.get() or {}).values():
        try:
            one.check()
        except Replaced as replaced:
            return replaced
    return None


def check_held() -> None:
    """Raise `Replaced` where anything that was read is no longer what it was."""
    if replaced := _replaced():
        raise replaced


def read_whole(
    make: Callable[[], Result],
    paths: Iterable[Path] = (),
    again: Callable[[str], object] = len,
    tries: int = TRIES,
) -> Result:
    """What ``make`` returns; it is called again where something was replaced while it read.

    Parameters
    ----------
    make : callable
        Reads, and makes something of what it reads.
    paths : iterable of Path
        Files and folders that are known before to be read.
    again : callable
        Is told, in a sentence, before ``make`` is called again.
    tries : int
        How often it may be called.

    Raises
    ------
    Replaced
        If it happens time and again.
    """
    paths = list(paths)
    for attempt in range(1, tries + 1):
        token = _read.set({path.absolute(): Held(path) for path in paths})
        try:
            return make()
        except (Replaced, ValueError, LookupError, FileNotFoundError) as error:
            # what seems to be wrong with a file may be that another one stands there now
            replaced = error if isinstance(error, Replaced) else _replaced()
            if replaced is None:
                raise
            if attempt == tries:
                raise replaced from None
            again(f"{replaced}: beginning again with that.")
        finally:
            _read.reset(token)
        time.sleep(0.05 * 2**attempt)  # between two renames nothing may stand there
    raise AssertionError("unreachable")
