"""Loops over pixels and tables as machine code (Numba), kept on disk between runs where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit
from numba.core import event

from celltrail.data.progress import tell_all

Function = TypeVar("Function", bound=Callable[..., object])
ONCE = "once after installing, about half a minute in all"
EVER = "in every run, since no folder for its cache can be written (NUMBA_CACHE_DIR names another)"


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers on its first call, which progress is told of.

    The code is kept beside the package or in the user's cache folder; where neither may be written
    (a read-only container) it is compiled anew in every run.
    """
    try:
        made, _told.note[function] = njit(cache=True, nogil=True)(function), ONCE
    except RuntimeError:  # Numba found no place for its cache
        made, _told.note[function] = njit(nogil=True)(function), EVER
    return cast(Function, made)


class _Told(event.Listener):  # type: ignore[misc]  # Numba has no types
    """Hears of every function that is compiled, and not of those that are read from the disk."""

    def __init__(self) -> None:
        self.note: dict[Callable[..., object], str] = {}
        self.done = self.depth = 0  # one function may compile others

    def on_start(self, event: event.Event) -> None:
        """Tell of the first of ours."""
        if note := self.note.get(event.data["dispatcher"].py_func):
            if self.depth == 0:
                tell_all("compile", self.done, self.done + 1, note)
            self.depth += 1

    def on_end(self, event: event.Event) -> None:
        """Tell that it is done."""
        if note := self.note.get(event.data["dispatcher"].py_func):
            self.depth -= 1
            if self.depth == 0:
                self.done += 1
                tell_all("compile", self.done, self.done, note)


_told = _Told()
event.register("numba:compile", _told)
