"""Solved parts of a problem on disk, so that a run that was stopped can go on where it was.

A part is named after its content: what is read back is the answer to exactly the same programme, so a run that goes on
ends with the same bytes as one that was never stopped, and a run with other costs finds nothing to reuse.
"""

from __future__ import annotations

import hashlib
import os
import shutil
from collections import deque
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from celltrail.data.errors import InputError
from celltrail.data.running.workers import Mapper
from celltrail.tracking.solving.blocks import BlockSolutions, Relaxation, Task, relax_task

SOLVERS = ("celltrail", "highspy", "pulp")  # another version may find another optimum of equal cost


@contextmanager
def saved_parts(out: Path, *, resume: bool) -> Iterator[Path]:
    """The folder beside ``out`` that keeps the solved parts of its problem.

    It stays after the block, whatever happens, so that a later run can go on; but not after an `InputError`.

    Parameters
    ----------
    resume : bool
        Use what an earlier run has left; otherwise it is removed first.
    """
    folder = out.parent / f".{out.name}.solved"
    if not resume:
        forget(folder)
    try:
        yield folder
    except InputError:
        if not resume:
            forget(folder)
        raise
    finally:
        if folder.is_dir() and not any(folder.iterdir()):
            folder.rmdir()


def forget(folder: Path) -> None:
    """Remove the solved parts: the problem is solved."""
    shutil.rmtree(folder, ignore_errors=True)


def remember(mapper: Mapper, folder: Path) -> Mapper:
    """A function like ``mapper`` for the tasks of `celltrail.tracking.solving.blocks`, which solves only what ``folder`` does not hold.

    What a time limit may have cut short is not kept.
    """

    def remembering(function: Any, tasks: Iterable[Any]) -> Iterator[Any]:
        waiting: deque[tuple[Path, Any]] = deque()  # in order; None: not known yet

        def unknown() -> Iterator[Any]:
            for task in tasks:
                file = folder / f"{_name(function, task)}.npz"
                answer = _load(file, Relaxation if function.func is relax_task else BlockSolutions)
                waiting.append((file, answer))
                if answer is None:
                    yield task

        for answer in mapper(function, unknown()):
            while waiting[0][1] is not None:
                yield waiting.popleft()[1]
            file, _ = waiting.popleft()
            if function.keywords["deadline"] is None or (isinstance(answer, BlockSolutions) and answer.proven.all()):
                _save(file, answer)
            yield answer
        yield from (answer for _, answer in waiting)

    return remembering


def _name(function: partial[Any], task: Task) -> str:
    """A name for what is asked: the programme, what is to be found, and by which solver."""
    digest = hashlib.sha256()
    words = (
        function.func.__name__,
        function.keywords["solver"],
        *map(version, SOLVERS),
        task.groups,
        task.matrix.shape,
    )
    digest.update(repr(words).encode())
    matrix = (task.matrix.data, task.matrix.indices, task.matrix.indptr)
    for array in (*matrix, task.cost, task.nudge, task.lower, task.upper, task.group, task.incumbent):
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _save(file: Path, answer: BlockSolutions | Relaxation) -> None:
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"{file.parent} cannot be written ({error.strerror}): choose a folder that you may write to."
        ) from error
    work = file.with_suffix(".partial")
    try:
        with work.open("wb") as stream:
            np.savez(stream, **{name: array for name, array in vars(answer).items() if array is not None})
        os.replace(work, file)
    except BaseException:
        work.unlink(missing_ok=True)
        raise


def _load(file: Path, kind: type[BlockSolutions] | type[Relaxation]) -> BlockSolutions | Relaxation | None:
    """A saved answer; ``None`` where there is none, or a crash of the machine has damaged it."""
    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
            return kind(**{name: arrays.get(name) for name in kind.__dataclass_fields__})
    except (OSError, ValueError, EOFError, BadZipFile):
        return None
