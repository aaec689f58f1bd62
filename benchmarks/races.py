"""Two commands, one result: what is written is that of one of them, whole, and what is read is one result, whole.

    python benchmarks/races.py [--pairs 200] [--json FILE]

Pairs of different commands write into the same ``--out`` at the same time, with and without ``--overwrite``, over
nothing and over an older result. Each runs in a fork of this process, so that they meet in
their work and not in their imports. ``mixed``: a result with files of two. ``lost``: nothing stands though a command
said that it had ended well, or an older result is gone though both were refused. One row per kind of pair.

Then as many pairs of commands read one result, of which every second is the opening of the dashboard, while it is
replaced by another. ``met``: reads during which that happened. ``mixed``: what was read is neither that of the older
nor that of the newer result. ``lost``: a command that read nothing.
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
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

import celltrail.cli
from celltrail.dashboard.opening import content, registry
from celltrail.data.formats.convert import convert_movie
from celltrail.data.held import read_whole
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.data.writing.output import output_folder
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
READERS = {
    "measure": ["measure", "RES", "--images", "{set}/01", "--out", "OUT.csv"],
    "convert": ["convert", "RES", "OUT.xml"],
    "review": ["review", "RES", "--out", "OUT.csv"],
    "evaluate": ["evaluate", "{set}/01_GT", "RES", "--json", "OUT.json"],
    "render": ["render", "RES", "--images", "{set}/01", "--out", "OUT"],
    "why": ["why", "RES", "1", "1", "--json"],  # to the standard output
}


def digest(path: Path) -> dict[str, str]:
    """The files of a result by name, each with the hash of what it holds."""
    files = sorted(path.rglob("*")) if path.is_dir() else [path]
    return {
        file.relative_to(path).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and file.name not in UNEQUAL
    }


def begin(work: Callable[[], int], wait: float, printed: str = os.devnull) -> int:
    """Work in a fork after so many seconds; returns its process."""
    child = os.fork()
    if child:
        return child
    os.setsid()
    os.dup2(os.open(printed, os.O_WRONLY | os.O_CREAT), 1)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
    time.sleep(wait)
    status = 1
    try:
        status = work()
        sys.stdout.flush()
    finally:
        os._exit(status)


def command(words: list[str]) -> Callable[[], int]:
    """A command with these words, as work for `begin`."""
    return lambda: console.run(celltrail.cli.app, words)


def looking(place: Path, note: Path) -> Callable[[], int]:
    """What the dashboard opens of a result, as work for `begin`: tracks, cells, certainty and frames, hashed."""

    def look() -> str:
        movie = registry.open_dataset(place).movies[0]
        result = content.open_result(next(layer for layer in movie.layers if layer.name == "01_RES"))
        seen = [content.cell_table(result).to_csv(), str(content.certainty_table(result)), str(result.tracks.rows())]
        seen += [hashlib.sha256(result.labels[number].tobytes()).hexdigest() for number in result.labels]
        return hashlib.sha256("".join(seen).encode()).hexdigest()

    return lambda: (note.write_text(read_whole(look)), 0)[1]


def replacing(out: Path, source: Path) -> Callable[[], int]:
    """To put another result in the place of one, as work for `begin`."""

    def replace() -> int:
        with output_folder(out, overwrite=True) as work:
            shutil.copytree(source, work, dirs_exist_ok=True)
        return 0

    return replace


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
    write_result(track(movie.masks, images=movie.images), place / "one")
    without = {number: np.where(frame == 2, 0, frame) for number, frame in movie.masks.items()}
    write_result(track(without, images=movie.images), place / "two")


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
        _, status = os.waitpid(begin(command(line(words, place, out, False)), 0), 0)
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
        lines = [line(words, place, out, overwrite) for words in KINDS[kind]]
        children = [begin(command(words), dice.uniform(0, seconds)) for words in lines]
        ends = [os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children]
        seconds = 0.5 * (seconds + min(1.0, (time.monotonic() - begun) / 2))
        found = digest(out) if out.exists() else None
        row["refused"] += ends.count(2)
        row["failed"] += sum(end not in (0, 2) for end in ends)
        row["mixed"] += found is not None and found not in [one for _, one in alone]
        row["lost"] += found is None and (0 in ends or older)
        row["left"] += any(path.name.startswith(f".{out.name}") for path in place.iterdir())
    return row


def read_while_replaced(kind: str, place: Path, pairs: int, dice: random.Random) -> dict[str, Any]:
    """So many pairs of readers, a command and the dashboard, of a result that is replaced; what they read, counted."""
    row = {"case": f"{kind} and dashboard", "method": "celltrail", "pairs": pairs, "met": 0, "mixed": 0, "lost": 0}
    res, results = place / "01_RES", [place / "one", place / "two"]
    out, note = place / "read", place / "looked"
    filled = [str(res) if word == "RES" else word.replace("OUT", str(out / "out")) for word in READERS[kind]]
    words = [word.replace("{set}", str(place)) for word in filled]
    known: list[tuple[object, object]] = []
    seconds = 0.0
    for pair in range(-2, pairs):  # the first two alone
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        note.unlink(missing_ok=True)
        with output_folder(res, overwrite=True) as work:
            shutil.copytree(results[pair % 2], work, dirs_exist_ok=True)
        begun = time.time()
        readers = {begin(command(words), 0, str(out / "printed")): kind, begin(looking(place, note), 0): "dashboard"}
        writer = begin(replacing(res, results[1 - pair % 2]), dice.uniform(0, seconds)) if pair >= 0 else 0
        ended, codes = {}, {}
        for _ in range(len(readers) + (pair >= 0)):
            child, status = os.wait()
            ended[child], codes[child] = time.time(), os.waitstatus_to_exitcode(status)
        assert not codes.get(writer), "the result could not be replaced"
        found = (digest(out), note.read_text() if note.exists() else "")
        if pair < 0:
            assert set(codes.values()) == {0}, f"{words} does not run by itself"
            known.append(found)
            seconds = max(end - begun for end in ended.values())  # of the second, which compiles nothing
            continue
        row["lost"] += sum(codes[child] != 0 for child in readers)
        row["met"] += sum(begun < res.stat().st_ctime < ended[child] for child in readers)
        whole = [one in alone for one, alone in zip(found, zip(*known, strict=True), strict=True)]
        row["mixed"] += sum(codes[child] == 0 and not its for child, its in zip(readers, whole, strict=True))
    assert known[0][0] != known[1][0], "the two results cannot be told apart"
    return row


def main() -> None:
    """Race, and print what was found."""
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument(
        "--pairs", type=int, default=200, help="pairs of writers, and as many of readers (default 200)"
    )
    arguments.add_argument("--json", type=Path, help="write the rows here")
    chosen = arguments.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "set"
        prepare(place)
        rows = []
        for kinds, run in ((KINDS, race), (READERS, read_while_replaced)):
            for kind in kinds:
                rows.append(run(kind, place, -(-chosen.pairs // len(kinds)), random.Random(kind)))
                print(", ".join(f"{name} {value}" for name, value in rows[-1].items()), flush=True)
    if chosen.json:
        about = {"machine": platform.processor() or platform.machine(), "cores": os.cpu_count()}
        document = {"machine": about, "versions": {"celltrail": version("celltrail")}, "rows": rows}
        chosen.json.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    sys.exit(any(row.get(fault) for row in rows for fault in ("mixed", "lost", "failed", "left")))


if __name__ == "__main__":
    main()
