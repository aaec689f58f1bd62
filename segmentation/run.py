"""``run.json`` of ``segment``: what was found, and what is needed to do it again."""

from __future__ import annotations

import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError
from celltrail.data.run_file import SCHEMA, fingerprint, fingerprint_of_file, peak_memory_mb
from celltrail.data.settings import changed, to_config
from celltrail.segmentation.net.checkpoint import find_model
from celltrail.segmentation.prediction.movie import Segmented
from celltrail.segmentation.segment_settings import SegmentSettings

COMMAND = "segment"
LIBRARIES = ("celltrail", "numpy", "scipy", "scikit-image", "torch")
WAYS_ON = (
    "annotate a few frames and train ('celltrail train IMAGES --labels MASKS --start nuclei --out MODEL'), "
    "or bring masks from elsewhere ('celltrail track MASKS')"
)


def describe_run(images: Mapping[int, Any], model: str, settings: SegmentSettings, found: Segmented) -> dict[str, Any]:
    """The content of ``run.json``."""
    path = find_model(model)
    return {
        "schema": SCHEMA,
        "command": COMMAND,
        "frames": len(found.counts),
        "cells": sum(found.counts.values()),
        **found.survey.as_json(),
        "fits": found.fits if any(found.counts.values()) else None,
        "images": [
            {"frame": number, "cells": found.counts[number], **one.as_json()} for number, one in found.stills.items()
        ],
        "seconds": {**found.seconds, "total": round(sum(found.seconds.values()), 2)},
        "peak_memory_mb": peak_memory_mb(),
        "config": to_config(settings),
        "versions": {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}},
        "inputs": {"images": fingerprint(images), "model": {"name": str(model), **fingerprint_of_file(path)}},
    }


def options_of_run(run: Mapping[str, Any]) -> dict[str, Any]:
    """The options of ``celltrail segment`` that made a result, as the command line would have them.

    Raises
    ------
    InputError
        With every setting that is not known here, or has a value that is not allowed.
    """
    options = {
        name: value
        for name, value in to_config(changed(SegmentSettings(), run["config"], source="run.json")).items()
        if value is not None
    }
    path = run["inputs"].get("images", {}).get("path")
    model = run["inputs"].get("model", {})
    if path is None or "path" not in model:
        raise InputError("This run took its images from Python, not from files: repeat it there.")
    name = model.get("name")
    known = name if name and not Path(name).suffix else model["path"]
    return {**options, "images": path, "model": known}


def in_words(run: Mapping[str, Any]) -> list[str]:
    """What a person should know about a run, in a few sentences; a warning is the last."""
    told = []
    if run["kind"] == "stills":
        found = sorted(one["diameter"] for one in run["images"] if one["diameter"] is not None)
        told.append(
            f"The images are taken as stills ({run['why']}): each has its own scale and grey values"
            + (f"; cells are {found[0]:.0f} to {found[-1]:.0f} pixels wide." if found else ".")
        )
    elif run["diameter"] is not None:
        known = f", the model knows {run['trained']:.0f}" if run["trained"] else ""
        resized = f": seen at {run['factor']:.2f} of their size" if run["factor"] != 1 else ""
        if run.get("other") is not None:
            known, resized = f", others about {run['other']:.0f}{known}", ": each size is looked at for itself"
        told.append(f"Cells are about {run['diameter']:.0f} pixels wide{known}{resized}.")
    if run["fits"]:
        told[-1:] = [told[-1] + " The model knows such images."] if told else []
    if run["cells"] == 0:
        told.append(f"No cell was found. If there are some, the model does not know them: {WAYS_ON}.")
    elif run["fits"] is False:
        told.append(f"WARNING: these images do not look like what the model knows. The masks are a guess: {WAYS_ON}.")
    return told
