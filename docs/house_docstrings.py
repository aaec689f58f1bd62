"""Docstrings as this project writes them, brought to the form that mkdocstrings reads.

Sections name a parameter and say what it is on one line, ``jobs : number of processes``, and leave its type to the
signature; numpydoc would take those words for the type. Roles such as ``:func:`name``` become plain code.
"""

from __future__ import annotations

import re
from typing import Any

import griffe

ROLE = re.compile(r":(?:func|class|mod|data|meth):`~?([^`]+)`")
ENTRY = re.compile(r"^(\w+(?:, \w+)*) : (.+)$")
NEXT = re.compile(r"(?<=\.) (?=\w+(?:, \w+)* : )")  # several entries on one line
NAMED = ("Parameters", "Attributes")


def as_numpydoc(text: str) -> str:
    """The docstring with every entry's words on a line of their own, below its name."""
    lines = ROLE.sub(r"`\1`", text).splitlines()
    result, section = [], ""
    for number, line in enumerate(lines):
        if number + 1 < len(lines) and lines[number + 1] and not lines[number + 1].strip("-"):
            section = line
        for piece in NEXT.split(line) if section in NAMED else [line]:
            entry = ENTRY.match(piece) if section in NAMED else None
            result += [entry.group(1), f"    {entry.group(2)}"] if entry else [piece]
    return "\n".join(result)


class HouseDocstrings(griffe.Extension):
    """Applied to every object whose docstring is shown."""

    def on_instance(self, *, obj: griffe.Object, **_: Any) -> None:
        """Rewrite the docstring of one object."""
        if obj.docstring is not None:
            obj.docstring.value = as_numpydoc(obj.docstring.value)
