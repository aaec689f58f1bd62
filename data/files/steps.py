"""What one step of a movie is: frame numbers may be minutes (0, 5, 10 …), or every second frame of a longer movie.

Numbers with a common step are counted in steps, so that nothing is taken for missed that never was a frame. Names keep
their numbers.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from math import gcd

from celltrail.data.errors import InputError
from celltrail.data.words import counted

ABSENT = 10_000  # frames that a movie may lack between its first and its last …
EACH = 9  # … or so many for each that is there


def find_step(numbers: Sequence[int], step: int | None = None) -> int:
    """The common step of some frame numbers.

    Parameters
    ----------
    numbers : sequence of int
        Frame numbers, ascending.
    step : int or None
        A step to be checked instead, for example 1: what lies between the numbers are frames that are missing.

    Returns
    -------
    int
        1 for fewer than two frames.

    Raises
    ------
    celltrail.data.InputError
        If ``step`` does not divide the differences of the numbers, or if far more frames are missing than there.
    """
    common = gcd(*(b - a for a, b in pairwise(numbers))) or 1
    found = common if step is None else step
    if found < 1 or common % found:
        raise InputError(
            f"A step of {found} does not fit the frame numbers, which lie {common} or a multiple of it apart: "
            f"give a divisor of {common}, or leave the step out."
        )
    if numbers:
        absent = (numbers[-1] - numbers[0]) // found + 1 - len(numbers)
        if absent > max(ABSENT, EACH * len(numbers)):
            raise InputError(
                f"The frame numbers run from {numbers[0]:,} to {numbers[-1]:,}, but there are only {counted(len(numbers), 'frame')}: "
                f"{absent:,} would be missing. Number the files anew, or choose some of them with --frames."
            )
    return found
