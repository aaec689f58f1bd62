"""``run.json``: what a result was made from, so that it can be trusted and made again."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.files.movie import Frames
from celltrail.data.regular import open_regular, read_json

RUN_FILE = "run.json"
SCHEMA = "celltrail.run/1"


def fingerprint(movie: Mapping[int, Any]) -> dict[str, Any]:
    """Where frames came from, and one hash over names and bytes of all files."""
    if not isinstance(movie, Frames):
        return {"path": None, "frames": len(movie)}
    digest = hashlib.sha256()
    for path in movie.files:
        digest.update(path.name.encode())
        with open_regular(path) as stream:
            digest.update(hashlib.file_digest(stream, "sha256").digest())
    return {"path": str(movie.path), "frames": len(movie), "files": len(movie.files), "sha256": digest.hexdigest()}


def fingerprint_of_file(path: Path) -> dict[str, Any]:
    """Where a file lies, and the hash of its bytes."""
    with open_regular(path) as stream:
        return {"path": str(path), "sha256": hashlib.file_digest(stream, "sha256").hexdigest()}


def are_a_guess(masks: Mapping[int, Any]) -> bool:
    """Whether masks were made by a model that does not know such images, as the ``run.json`` among them says."""
    if not isinstance(masks, Frames):
        return False
    try:
        run = read_json(masks.path / RUN_FILE)
    except (InputError, OSError, ValueError):  # none, or one of something else: nothing is known
        return False
    return isinstance(run, dict) and run.get("command") == "segment" and run.get("fits") is False


def peak_memory_mb() -> float | None:
    """Largest memory of this process so far in MB; ``None`` where the system does not tell."""
    if sys.platform == "win32":
        return None
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


def read_run(path: Path, command: str = "track") -> dict[str, Any]:
    """The content of a ``run.json`` of a command; `InputError` if it is none."""
    try:
        run = read_json(path)
        known = all(isinstance(run[name], dict) for name in ("config", "inputs", "versions"))
        known = known and run.get("command", "track") == command
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: --from names the run.json of an earlier result.") from None
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise InputError(
            f"{path} is not the run.json of 'celltrail {command}': give the one in the folder of a result."
        )
    return dict(run)


def changed_inputs(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Inputs, versions and options that are others than in an earlier run, as sentences."""
    told = []
    for name, found in now["inputs"].items():
        known = before["inputs"].get(name)
        if (known or {}).get("sha256") != (found or {}).get("sha256"):
            verb = "are not those" if name.endswith("s") else "is not that"
            told.append(f"The {name} {verb} of the earlier run: their fingerprint has changed.")
    for name, version in now["versions"].items():
        known = before["versions"].get(name)
        if known != version:
            told.append(f"{name} is {version} here; the earlier run had {known}.")
    for name in sorted({*before["config"], *now["config"]}):
        then, here = (json.dumps(run["config"].get(name)) for run in (before, now))
        if then != here:
            told.append(f"The option {name} is {here} here; the earlier run had {then}.")
    return told
