"""Settings as a frozen dataclass in which every option stands once: name, type, default, check, and one sentence.

The command line (:mod:`celltrail.data.settings_cli`), files of settings, ``run.json`` and Python all read them from there.
"""

from __future__ import annotations

import difflib
import json
import math
import numbers
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cache
from types import UnionType
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from celltrail.data.errors import InputError, raise_if

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

S = TypeVar("S", bound="DataclassInstance")

KINDS: dict[type, tuple[Any, str]] = {
    int: (numbers.Integral, "a whole number"),
    float: (numbers.Real, "a number"),
    bool: (bool, "true or false"),
    str: (str, "a text"),
}


SMALLEST, LARGEST = 1e-12, 1e12  # beyond these, no number of an option means anything
LARGEST_WHOLE = 2**63 - 1


def number_problem(value: object) -> str | None:
    """What to say of a number that nobody can mean (NaN, infinity, 1e300, 1e-320); ``None`` for all other values.

    Every option that takes a number asks here, on the command line, in a file of settings and in Python.
    """
    if isinstance(value, numbers.Integral):
        return None if abs(int(value)) <= LARGEST_WHOLE else f"give a whole number up to {LARGEST_WHOLE}"
    if not isinstance(value, numbers.Real) or value == 0 or SMALLEST <= abs(float(value)) <= LARGEST:
        return None
    return f"give a number from {SMALLEST:g} to {LARGEST:g}, or 0"


def parse_numbers(text: str, option: str) -> tuple[float, ...]:
    """``"512 512"`` or ``"2,0.5,0.5"`` → numbers; `InputError` unless two or three, all above 0."""
    words = re.split(r"[\s,x×]+", text.strip())
    try:
        numbers = tuple(float(word) for word in words)
    except ValueError:
        numbers = ()
    if len(numbers) not in (2, 3) or not all(number > 0 and number_problem(number) is None for number in numbers):
        raise InputError(f"{option} {text}: give two numbers (Y X) or three (Z Y X), each above 0.")
    return numbers


def parse_voxel(text: str | None) -> tuple[float, float, float] | None:
    """``--voxel`` as (z, y, x) in µm; z is 1 where only two numbers are given."""
    if text is None:
        return None
    numbers = parse_numbers(text, "--voxel")
    return (numbers[-3] if len(numbers) == 3 else 1.0, numbers[-2], numbers[-1])


@dataclass(frozen=True)
class Option:
    """What belongs to an option beside its name, type and default.

    Attributes
    ----------
    sentence : str
        What it does, as ``--help``, the documentation and Python print it.
    choices : tuple of str
        The only values that are allowed; empty: any.
    minimum : float or None
        The smallest number that is allowed.
    maximum : float
        The largest number that is allowed; infinity itself never is.
    unit : str
        What a number counts, as it stands behind it in a sentence.
    metavar : str or None
        How ``--help`` names the value; ``None``: by its type.
    shown : str or bool
        What ``--help`` tells as the default; ``True``: the default itself, ``False``: nothing.
    off : str
        Name of the flag that says no; empty: there is none.
    parse : callable or None
        Makes the value of a text, where that is more than a number or a word.
    write : callable or None
        Makes a plain value of the value, for ``run.json``.
    kept : bool
        Whether ``run.json`` keeps it: not where the result does not depend on it.
    """

    sentence: str
    choices: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float = math.inf
    unit: str = ""
    metavar: str | None = None
    shown: str | bool = True
    off: str = ""
    parse: Callable[[str], Any] | None = None
    write: Callable[[Any], Any] | None = None
    kept: bool = True


def as_items(value: object) -> Iterable[object]:
    """The values of a tuple or list; nothing for all else."""
    return value if isinstance(value, tuple | list) else ()


def setting(default: Any, about: Option) -> Any:
    """A field of a dataclass of settings."""
    return field(default=default, metadata={"option": about})


def options_of(kind: type[DataclassInstance]) -> dict[str, Option]:
    """The options of a dataclass of settings, by name, in order."""
    return {one.name: one.metadata["option"] for one in fields(kind)}


