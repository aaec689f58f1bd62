"""Compile a function of arrays and numbers to machine code, once per installation."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

from numba import njit

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """``function`` compiled by numba on its first call; the result is kept on disk."""
    return cast(Function, njit(cache=True)(function))
