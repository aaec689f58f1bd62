"""Repeat a run from its ``run.json``: the same options and inputs, and what has changed since."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.run_file import changed_inputs
from celltrail.data.settings import changed, to_config
from celltrail.tracking.settings import TrackSettings

FILES = ("masks", "images", "pins")


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
    changes = changed_inputs(before, now)
    if before.get("objective") != now["objective"]:
        changes.append(f"The objective is {now['objective']:.6f} here; the earlier run had {before.get('objective')}.")
    return changes
