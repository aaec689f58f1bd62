"""Loops over pixels and tables as machine code (Numba), kept on disk between runs where that is possible."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile a function of arrays and numbers on its first call.

    The code is kept beside the package or in the user's cache folder; where neither may be written
    (a read-only container) it is compiled anew in every run.
    """
    try:
        return cast(Function, njit(cache=True, nogil=True)(function))
    except RuntimeError:  # Numba found no place for its cache
        return cast(Function, njit(nogil=True)(function))
