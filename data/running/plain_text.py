"""Text for screens, logs and files, whatever the names of files hold: newlines, escape codes, bytes that are no UTF-8."""

from __future__ import annotations

import re

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
_SURROGATE = re.compile("[\ud800-\udfff]")


def visible(text: str) -> str:
    """One line in which control characters, and bytes that are no UTF-8, are written out (``\\x1b``, ``\\n``)."""
    return _SURROGATE.sub(_written, _CONTROL.sub(_written, text))


def encodable(text: str) -> str:
    """The text of a JSON document as UTF-8 can hold it: what stands for a byte that is no UTF-8 is escaped, and comes back."""
    return _SURROGATE.sub(_written, text)


def _written(found: re.Match[str]) -> str:
    code = ord(found.group())
    usual = {9: "\\t", 10: "\\n", 13: "\\r"}
    return usual.get(code) or (f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}")
