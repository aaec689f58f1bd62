"""JSON text of what the packages measure: numpy values, paths, numbers that are none."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from celltrail.data.running.plain_text import encodable


def to_json(value: Any, indent: int | None = 2) -> str:
    """JSON text of plain values, numpy scalars and arrays, and paths; NaN and infinity become null."""
    return encodable(json.dumps(_plain(value), indent=indent, ensure_ascii=False))


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if hasattr(value, "tolist"):
        return _plain(value.tolist())
    if isinstance(value, float) and (value != value or value in (float("inf"), float("-inf"))):
        return None
    if isinstance(value, Path):
        return str(value)
    return value
