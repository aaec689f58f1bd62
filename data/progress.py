"""How long work tells how far it is: a function that the caller gives, silent by default."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol


class Progress(Protocol):
    """Called with the stage, how much of it is done, and a short note (a bound, a loss)."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Report nothing."""


_listening: list[Progress] = []  # to what is done for everybody, whoever asked first


@contextmanager
def listening(progress: Progress) -> Iterator[Progress]:
    """Tell a progress of what no caller has asked for: that machine code is made (`celltrail.data.running.machine_code`)."""
    _listening.append(progress)
    try:
        yield progress
    finally:
        _listening.remove(progress)


def tell_all(stage: str, done: int, total: int, note: str = "") -> None:
    """Report to whoever is `listening`."""
    for progress in _listening:
        progress(stage, done, total, note)
