"""Repeat a run from its ``run.json``: the same options and inputs, and what has changed since."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.settings import changed, to_config
from celltrail.tracking.settings import TrackSettings

FILES = ("masks", "images", "pins")


def read_run(path: Path) -> dict[str, Any]:
    """The content of a ``run.json``; `InputError` if it is none."""
    try:
        run = json.loads(path.read_text(encoding="utf-8"))
        known = (
            isinstance(run["config"], dict) and isinstance(run["inputs"], dict) and isinstance(run["versions"], dict)
        )
    except FileNotFoundError:
        raise InputError(f"{path} does not exist: --from names the run.json of an earlier result.") from None
    except (OSError, ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise InputError(f"{path} is not the run.json of 'celltrail track': give the one in the folder of a result.")
    return dict(run)


def settings_of_run(run: Mapping[str, Any]) -> TrackSettings:
    """The settings that made a result; those that an older run does not name have their defaults.

    Raises
    ------
    InputError
        With every setting that is not known here, or has a value that is not allowed.
    """
    config = {name: value for name, value in run["config"].items() if name not in FILES}
    return changed(TrackSettings(), config, source="run.json")


def options_of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``celltrail track`` that made a result, as the command line would have them.

    Raises
    ------
    InputError
        As `settings_of_run`, and if it was made in Python from arrays or pins that are in no file.
    """
    config, inputs = run["config"], run["inputs"]
    options = {name: value for name, value in to_config(settings_of_run(run)).items() if value is not None}
    options = {
        name: " ".join(map(str, value)) if isinstance(value, (list, tuple)) else value
        for name, value in options.items()
    }
    wanted = {"masks": True, "images": config.get("images"), "pins": config.get("pins")}
    for name in FILES:
        path = (inputs.get(name) or {}).get("path")
        if path is not None:
            options[name] = path
        elif wanted[name]:
            raise InputError(f"This run took its {name} from Python, not from files: repeat it there.")
    return options


def changes_since(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """What a run has found other than an earlier one, as sentences; empty if it is the same run again."""
    told = []
    for name, found in now["inputs"].items():
        known = before["inputs"].get(name)
        if (known or {}).get("sha256") != (found or {}).get("sha256"):
            told.append(f"The {name} are not those of the earlier run: their fingerprint has changed.")
    for name, version in now["versions"].items():
        known = before["versions"].get(name)
        if known != version:
            told.append(f"{name} is {version} here; the earlier run had {known}.")
    for name in sorted({*before["config"], *now["config"]}):
        then, here = (json.dumps(run["config"].get(name)) for run in (before, now))
        if then != here:
            told.append(f"The option {name} is {here} here; the earlier run had {then}.")
    if before.get("objective") != now["objective"]:
        told.append(f"The objective is {now['objective']:.6f} here; the earlier run had {before.get('objective')}.")
    return told