@cache
def type_of(kind: type[DataclassInstance], name: str) -> tuple[Any, bool]:
    """The type of an option, and whether it may be ``None`` instead."""
    hint = get_type_hints(kind)[name]
    if isinstance(hint, UnionType):
        inner = [one for one in get_args(hint) if one is not type(None)]
        return inner[0], True
    return hint, False


def described(kind: type[S]) -> type[S]:
    """The dataclass with the sentence of every option in its docstring, one parameter a line."""
    lines = [f"{kind.__doc__}", "", "    Parameters", "    ----------"]
    for name, about in options_of(kind).items():
        lines += [
            f"    {name} : {kind.__annotations__[name]}, default {getattr(kind, name)!r}",
            f"        {about.sentence}",
        ]
    kind.__doc__ = "\n".join(lines) + "\n    "
    return kind


def problems_of(settings: DataclassInstance) -> list[str]:
    """A sentence for every value that is not allowed."""
    found = []
    for name, about in options_of(type(settings)).items():
        value = getattr(settings, name)
        found += [f"'{name}' holds {one}: {bad}." for one in as_items(value) if (bad := number_problem(one))]
        kind, optional = type_of(type(settings), name)
        if (value is None and optional) or kind not in KINDS or about.parse is not None:
            continue
        allowed, words = KINDS[kind]
        unit = f" {about.unit}" if about.unit else ""
        if not isinstance(value, allowed) or (kind is not bool and isinstance(value, bool)):
            found.append(f"'{name}' is {value!r}: give {words}.")
        elif about.choices and value not in about.choices:
            found.append(f"'{value}' is not a choice for {name}: choose one of {', '.join(about.choices)}.")
        elif about.minimum is not None and not (
            about.minimum <= value <= about.maximum and value < math.inf
        ):  # nor NaN
            upper = "on" if about.maximum == math.inf else f"to {about.maximum:g}"
            found.append(f"'{name}' is {value}{unit}: give {words} from {about.minimum:g} {upper}.")
        elif problem := number_problem(value):
            found.append(f"'{name}' is {value}{unit}: {problem}.")
    return found


def changed(settings: S, options: Mapping[str, Any], *, source: str = "", beside: Iterable[str] = ()) -> S:
    """The settings with some of them changed; texts are parsed where the option says how.

    Parameters
    ----------
    settings : dataclass of settings
        What the others are taken from.
    options : mapping
        Name → value.
    source : str
        Where they were read, for the sentence on what is wrong.
    beside : iterable of str
        Names that are known there beside the settings.

    Raises
    ------
    InputError
        With every name that is no setting, and the known name that is nearest to it; or with every value that is not
        allowed.
    """
    known = options_of(type(settings))
    where = f"{source}: " if source else ""
    raise_if(
        f"{where}'{name}' is no setting of {type(settings).__name__}: {did_you_mean(name, [*known, *beside])}"
        for name in options
        if name not in known
    )
    values = {}
    for name, value in options.items():
        parse = known[name].parse
        values[name] = parse(value) if parse is not None and isinstance(value, str) else value
    return replace(settings, **values)


def did_you_mean(name: str, known: Iterable[str], otherwise: str = "") -> str:
    """The end of a sentence on an unknown name: the known one that is nearest to it, or else where to look."""
    names = list(known)
    near = difflib.get_close_matches(name.replace("-", "_"), names, n=1, cutoff=0.5)
    return f"did you mean '{near[0]}'?" if near else otherwise or f"choose among {', '.join(names)}."


def to_config(settings: DataclassInstance) -> dict[str, Any]:
    """The settings on which the result depends, as plain values for ``run.json``; `changed` reads them again."""
    found = {}
    for name, about in options_of(type(settings)).items():
        value = getattr(settings, name)
        if about.kept:
            found[name] = value if value is None or about.write is None else about.write(value)
    return found


def to_toml(values: Mapping[str, Any]) -> str:
    """The lines of a file for ``--config``; what is ``None`` is left out."""
    given = {name.replace("_", "-"): value for name, value in values.items() if value is not None}
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in given.items())


def to_words(values: Mapping[str, Any]) -> list[str]:
    """The words of a command line; what is ``None`` or ``False`` is left out."""
    words: list[str] = []
    for name, value in values.items():
        if value is not None and value is not False:
            flag = f"--{name.replace('_', '-')}"
            words += [flag] if value is True else [flag, str(value)]
    return words
