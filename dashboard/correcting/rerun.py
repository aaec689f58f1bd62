"""A result tracked again from its masks: with the settings, images and costs of its run, and with pins."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from celltrail.dashboard.opening.content import Result
from celltrail.data.errors import InputError
from celltrail.data.files.pins import Pin
from celltrail.data.run_file import fingerprint, fingerprint_of_file
from celltrail.data.types import Masks
from celltrail.tracking import TrackResult, track
from celltrail.tracking.opening import open_images_of
from celltrail.tracking.repeat import settings_of_run
from celltrail.tracking.settings import TrackSettings


def part_of_run(result: Result, name: str) -> dict[str, Any]:
    """A part of a result's ``run.json``, such as its ``config``; empty where there is none."""
    part = (result.run or {}).get(name)
    return part if isinstance(part, dict) else {}


def track_again(result: Result, masks: Masks, pins: list[Pin], images: Path | None) -> TrackResult:
    """Track the masks of a result as its run did, with pins.

    Which hypotheses were taken and which masks repaired is decided already: the masks of the result are that choice, and
    it is not made again, lest what a person merges be split.

    Parameters
    ----------
    result : Result
        Whose ``run.json`` tells the settings, and which images and costs were used.
    masks : mapping
        Frame number → labels.
    pins : list of Pin
        The corrections to obey.
    images : path or None
        The images of the movie: taken where the run had its images from Python, or they were moved there.

    Raises
    ------
    InputError
        If the images or the cost file of the run are not there any more, or have changed.
    """
    settings = settings_of_run({"config": part_of_run(result, "config")})
    off = None if settings.hypotheses is None else False
    settings = replace(settings, costs=_costs(result, settings), hypotheses=off, repair=False)
    return track(masks, settings, images=_images(result, masks, settings, images), pins=pins)


def _costs(result: Result, settings: TrackSettings) -> str:
    """The cost model, or where its file lies now."""
    known = part_of_run(result, "inputs").get("costs")
    if known is None:
        return settings.costs
    for path in _places(result, known):
        if path.is_file() and fingerprint_of_file(path)["sha256"] == known.get("sha256"):
            return str(path)
    raise _gone(result, "costs", known)


def _images(result: Result, masks: Masks, settings: TrackSettings, beside: Path | None) -> Masks | None:
    """The images that the run has used, opened."""
    if not part_of_run(result, "config").get("images"):
        return None
    known = part_of_run(result, "inputs").get("images") or {}
    for path in (*_places(result, known), *([beside] if beside else [])):
        if not path.exists():
            continue
        try:
            found = open_images_of(masks, path, settings)
        except InputError:
            continue
        if found is not None and known.get("sha256") in (None, fingerprint(found)["sha256"]):
            return found
    raise _gone(result, "images", known)


def _places(result: Result, known: Mapping[str, Any]) -> Iterator[Path]:
    """Where an input of a run may lie: where it was, or at the same place seen from the folder of the results."""
    path = known.get("path")
    if isinstance(path, str):
        home = result.layer.folder.parent
        yield from dict.fromkeys((Path(path), home / path, home / Path(path).name))


def _gone(result: Result, what: str, known: Mapping[str, Any]) -> InputError:
    place = f" ({known['path']})" if known.get("path") else ""
    return InputError(
        f"The {what} that {result.layer.folder.name} was made with{place} are not there any more, or have changed: "
        "put them back, or track the masks again with these pins."
    )
