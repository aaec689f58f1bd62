"""Machine code where its cache can be written, and where it cannot; that it is made is told, and only then."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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


SCRIPT = """
from celltrail.data.progress import listening
from celltrail.data.running.machine_code import compiled

@compiled
def double(x):
    return 2 * x

@compiled
def quadruple(x):
    return double(double(x))

with listening(lambda *told: print(*told, sep="|")):
    assert (quadruple(3), quadruple(4), double(3.0)) == (12, 16, 6)
assert quadruple(0.5) == 2  # nobody listens
"""


@pytest.mark.parametrize("writable", [True, False])
def test_compiling_is_told_and_reading_from_the_disk_is_not(tmp_path: Path, writable: bool) -> None:
    nowhere = f"exec(compile({SCRIPT!r}, '<nowhere>', 'exec'))"  # Numba finds no place for the code of no file
    (tmp_path / "work.py").write_text(SCRIPT if writable else nowhere)
    environment = {**os.environ, "NUMBA_CACHE_DIR": str(tmp_path / "cache")}
    told = []
    for _ in range(2):
        command = [sys.executable, tmp_path / "work.py"]
        done = subprocess.run(command, capture_output=True, text=True, check=True, env=environment)
        told.append([line.split("|") for line in done.stdout.splitlines()])
    assert [line[:3] for line in told[0]] == [["compile", *numbers] for numbers in ("01", "11", "12", "22")]
    assert all(("once after installing" in line[3]) == writable for line in told[0])
    assert told[1] == ([] if writable else told[0])
