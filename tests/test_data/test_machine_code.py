"""Machine code where its cache can be written, and where it cannot."""

from __future__ import annotations

import numpy as np
import pytest

from celltrail.data.running.machine_code import compiled


def total(values: object) -> float:
    """The sum, as a loop."""
    result = 0.0
    for value in values:  # type: ignore[attr-defined]
        result += value
    return result


def test_compiled_code_gives_the_same() -> None:
    assert compiled(total)(np.arange(5.0)) == total([0.0, 1.0, 2.0, 3.0, 4.0])


def test_without_a_place_for_the_cache(monkeypatch: pytest.MonkeyPatch) -> None:
    caching = pytest.importorskip("numba.core.caching")
    monkeypatch.setattr(caching.CompileResultCacheImpl, "_locator_classes", [])
    assert compiled(total)(np.arange(4.0)) == 6.0
