"""One writer at a time: whoever makes a result owns its name until it stands."""

from __future__ import annotations

import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import datetime
from pathlib import Path

from filelock import FileLock, Timeout

from celltrail.data.errors import InputError

_held = threading.local()  # paths that this thread owns already: the writers of a command may be nested


def lock_path(out: Path) -> Path:
    """The file whose lock is the right to write ``out``: ``.NAME.lock`` beside it, there only while somebody writes."""
    return out.parent / f".{out.name}.lock"


@contextmanager
def owned(out: Path) -> Iterator[None]:
    """Own the name ``out`` inside the block, against every other process and thread on any machine that sees the folder.

    The lock is the operating system's, so that it ends with its process, however that ends.

    Parameters
    ----------
    out : Path
        The result that is to be written, a file or a folder; it need not exist.

    Raises
    ------
    InputError
        If somebody else is writing it: who, and since when. Or if the place cannot be written, or is no name.
    """
    out = Path(out)
    if out.name in ("", ".."):
        raise InputError(f"'{out}' is a place and no name for a result: give one, for example {out / 'RES'}.")
    mine: set[Path] = _held.__dict__.setdefault("paths", set())
    path = lock_path(Path(os.path.abspath(out)))
    if path in mine:
        yield
        return
    made: list[Path] = []
    try:
        made = _make_folders(path.parent)
        lock = FileLock(path)
        lock.acquire(timeout=0)
    except Timeout:
        try:  # the lock waits for a file that cannot be made as it does for one that is held
            path.open("a").close()
        except OSError as error:
            _remove_empty(made)
            raise unwritable(out, error) from error
        raise InputError(
            f"{out} is being written by another run{_owner(path)}: wait until it has ended, or choose another name."
        ) from None
    except OSError as error:
        _remove_empty(made)
        raise unwritable(out, error) from error
    mine.add(path)
    try:
        with suppress(OSError):  # a full disk: the lock holds all the same
            path.write_text(json.dumps(_about_me()), encoding="utf-8")
        yield
    finally:
        mine.discard(path)
        with suppress(OSError):  # Windows removes no open file
            path.unlink()
        lock.release()
        with suppress(OSError):
            if os.name == "nt":
                path.unlink()
        _remove_empty(made)


def unwritable(out: Path, error: OSError) -> InputError:
    """Why a result cannot be written: what is in the way, or what the system says."""
    in_the_way = next((place for place in out.parents if place.exists() and not place.is_dir()), None)
    if in_the_way is not None:
        return InputError(f"{out} cannot be written: {in_the_way} is no folder. Choose another name.")
    return InputError(f"{out} cannot be written ({error.strerror}): choose a folder that you may write to.")


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder with its parents; returns those that were not there, the innermost first."""
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    return missing


def _remove_empty(folders: list[Path]) -> None:
    for folder in folders:
        with suppress(OSError):
            folder.rmdir()


def _about_me() -> dict[str, object]:
    return {
        "process": os.getpid(),
        "host": socket.gethostname(),
        "since": datetime.now().isoformat(timespec="seconds"),
        "command": " ".join(Path(word).name if i == 0 else word for i, word in enumerate(sys.argv[:3])),
    }


def _owner(path: Path) -> str:
    """Who holds a lock, in brackets; nothing where its file does not tell."""
    try:
        about = json.loads(path.read_text(encoding="utf-8"))
        since = datetime.fromisoformat(about["since"]).strftime("%H:%M on %d %B %Y")
        return f" (process {int(about['process'])} on {str(about['host'])[:80]}, since {since})"
    except (OSError, ValueError, KeyError, TypeError):
        return ""
