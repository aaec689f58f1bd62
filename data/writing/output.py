"""Whole results or none: work in a hidden partial folder or file, then rename it."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from celltrail.data.errors import InputError
from celltrail.data.regular import special
from celltrail.data.writing.exchange import exchange_names
from celltrail.data.writing.ownership import owned, unwritable


def partial_path(out: Path) -> Path:
    """Where the work for ``out`` is done: ``.NAME.partial`` beside it."""
    return out.parent / f".{out.name}.partial"


def refuse_existing(out: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Raise `InputError` if ``out`` exists and may not be replaced.

    An empty folder may always be used. With ``overwrite`` a result is replaced, but never a folder
    that holds the place one works in, one's home, or one of ``inputs``.
    """
    if is_stream(out) or not out.exists() or (out.is_dir() and not any(out.iterdir())):
        return
    if not overwrite:
        raise InputError(f"{out} exists already: choose another name, or add --overwrite to replace it.")
    here = out.resolve()
    for kept in (Path.cwd(), Path.home(), *inputs):
        if kept.resolve().is_relative_to(here):
            what = "is what is read, and" if kept.resolve() == here else f"holds {kept}, which"
            raise InputError(f"{out} {what} must not be replaced: choose another name for the result.")


def is_stream(out: Path) -> bool:
    """Whether a name stands for a pipe, a device, or a file that is open already (``/dev/stdout``)."""
    place = os.path.abspath(out.parent)
    return special(out) is not None or place in ("/dev", "/dev/fd") or place.startswith("/proc/")


def _write_to_stream(file: Path, out: Path) -> None:
    try:  # a pipe that nobody reads must not be waited for
        handle = os.open(out, os.O_WRONLY | os.O_APPEND | getattr(os, "O_NONBLOCK", 0))
        with os.fdopen(handle, "wb") as stream, file.open("rb") as source:
            os.set_blocking(handle, True)
            shutil.copyfileobj(source, stream)
    except BrokenPipeError:
        raise
    except OSError as error:
        if error.errno == errno.ENOSPC:
            raise
        raise InputError(f"{out} takes nothing ({error.strerror}): choose a file.") from None


def _target(out: Path) -> Path:
    """Where a link leads, so that the link stays and what it names is replaced."""
    return Path(os.path.realpath(out)) if out.is_symlink() else out


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def _clear(work: Path, *, patient: bool) -> None:
    """Remove what was begun; after a failed write ``patient``, since threads of a library may still write what they had begun (Zarr)."""
    for pause in (0.0, 0.1, 0.4) if patient else (0.0,):
        time.sleep(pause)
        shutil.rmtree(work, ignore_errors=True)


def _ready(out: Path) -> Path:
    """Where a whole new result waits for the moment in which it takes the place of an older one."""
    return out.parent / f".{out.name}.new"


def _put_in_place(work: Path, out: Path) -> None:
    """Rename ``work`` to ``out``. An older ``out`` is there until the new one is, in one step where the system can."""
    if not out.exists() or (out.is_file() and work.is_file()):
        os.replace(work, out)
        return
    ready = _ready(out)
    _remove(ready)
    os.replace(work, ready)  # from here on nobody takes it for unfinished work to go on with
    if exchange_names(ready, out):
        _remove(ready)
        return
    os.replace(out, work)
    try:
        os.replace(ready, out)
    except OSError:
        os.replace(work, out)
        raise
    _remove(work)


def _recover(out: Path) -> None:
    """Bring a new result into place whose run was killed between two renames; forget what is superfluous."""
    ready = _ready(out)
    if ready.exists() and not out.exists():
        os.replace(ready, out)
        _remove(partial_path(out))  # the older result
    else:
        _remove(ready)


@contextmanager
def output_folder(out: Path, *, overwrite: bool = False, resume: bool = False, keep: bool = False) -> Iterator[Path]:
    """Give a folder to work in, and rename it to ``out`` when the block ends without an error. One run at a time owns ``out``.

    Parameters
    ----------
    out : Path
        The folder that shall hold the result.
    overwrite : bool
        Replace an existing ``out``; otherwise `InputError`.
    resume : bool
        Go on in a partial folder that an interrupted run has left, and keep it after an error; otherwise such a
        folder is emptied first, and removed after an error.
    keep : bool
        Keep it after anything but an `InputError`, so that another run can go on.
    """
    out = Path(out)
    if kind := special(out) or (out.is_file() and "a file"):
        raise InputError(f"{out} is {kind}, but the result is a folder: choose another name.")
    out = _target(out)
    with owned(out):
        yield from _work_in(out, overwrite=overwrite, resume=resume, keep=keep)


def _work_in(out: Path, *, overwrite: bool, resume: bool, keep: bool) -> Iterator[Path]:
    work = partial_path(out)
    try:
        _recover(out)
        refuse_existing(out, overwrite=overwrite)
        if not resume and work.exists():
            _remove(work)
        work.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise unwritable(out, error) from error
    try:
        yield work
        _put_in_place(work, out)
    except BaseException as error:
        if not resume and (isinstance(error, InputError) or not keep):
            _clear(work, patient=isinstance(error, OSError))
        raise


@contextmanager
def output_file(out: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Give a temporary path beside ``out``; rename it to ``out`` when the block ends without an error.

    A stream (the standard output, a pipe, a device) is written to when the block has ended, and never replaced.
    """
    out = Path(out)
    if is_stream(out):
        with tempfile.TemporaryDirectory(prefix="celltrail-") as place:
            yield Path(place) / out.name
            _write_to_stream(Path(place) / out.name, out)
        return
    if out.is_dir():
        raise InputError(f"{out} is a folder, but the result is a file: choose another name.")
    out = _target(out)
    work = out.parent / f".{out.stem}.partial{out.suffix}"
    with owned(out):
        refuse_existing(out, overwrite=overwrite)
        try:
            yield work
            _put_in_place(work, out)
        except BaseException:
            work.unlink(missing_ok=True)
            raise
