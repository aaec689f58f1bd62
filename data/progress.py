"""How long work tells how far it is: a function that the caller gives, silent by default."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Called with the stage, how much of it is done, and a short note (a bound, a loss)."""

    def __call__(self, stage: str, done: int, total: int, note: str = "") -> None: ...


def silent(stage: str, done: int, total: int, note: str = "") -> None:
    """Report nothing."""
