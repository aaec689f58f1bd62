"""Numbers in sentences for people."""

from __future__ import annotations


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with what is counted: ``"1 mask"``, ``"2,500 masks"``.

    Parameters
    ----------
    number : int
        How many there are.
    one : str
        What is said of a single one: a noun, or more words.
    many : str or None
        What is said of any other number; ``None``: as ``one``, with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
