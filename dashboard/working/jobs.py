"""Jobs: commands of Celltrail in processes of their own, which go on when the page is closed.

A job is a folder with ``job.json`` (title, commands, time), ``log.txt``, ``progress.jsonl`` and, when it
has ended, ``end.json``. The process that runs the commands is this module:  python -m celltrail.dashboard.working.jobs FOLDER.
"""

from __future__ import annotations

import getpass
import json
import os
import secrets
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from celltrail.data import InputError
from celltrail.data.running.children import free_environment, watch_children
from celltrail.data.running.console import PROGRESS_FILE

State = Literal["running", "done", "failed", "cancelled"]
LOG_BYTES = 20_000
_children: dict[str, subprocess.Popen[bytes]] = {}  # jobs that this process has started


@dataclass(frozen=True)
class Job:
    """What is known about a job.

    ``stage`` and ``share`` (0 … 1) tell how far it is; ``result`` is what it makes, if that can be shown.
    """

    id: str
    title: str
    commands: list[list[str]]
    started: float
    state: State
    stage: str
    share: float
    log: str
    result: Path | None = None

    @property
    def command_line(self) -> str:
        """The same work for a terminal."""
        return "\n".join(shlex.join(["celltrail", *command]) for command in self.commands)


def home() -> Path:
    """The folder of this user's jobs."""
    folder = Path(tempfile.gettempdir()) / f"celltrail-jobs-{getpass.getuser()}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.is_symlink() or (hasattr(os, "getuid") and folder.stat().st_uid != os.getuid()):
        raise InputError(f"{folder} belongs to another user: set TMPDIR to a folder of your own.")
    return folder


def start_job(title: str, commands: list[list[str]], result: Path | None = None) -> str:
    """Start commands of ``celltrail`` (without that word), one after the other; returns the id of the job."""
    key = time.strftime("%Y%m%d-%H%M%S-") + secrets.token_hex(4)
    folder = home() / key
    folder.mkdir(mode=0o700)
    with (folder / "log.txt").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "celltrail.dashboard.working.jobs", str(folder)],
            stdout=log,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            start_new_session=True,
            env=free_environment(),  # a job goes on when the dashboard is closed
        )
    _children[key] = process
    about = {
        "title": title,
        "commands": commands,
        "started": time.time(),
        "pid": process.pid,
        "result": None if result is None else str(result),
    }
    (folder / "job.json.partial").write_text(json.dumps(about), encoding="utf-8")
    os.replace(folder / "job.json.partial", folder / "job.json")
    return key


def list_jobs() -> list[Job]:
    """All jobs of this user, the latest first."""
    return [read_job(path.parent.name) for path in sorted(home().glob("*/job.json"), reverse=True)]


def read_job(key: str) -> Job:
    """A job by its id; ``KeyError`` if there is none."""
    folder = _folder(key)
    about = json.loads((folder / "job.json").read_text(encoding="utf-8"))
    stage, share = _progress(folder / "progress.jsonl")
    return Job(
        id=key,
        title=about["title"],
        commands=about["commands"],
        started=about["started"],
        state=_state(folder, about["pid"]),
        stage=stage,
        share=share,
        log=_tail(folder / "log.txt"),
        result=Path(about["result"]) if about.get("result") else None,
    )


def cancel_job(key: str) -> None:
    """Stop a job that runs, with all its processes."""
    folder = _folder(key)
    pid = json.loads((folder / "job.json").read_text(encoding="utf-8"))["pid"]
    if _state(folder, pid) == "running":
        (folder / "end.json").write_text(json.dumps({"state": "cancelled"}), encoding="utf-8")
        os.killpg(pid, signal.SIGTERM)
        if key in _children:
            _children[key].wait()


def _folder(key: str) -> Path:
    if key not in {path.parent.name for path in home().glob("*/job.json")}:
        raise KeyError(key)
    return home() / key


def _state(folder: Path, pid: int) -> State:
    if (folder / "end.json").is_file():
        state: State = json.loads((folder / "end.json").read_text(encoding="utf-8"))["state"]
        return state
    return "running" if _is_ours(pid, folder) else "failed"


def _is_ours(pid: int, folder: Path) -> bool:
    """Whether the process still runs, and is the one that was started for this folder (numbers are used again)."""
    if folder.name in _children:
        return _children[folder.name].poll() is None
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        if Path("/proc").is_dir():
            return False
        try:
            os.kill(pid, 0)
        except OSError:
            return False
        return True
    return str(folder).encode() in words


def _progress(path: Path) -> tuple[str, float]:
    lines = _tail(path).strip().splitlines()
    for line in reversed(lines):
        try:
            last = json.loads(line)
        except json.JSONDecodeError:
            continue  # a line that is being written
        return str(last["stage"]), last["done"] / last["total"] if last["total"] else 0.0
    return "", 0.0


def _tail(path: Path) -> str:
    if not path.is_file():
        return ""
    with path.open("rb") as stream:
        stream.seek(0, os.SEEK_END)
        stream.seek(max(0, stream.tell() - LOG_BYTES))
        return stream.read().decode("utf-8", errors="replace")


def run_folder(folder: Path) -> int:
    """Run the commands of a job one after the other; stops at the first that fails."""
    while not (folder / "job.json").is_file():
        time.sleep(0.02)
    commands = json.loads((folder / "job.json").read_text(encoding="utf-8"))["commands"]
    watch_children()
    environment = {**os.environ, PROGRESS_FILE: str(folder / "progress.jsonl"), "PYTHONUNBUFFERED": "1"}
    status = 0
    for command in commands:
        sys.stdout.write(shlex.join(["$ celltrail", *command]).replace("'$ celltrail'", "$ celltrail") + "\n")
        sys.stdout.flush()
        status = subprocess.run([sys.executable, "-m", "celltrail", *command], env=environment, check=False).returncode
        if status:
            break
    (folder / "end.json").write_text(json.dumps({"state": "failed" if status else "done"}), encoding="utf-8")
    return status


if __name__ == "__main__":
    sys.exit(run_folder(Path(sys.argv[1])))
