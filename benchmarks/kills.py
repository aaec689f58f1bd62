"""Commands killed at random moments: what stands under a final name is always whole, and --resume ends the same.

    python benchmarks/kills.py [--moments 50] [--changes 50] [--only track convert …] [--json FILE]

Every command runs once to its end, then again and again until it was killed (SIGKILL, with all its children)
``--moments`` times at random moments of its work, and ``--changes`` times just before a random one of its changes
of the disk (a file opened for writing, a rename, a removal), which needs no clock. Half of the runs have no result
yet, half replace an older one that says something else. After each kill everything beside the work is looked at:
each name must be absent (where nothing stood), or the old result, or the new one, byte by byte without seconds and
paths. ``train`` and ``segment`` then go on with ``--resume``, now and then killed once more, and must end with the
bytes of a run that was never killed. In the end a run to the end must clean up what the killed ones left behind.

The commands run in forks of this process, so that a kill hits their work and not the seconds of their imports.
One row per command: kills by moment and by change, how often each outcome was found, resumed runs, faults.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import random
import shutil
import signal
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from measure import markdown_table, parser, write_rows

VOLATILE = {"seconds", "peak_memory_mb", "minutes", "path"}  # keys and columns that differ from run to run
CHANGES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate", "os.link", "os.symlink"}


@dataclass(frozen=True)
class Case:
    """A command: its words (``OUT`` stands for the result), the words of another result, and what it makes."""

    name: str
    words: list[object]
    other: list[object]
    out: str
    resumes: bool = False


def make_cases(folder: Path) -> list[Case]:
    """A small data set with truth and results, and the commands that are killed on it."""
    from celltrail.data.simulation.scene import simulate_movie, write_movie

    data, result, first = folder / "set", folder / "set/01_RES", folder / "first"
    write_movie(simulate_movie(frames=6, cells=8, size=(96, 96), seed=5), data)
    run_to_end(["track", data / "01_GT/TRA", "--out", result])
    run_to_end(["track", data / "01_GT/TRA", "--frames", "0:3", "--out", first])
    simulate: list[object] = ["simulate", "OUT", "--frames", 6, "--cells", 8, "--size", 96, 96]
    train = ["train", data, "--sequence", "01", "--truth", "GT", "--width", 4, "--depth", 1, "--scale", 2]
    segment = ["segment", data / "01", "--model", "sim-fluo", "--out", "OUT"]
    compare = ["compare", data, f"one={result}", f"two={data / '01_GT/TRA'}", "--draws", 200, "--out", "OUT"]
    evaluate = ["--json", "OUT/scores.json", "--errors", "OUT/errors.csv", "--report", "OUT/report.html"]
    return [
        Case("simulate", [*simulate, "--seed", 1], [*simulate, "--seed", 2], "made"),
        Case(
            "train",
            [*train, "--steps", 12, "--epoch", 3, "--seed", 1, "--out", "OUT"],
            [*train, "--steps", 2, "--seed", 2, "--out", "OUT"],
            "model.safetensors",
            resumes=True,
        ),
        Case("segment", segment, [*segment, "--binary", "--frames", "0:2"], "masks", resumes=True),
        Case(
            "track",
            ["track", data / "01_GT/TRA", "--out", "OUT"],
            ["track", data / "01_GT/TRA", "--frames", "0:3", "--out", "OUT"],
            "result",
        ),
        Case(
            "evaluate",
            ["evaluate", data / "01_GT", result, *evaluate],
            ["evaluate", data / "01_GT", result, "--frames", "0:3", *evaluate],
            ".",
        ),
        Case("compare", [*compare, "--seed", 1], [*compare, "--seed", 2, "--frames", "0:3"], "comparison"),
        Case("convert", ["convert", result, "OUT"], ["convert", first, "OUT"], "tracks.zarr"),
        Case(
            "render",
            ["render", result, "--images", data / "01", "--out", "OUT"],
            ["render", result, "--images", data / "01", "--frames", "0:1", "--out", "OUT"],
            "film.gif",
        ),
    ]


# --- a command in a fork --------------------------------------------------------------------------


@dataclass
class Ended:
    """How a run ended: exit code (``None``: killed), seconds, changes of the disk, and what it said."""

    status: int | None
    seconds: float
    changes: int
    said: str


def run(words: list[object], *, moment: float | None = None, change: int | None = None) -> Ended:
    """Run a command in a fork; kill it after ``moment`` seconds, or just before its ``change``-th change of the disk."""
    with tempfile.TemporaryFile() as said, tempfile.TemporaryFile() as count:
        start = time.perf_counter()
        child = os.fork()
        if child == 0:
            work(words, change, said.fileno(), count.fileno())
        ended, state = os.waitpid(child, 0 if moment is None else os.WNOHANG)
        while not ended:
            time.sleep(0.001)
            if moment is not None and time.perf_counter() - start > moment:
                kill_group(child)
                moment = None
            ended, state = os.waitpid(child, os.WNOHANG)
        seconds = time.perf_counter() - start
        kill_group(child)  # its children, if any
        said.seek(0), count.seek(0)
        status = None if os.WIFSIGNALED(state) else os.WEXITSTATUS(state)
        return Ended(status, seconds, len(count.read()), said.read().decode())


def work(words: list[object], change: int | None, said: int, count: int) -> None:
    """What the fork does; it never returns."""
    import celltrail.cli
    from celltrail.data.running import console

    os.setsid()
    os.dup2(said, 1), os.dup2(said, 2)
    seen = 0

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        nonlocal seen
        flags = arguments[2] if event == "open" and isinstance(arguments[2], int) else 0
        if event in CHANGES or flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT):
            seen += 1
            if seen == change:
                os.killpg(0, signal.SIGKILL)
            os.write(count, b".")

    sys.addaudithook(watch)
    status = console.run(celltrail.cli.app, [str(word) for word in words])
    sys.stdout.flush(), sys.stderr.flush()
    os._exit(status)


def kill_group(leader: int) -> None:
    """SIGKILL to a process and its children; nothing where they have ended."""
    try:
        os.killpg(leader, signal.SIGKILL)
    except ProcessLookupError:
        return


def run_to_end(words: list[object]) -> Ended:
    """Run a command that must work; the benchmark ends where it fails."""
    ended = run(words)
    if ended.status != 0:
        sys.exit(f"'celltrail {' '.join(map(str, words))}' ended with {ended.status}:\n{ended.said}")
    return ended


# --- what stands on the disk ----------------------------------------------------------------------


def results(place: Path) -> dict[str, str]:
    """Everything in a folder that is no partial work: name → fingerprint of a file or a folder as a whole."""
    return {entry.name: fingerprint(entry) for entry in place.iterdir() if not entry.name.startswith(".")}


def fingerprint(path: Path) -> str:
    """What a result says, without seconds, memory and paths."""
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    digest = hashlib.sha256()
    for file in files:
        digest.update(str(file.relative_to(path)).encode())
        digest.update(content(file))
    return digest.hexdigest()


def content(file: Path) -> bytes:
    """The bytes of a file; of JSON and tables without what is `VOLATILE`, of a log nothing."""
    if file.name == "run.log":
        return b""
    raw = file.read_bytes()
    try:
        if file.suffix == ".json":
            return json.dumps(without_volatile(json.loads(raw)), sort_keys=True).encode()
        if file.suffix == ".csv":
            return json.dumps(without_volatile(list(csv.DictReader(io.StringIO(raw.decode()))))).encode()
    except ValueError:
        return b"damaged " + raw
    return raw


def without_volatile(value: Any) -> Any:
    """A JSON value without the entries that differ from run to run."""
    if isinstance(value, dict):
        return {key: without_volatile(item) for key, item in value.items() if key not in VOLATILE}
    return [without_volatile(item) for item in value] if isinstance(value, list) else value


# --- killing --------------------------------------------------------------------------------------


@dataclass
class Row:
    """What was found for one command."""

    moments: int = 0
    changes: int = 0
    after_end: int = 0
    none: int = 0
    old: int = 0
    new: int = 0
    mixed: int = 0  # several files of which some are new: each is whole
    resumed: int = 0
    resumed_from: int = 0  # of these, those that found work to go on from
    faults: list[str] = field(default_factory=list)


def kill_often(case: Case, place: Path, moments: int, changes: int, dice: random.Random) -> dict[str, Any]:
    """Kill a command at random moments and at random changes of the disk; the row of what was found."""
    words, other = (name_result(w, place, case.out) for w in (case.words, case.other))
    run_to_end(other)
    old = results(place)
    replaced = run_to_end([*words, "--overwrite"])
    clear(place)
    fresh = run_to_end(words)
    new = results(place)
    keep = place.with_name(f"{place.name}-old")
    clear(place)
    run_to_end(other)
    shutil.copytree(place, keep)

    row = Row()
    plan = [("moment", n % 2 == 1) for n in range(moments)] + [("change", n % 2 == 1) for n in range(changes)]
    for way, over_old in plan:
        for _ in range(20):  # until the kill comes before the end
            whole = replaced if over_old else fresh
            clear(place)
            if over_old:
                shutil.copytree(keep, place, dirs_exist_ok=True)
            start = [*words, *(["--overwrite"] if over_old else [])]
            if way == "moment":
                ended = run(start, moment=dice.uniform(0, whole.seconds))
            else:
                ended = run(start, change=dice.randint(1, whole.changes))
            if ended.status is None:
                break
            row.after_end += 1
            whole.seconds = min(whole.seconds, ended.seconds)  # the machine has become quicker
        else:
            row.faults.append(f"no kill by {way} came before the end")
        row.moments += way == "moment"
        row.changes += way == "change"
        judge(row, results(place), old if over_old else {}, new, f"killed by {way}")
        if case.resumes:
            resume(row, words, place, over_old, new, dice)
    run_to_end([*words, "--overwrite"])
    if results(place) != new:
        row.faults.append("the last run did not give the new result")
    left = sorted(entry.name for entry in place.iterdir() if entry.name.startswith("."))
    if left:
        row.faults.append(f"left behind: {left}")
    return {**vars(row), "faults": len(row.faults), "first_fault": next(iter(row.faults), "")}


def name_result(words: list[object], place: Path, out: str) -> list[object]:
    """The words of a command with the place of its result in them."""
    return [str(word).replace("OUT", str(place / out)) for word in words]


def clear(place: Path) -> None:
    """An empty folder."""
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)


def judge(row: Row, found: dict[str, str], old: dict[str, str], new: dict[str, str], what: str) -> None:
    """Count what stands on the disk after a kill; a fault where it is neither the old nor the new."""
    for name in {*found, *old}:
        if found.get(name) not in (old.get(name), new.get(name)) or (name in old and name not in found):
            row.faults.append(f"{what}: {name} is {'damaged' if name in found else 'gone'}")
            return
    if found == new:
        row.new += 1
    elif found == old:
        row.old += bool(old)
        row.none += not old
    else:
        row.mixed += 1


def resume(
    row: Row, words: list[object], place: Path, over_old: bool, new: dict[str, str], dice: random.Random
) -> None:
    """Go on after a kill, every third time killed once more, until the command ends."""
    again = [*words, "--resume", *(["--overwrite"] if over_old or results(place) else [])]
    if dice.random() < 1 / 3:
        run(again, change=dice.randint(1, 6))
    has_begun = any(entry.name.startswith(".") for entry in place.iterdir())
    ended = run([*again, "--overwrite"])
    if ended.status == 2 and "without --resume" in ended.said:  # killed before there was anything to keep
        ended = run([*words, "--overwrite"])
    else:
        row.resumed_from += has_begun
    row.resumed += 1
    found = results(place)
    other = sorted(name for name in {*new, *found} if found.get(name) != new.get(name))
    if ended.status != 0 or other:
        row.faults.append(f"--resume ended with {ended.status}, other bytes in {other}")


def main() -> None:
    """Kill every command and print the table."""
    arguments = parser(__doc__)
    arguments.add_argument("--moments", type=int, default=50, help="kills at random moments (default 50)")
    arguments.add_argument("--changes", type=int, default=50, help="kills at changes of the disk (default 50)")
    arguments.add_argument("--only", nargs="*", default=None, help="commands; all by default")
    chosen = arguments.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # a fork of a process with threads could wait for ever
    rows = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for case in load(make_cases(folder), chosen.only):
            place = folder / "results" / case.name
            clear(place)
            row = kill_often(case, place, chosen.moments, chosen.changes, random.Random(case.name))
            rows.append({"case": case.name, "method": "celltrail", **row})
            print(f"{case.name}: {row}", file=sys.stderr, flush=True)
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    write_rows(chosen.json, rows)
    sys.exit(1 if any(row["faults"] for row in rows) else 0)


def load(cases: list[Case], only: list[str] | None) -> Iterator[Case]:
    """The chosen cases, once what they import is loaded, so that it is there in every fork."""
    chosen = [case for case in cases if only is None or case.name in only]
    if not chosen:
        sys.exit(f"--only: choose among {', '.join(case.name for case in cases)}.")
    import celltrail.evaluation.reports.sequence_report
    import celltrail.tracking.pipeline

    if any(case.resumes for case in chosen):
        import celltrail.segmentation.training.loop  # noqa: F401
    if any(case.name == "convert" for case in chosen):
        import geff  # noqa: F401
    yield from chosen


if __name__ == "__main__":
    main()
