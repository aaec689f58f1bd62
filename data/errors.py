"""The errors that are told in a sentence: a wrong input, a package that is not installed, work that cannot be done."""

from __future__ import annotations

from collections.abc import Iterable
from importlib import import_module
from types import ModuleType


class InputError(ValueError):
    """What the user gave cannot be used.

    Carries every problem that was found, not only the first. Each problem is one sentence that says
    what is wrong, where, and what to do; commands print it without a traceback and exit with 2.
    """

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems: tuple[str, ...] = problems

    def __reduce__(self) -> tuple[type[InputError], tuple[str, ...]]:
        """An error comes back from another process with its problems."""
        return type(self), self.problems


class Replaced(Exception):
    """What is read was replaced by another result meanwhile; reading it again gives the new one.

    No `InputError`: nothing is wrong with the files, and nobody may list it as a problem of theirs.
    """


class WorkFailed(RuntimeError):
    """The work could not be done, though the input may be right; the message says in a sentence what to do."""


class MissingExtra(ImportError):
    """A feature needs an optional dependency; the message names the extra to install."""


def raise_if(problems: Iterable[str]) -> None:
    """Raise `InputError` with all ``problems``, or return when there is none."""
    found = tuple(problems)
    if found:
        raise InputError(*found)


def import_extra(module: str, extra: str) -> ModuleType:
    """Import ``module``, or raise `MissingExtra` naming the ``extra`` that brings it."""
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = module.split(".")[0]
        if error.name is not None and error.name.split(".")[0] != missing:
            raise
        raise MissingExtra(
            f"This needs the package '{missing}', which is not installed: run  pip install 'celltrail[{extra}]'."
        ) from error
