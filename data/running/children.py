"""No orphans: whatever ends a process of ours, its children end with it, and what they keep in the temporary folder goes.

Solvers, workers and encoders are processes that libraries start; one that outlives its master goes on for hours. A
small guard (a shell that costs 1 MB) waits on a pipe whose other end only the master holds. When the master ends,
however it does, the pipe closes, and the guard kills every process that carries the master's mark in its environment.
"""

from __future__ import annotations

import atexit
import os
import secrets
import shutil
import subprocess
import tempfile
from contextlib import suppress
from pathlib import Path

MARK = "CELLTRAIL_FAMILY_"
GUARD = """
cat > /dev/null
calm=0
while [ $calm -lt 3 ]; do
  calm=$((calm + 1))
  for process in /proc/[0-9]*; do
    if grep -qsz "^$1=" "$process/environ" && kill -KILL "${process#/proc/}" 2> /dev/null; then calm=0; fi
  done
  sleep 0.1
done
rm -rf "$2"
"""
_folders: dict[int, Path] = {}  # by process: a fork is not its parent


def watch_children() -> Path:
    """From now on the children of this process end with it; call it before one is started.

    Returns
    -------
    Path
        A folder for the temporary files of the children, which is removed with them.

    Notes
    -----
    Where the system has no ``/proc`` (macOS, Windows) only the folder is removed, at an orderly end.
    """
    if os.getpid() in _folders:
        return _folders[os.getpid()]
    folder = Path(tempfile.mkdtemp(prefix="celltrail-"))
    _folders[os.getpid()] = folder
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    mark = MARK + secrets.token_hex(8)
    if Path("/proc/self/environ").is_file():
        guard = subprocess.Popen(
            ["/bin/sh", "-c", GUARD, "celltrail-guard", mark, str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env={"PATH": os.environ.get("PATH", os.defpath)},  # without a mark: no guard kills another
            start_new_session=True,  # nor does a Ctrl-C, or a signal to the group
            cwd="/",
        )
        atexit.register(_dismiss, guard)
    os.environ[mark] = "1"
    return folder


def _dismiss(guard: subprocess.Popen[bytes]) -> None:
    """At an orderly end: close the pipe, and leave the guard to its last round."""
    with suppress(OSError):
        if guard.stdin is not None:
            guard.stdin.close()
    guard.returncode = 0  # nobody waits for it


def free_environment() -> dict[str, str]:
    """The environment for a process that shall outlive this one."""
    return {name: value for name, value in os.environ.items() if not name.startswith(MARK)}
