"""A full disk, too little memory, no permission: a plain sentence, no half-written result, the old one stays."""

from __future__ import annotations

import os
import resource
import shutil
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from celltrail.data.files.ctc import write_masks
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie

pytestmark = pytest.mark.slow
NOBODY = 65_534


@pytest.fixture
def movie(tmp_path: Path) -> Path:
    """A small data set that everybody may read."""
    write_movie(simulate_movie(frames=6, cells=30, size=(256, 256), seed=3), tmp_path / "set")
    return tmp_path / "set"


def celltrail(*words: object, limit: Callable[[], object]) -> subprocess.CompletedProcess[str]:
    """Run a command in a process of its own, after ``limit`` has been called in it."""
    command = [sys.executable, "-m", "celltrail", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, preexec_fn=limit)


def assert_plain(done: subprocess.CompletedProcess[str], *, codes: tuple[int, ...]) -> None:
    assert done.returncode in codes, done.stderr
    assert "Traceback" not in done.stderr
    assert ": " in done.stderr


@pytest.mark.parametrize(
    "words", [["track", "IN", "--out", "OUT"], ["convert", "IN", "OUT"], ["simulate", "OUT", "--size", "256", "256"]]
)
def test_a_full_disk(movie: Path, tmp_path: Path, words: list[str]) -> None:
    places = {"IN": str(movie / "01_GT" / "TRA"), "OUT": str(tmp_path / "out")}
    words = [places.get(word, word) for word in words]
    full = celltrail(*words, limit=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (1500, 1500)))
    assert_plain(full, codes=(1,))
    assert "disk is full" in full.stderr
    assert {p.name for p in tmp_path.iterdir()} - {".out.solved"} == {"set"}
    if words[0] == "track":  # with room again, what was solved is taken over
        assert celltrail(*words, "--resume", limit=lambda: None).returncode == 0
        assert {p.name for p in tmp_path.iterdir()} == {"set", "out"}


@dataclass
class Disk:
    """A file system of its own with ``room`` bytes left, or where none may be mounted a limit to the size of a file."""

    place: Path
    filler: Path | None

    @contextmanager
    def full(self, room: int = 20_000) -> Iterator[None]:
        """There is no more room than this inside the block."""
        before = resource.getrlimit(resource.RLIMIT_FSIZE)
        if self.filler is None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (1500, before[1]))
        else:
            free = os.statvfs(self.place)
            self.filler.write_bytes(bytes(free.f_bavail * free.f_frsize - room))
        yield
        if self.filler is not None:
            self.filler.unlink()
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    """A real file system in memory, of 64 MB."""
    place = tmp_path / "disk"
    place.mkdir()
    line = ["mount", "-t", "tmpfs", "-o", "size=64m", "tmpfs", str(place)]
    mounted = shutil.which("mount") is not None and subprocess.run(line, capture_output=True).returncode == 0
    yield Disk(place, place / "filler" if mounted else None)
    if mounted:
        subprocess.run(["umount", str(place)], check=True)


