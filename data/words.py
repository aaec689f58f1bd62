"""Numbers in sentences for people."""

from __future__ import annotations


def counted(number: float, one: str, many: str | None = None) -> str:
    """A number with what is counted: ``"1 mask"``, ``"2,500 masks"``.

    Parameters
    ----------
    number : float
        How many there are; those that are no whole numbers are shortened.
    one : str
        What is said of a single one: a noun, or more words.
    many : str or None
        What is said of any other number; ``None``: as ``one``, with an s.
    """
    shown = f"{int(number):,}" if number == int(number) else f"{number:g}"
    return f"{shown} {one if number == 1 else many or one + 's'}"
