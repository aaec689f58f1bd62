"""Commands that are killed: never a half-written result under its final name, and --resume ends the same.

The benchmark kills them just before chosen changes of the disk, so that these tests need no clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ["train", "segment", "track", "convert"]
KILLS = 4


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no fork")
def test_a_killed_command_leaves_the_old_result_or_the_new_one(root: Path, tmp_path: Path) -> None:
    out = tmp_path / "kills.json"
    command = [
        sys.executable,
        root / "benchmarks" / "kills.py",
        "--moments",
        "0",
        "--changes",
        str(KILLS),
        "--json",
        out,
    ]
    done = subprocess.run([*command, "--only", *COMMANDS], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = {row["case"]: row for row in json.loads(out.read_text(encoding="utf-8"))["rows"]}
    assert sorted(rows) == sorted(COMMANDS)
    for name, row in rows.items():
        assert (row["changes"], row["faults"]) == (KILLS, 0), name
        assert row["none"] + row["old"] + row["new"] + row["mixed"] == KILLS, name
    assert rows["train"]["resumed"] == rows["segment"]["resumed"] == KILLS
    assert rows["segment"]["resumed_from"] > 0


def test_a_result_that_is_neither_old_nor_new_is_a_fault(root: Path, tmp_path: Path) -> None:
    """The judge of the benchmark can fail: half a file, another one's frames, a missing result."""
    code = f"""
import sys; sys.path.insert(0, {str(root / "benchmarks")!r})
import pathlib, kills
place = pathlib.Path({str(tmp_path)!r})
def state(**files):
    kills.clear(place)
    for name, text in files.items():
        (place / name).mkdir(); (place / name / "a.txt").write_text(text)
    return kills.results(place)
old, new = state(RES="old"), state(RES="new")
for found in (state(RES="ne"), state(RES="old", RES2="new"), state(), state(RES="")):
    row = kills.Row(); kills.judge(row, found, old, new, "test"); assert len(row.faults) == 1, found
for found in (old, new):
    row = kills.Row(); kills.judge(row, found, old, new, "test"); assert row.faults == [] and row.old + row.new == 1
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stderr