@pytest.fixture(scope="module")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A data set with a result."""
    folder = tmp_path_factory.mktemp("tracked")
    write_movie(simulate_movie(frames=6, cells=30, size=(256, 256), seed=3), folder)
    assert run("track", folder / "01_GT" / "TRA", "--images", folder / "01", "--out", folder / "01_RES") == 0
    return folder


def run(*words: object) -> int:
    from celltrail.cli import app

    return console.run(app, [str(word) for word in words])


FILLING = {
    "track": ["track", "SET/01_GT/TRA", "--images", "SET/01", "--out", "OUT"],
    "segment": ["segment", "SET/01", "--model", "sim-fluo", "--out", "OUT"],
    "simulate": ["simulate", "OUT", "--size", "256", "256"],
    "convert to tracks": ["convert", "SET/01_RES", "OUT"],
    "convert to a table": ["convert", "SET/01_RES", "OUT.csv", "--columns", "trackmate"],
    "convert to GEFF": ["convert", "SET/01_RES", "OUT.geff"],
    "measure": ["measure", "SET/01_RES", "--images", "SET/01", "--out", "OUT.csv"],
    "render": ["render", "SET/01_RES", "--images", "SET/01", "--out", "OUT"],
    "solve": ["solve", "SET/01_RES/graph.npz", "--out", "OUT.npz"],
    "review": ["review", "SET/01_RES", "--out", "OUT.csv"],
    "evaluate": ["evaluate", "SET/01_GT", "SET/01_RES", "--report", "OUT.html"],
    "fit": ["fit", "SET", "--out", "OUT.json"],
    "train": ["train", "SET", "--sequence", "01", "--truth", "GT", "--steps", "1", "--out", "OUT.safetensors"],
}
KEPT = {"track": ".out.solved", "solve": ".out.npz.solved", "segment": ".out.partial"}  # of those with --resume


@pytest.mark.parametrize("name", FILLING)
def test_a_full_file_system(name: str, tracked: Path, disk: Disk, capfd: pytest.CaptureFixture[str]) -> None:
    words = [word.replace("SET", str(tracked)).replace("OUT", str(disk.place / "out")) for word in FILLING[name]]
    room = {"review": 4_096, "evaluate": 8_192, "fit": 0, "segment": 40_000}.get(name, 20_000)
    with disk.full(room):
        code = run(*words)
        said = capfd.readouterr().err
    assert (code, "disk is full" in said, "Traceback" in said) == (1, True, False), said
    left = {path.name for path in disk.place.iterdir() if not path.name.startswith("out.failed")}
    assert left <= {KEPT.get(name)}
    before = {path: path.stat().st_mtime_ns for path in (disk.place / ".out.partial").glob("mask*")}
    assert before or name != "segment"
    assert run(*words, *(["--resume"] if name in KEPT else [])) == 0  # with room again
    for path, written in list(before.items())[:-1]:
        assert (disk.place / "out" / path.name).stat().st_mtime_ns == written
    assert not any(path.name.startswith(".out") for path in disk.place.iterdir())


@pytest.mark.parametrize("jobs", [1, 2])
def test_too_little_memory(jobs: int, tmp_path: Path) -> None:
    frame = np.zeros((16_000, 16_000), np.uint16)
    frame[5000:5040, 5000:5040] = 1
    (tmp_path / "masks").mkdir()
    write_masks(tmp_path / "masks", [(0, frame), (1, frame)])
    limit = 900 * 2**20  # the libraries fit, two frames of 512 MB do not
    done = celltrail(
        "track",
        tmp_path / "masks",
        "--out",
        tmp_path / "out",
        "--jobs",
        jobs,
        limit=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert_plain(done, codes=(1, 2))
    assert "memory" in done.stderr
    assert {p.name for p in tmp_path.iterdir()} - {"out.failed.log"} == {"masks"}


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_a_stopped_segmentation_goes_on(
    stop: type[BaseException], movie: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from celltrail.cli import app
    from celltrail.segmentation.prediction import movie as module

    words = ["segment", str(movie / "01"), "--model", "sim-fluo", "--out"]
    whole, out, original, done = tmp_path / "whole", tmp_path / "out", module.find_hypotheses, []

    def stopping(*arguments: object, **options: object) -> object:
        if len(done) == 2:
            raise stop
        done.append(arguments)
        return original(*arguments, **options)

    assert console.run(app, [*words, str(whole)]) == 0
    monkeypatch.setattr(module, "find_hypotheses", stopping)
    assert console.run(app, [*words, str(out)]) == (130 if stop is KeyboardInterrupt else 1)
    assert not out.exists()
    monkeypatch.setattr(module, "find_hypotheses", original)
    before = {path.name: path.stat().st_mtime_ns for path in (tmp_path / ".out.partial").glob("mask*")}
    assert len(before) == 2
    assert console.run(app, [*words, str(out), "--resume"]) == 0
    assert {path.name: path.stat().st_mtime_ns for path in out.glob("mask*") if path.name in before} == before
    files = sorted(path.name for kind in ("mask", "hyp") for path in whole.glob(f"{kind}*"))
    assert len(files) == 12
    assert all((out / name).read_bytes() == (whole / name).read_bytes() for name in files)


def as_nobody(*words: object) -> tuple[int, str]:
    """Run a command as an ordinary user; exit code and what it said.

    In a fork of this process: the interpreter itself may lie where only root can read.
    """
    from celltrail.cli import app

    reader, writer = os.pipe()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # newer Pythons warn of forks beside threads
        child = os.fork()
    if child == 0:
        code = 99
        try:
            os.close(reader)
            for stream in (1, 2):
                os.dup2(writer, stream)
            sys.stdout, sys.stderr = os.fdopen(1, "w"), os.fdopen(2, "w")
            os.setgid(NOBODY)
            os.setuid(NOBODY)
            code = console.run(app, [str(word) for word in words])
            sys.stdout.flush()
            sys.stderr.flush()
        finally:
            os._exit(code)
    os.close(writer)
    with os.fdopen(reader) as stream:
        said = stream.read()
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), said


@pytest.mark.skipif(os.getuid() != 0, reason="only root can become an ordinary user")
def test_no_permission(movie: Path, tmp_path: Path) -> None:
    from celltrail.cli import app

    for folder in (tmp_path, *tmp_path.parents):
        if not folder.stat().st_mode & 0o001:  # pytest keeps its folders to itself
            folder.chmod(0o755)
    masks, other = movie / "01_GT" / "TRA", tmp_path / "free"
    assert console.run(app, ["track", str(masks), "--out", str(tmp_path / "first")]) == 0  # everything is imported
    other.mkdir()
    other.chmod(0o777)
    code, said = as_nobody("track", masks, "--out", tmp_path / "out")
    assert (code, "cannot be written" in said, "Traceback" in said) == (2, True, False), said
    masks.chmod(0o000)
    for words in (["check", masks], ["track", masks, "--out", other / "out"], ["convert", masks, other / "a.csv"]):
        code, said = as_nobody(*words)
        assert (code, ": " in said, "Traceback" in said) == (2, True, False), said
    masks.chmod(0o755)
    (masks / "man_track002.tif").chmod(0o000)
    code, said = as_nobody("track", masks, "--out", other / "out")
    assert (code, "man_track002.tif may not be read" in said, "Traceback" in said) == (2, True, False), said
    assert list(other.iterdir()) == []
