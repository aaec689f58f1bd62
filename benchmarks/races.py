"""Two commands, one result: what stands there in the end is that of one of them, whole, or one of them is refused.

    python benchmarks/races.py [--pairs 200] [--json FILE]

Pairs of different commands write into the same ``--out`` at the same time, with and without ``--overwrite``, over
nothing and over an older result. Each runs in a fork of this process, so that they meet in
their work and not in their imports. ``mixed``: a result with files of two. ``lost``: nothing stands though a command
said that it had ended well, or an older result is gone though both were refused. One row per kind of pair.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import random
import shutil
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import celltrail.cli
from celltrail.data.formats.convert import convert_movie
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.tracking import track, write_result

KINDS = {
    "track and track": (
        ["track", "{set}/01_GT/TRA", "--images", "{set}/01"],
        ["track", "{set}/01_GT/TRA", "--method", "lap"],
    ),
    "track and simulate": (
        ["track", "{set}/01_GT/TRA"],
        ["simulate", "--frames", "3", "--cells", "3", "--size", "48 48"],
    ),
    "convert and convert": (["convert", "{set}/01_RES"], ["convert", "{set}/other"]),
    "solve and solve": (["solve", "{set}/01_RES/graph.npz"], ["solve", "{set}/01_RES/graph.npz", "--link", "9"]),
}
ENDING = {"convert and convert": ".csv", "solve and solve": ".npz"}
UNEQUAL = ("run.json", "run.log")  # hold the time


def digest(path: Path) -> dict[str, str]:
    """The files of a result by name, each with the hash of what it holds."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name not in UNEQUAL
    }


def begin(words: list[str], wait: float) -> int:
    """Run a command in a fork after so many seconds; returns its process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    silence = os.open(os.devnull, os.O_WRONLY)
    os.dup2(silence, 1)
    os.dup2(silence, 2)
    time.sleep(wait)
    status = 1
    try:
        status = console.run(celltrail.cli.app, words)
    finally:
        os._exit(status)


def line(words: list[str], place: Path, out: Path, overwrite: bool) -> list[str]:
    """The command line of a command that writes to ``out``."""
    filled = [word.replace("{set}", str(place)) for word in words]
    filled += [str(out)] if words[0] in ("simulate", "convert") else ["--out", str(out)]
    return filled + (["--overwrite"] if overwrite else [])


def prepare(place: Path) -> None:
    """A small movie with two results."""
    movie = simulate_movie(frames=8, cells=8, size=(96, 96), seed=1)
    write_movie(movie, place)
    write_result(track(movie.masks, images=movie.images), place / "01_RES")
    write_result(track(movie.masks, method="greedy"), place / "other")
    convert_movie(place / "01_RES", place / "warm.csv")


def race(kind: str, place: Path, pairs: int, dice: random.Random) -> dict[str, Any]:
    """So many pairs of one kind; what stood there in the end, counted."""
    row = {
        "case": kind,
        "method": "celltrail",
        "pairs": pairs,
        "mixed": 0,
        "lost": 0,
        "refused": 0,
        "failed": 0,
        "left": 0,
    }
    alone = []
    for number, words in enumerate(KINDS[kind]):
        out = place / f"{kind} {number}{ENDING.get(kind, '')}"
        _, status = os.waitpid(begin(line(words, place, out, False), 0), 0)
        assert status == 0, f"{words} does not run by itself"
        alone.append((out, digest(out)))
    seconds = 0.3
    for pair in range(pairs):
        out = place / f"race{ENDING.get(kind, '')}"
        shutil.rmtree(out, ignore_errors=True) if out.is_dir() else out.unlink(missing_ok=True)
        older = pair % 3 == 0
        if older:
            (shutil.copytree if alone[0][0].is_dir() else shutil.copy)(alone[0][0], out)
        overwrite = pair % 2 == 0
        begun = time.monotonic()
        children = [begin(line(words, place, out, overwrite), dice.uniform(0, seconds)) for words in KINDS[kind]]
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        seconds = 0.5 * (seconds + min(1.0, (time.monotonic() - begun) / 2))
        found = digest(out) if out.exists() else None
        row["refused"] += ends.count(2)
        row["failed"] += sum(end not in (0, 2) for end in ends)
        row["mixed"] += found is not None and found not in [one for _, one in alone]
        row["lost"] += found is None and (0 in ends or older)
        row["left"] += any(path.name.startswith(f".{out.name}") for path in place.iterdir())
    return row


def main() -> None:
    """Race, and print what was found."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--pairs", type=int, default=200, help="pairs in all (default 200)")
    arguments.add_argument("--json", type=Path, help="write the rows here")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "set"
        prepare(place)
        rows = []
        for kind in KINDS:
            rows.append(race(kind, place, max(1, chosen.pairs // len(KINDS)), random.Random(kind)))
            print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if chosen.json:
        about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        document = {"machine": about, "versions": {"celltrail": version("celltrail")}, "rows": rows}
        chosen.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(row["mixed"] + row["lost"] + row["failed"] + row["left"] for row in rows))


if __name__ == "__main__":
    main()
