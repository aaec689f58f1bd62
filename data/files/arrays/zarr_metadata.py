"""What the metadata of an OME-Zarr say: which array is the image, its axes, its scale, its channels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.containment import inside
from celltrail.data.readers.stacks import list_choices
from celltrail.data.regular import read_json as read_regular_json
from celltrail.data.settings import number_problem
from celltrail.data.words import counted

LENGTH_IN_UM = {
    "angstrom": 1e-4,
    "nanometer": 1e-3,
    "micrometer": 1.0,
    "millimeter": 1e3,
    "centimeter": 1e4,
    "meter": 1e6,
}
DEEPEST = 4  # groups in groups until an image
TIME_IN_S = {"microsecond": 1e-6, "millisecond": 1e-3, "second": 1.0, "minute": 60.0, "hour": 3600.0, "day": 86_400.0}


def read_json(file: Path) -> Any:
    """The content of a file; `InputError` where it is damaged."""
    try:
        return read_regular_json(file)
    except (OSError, ValueError) as error:
        raise InputError(f"{file} is damaged ({brief(error)}): write the image again.") from None


def brief(error: BaseException) -> str:
    """What an error says, in at most 80 characters."""
    return " ".join(str(error).split())[:80] or type(error).__name__


def _attributes(group: Path) -> dict[str, Any]:
    """The attributes of a group, those of OME-Zarr 0.5 as if they were of 0.4."""
    found: dict[str, Any] = {}
    if (group / "zarr.json").is_file():
        content = read_json(group / "zarr.json")
        attributes = content.get("attributes", {}) if isinstance(content, dict) else {}
        found = attributes.get("ome", attributes) if isinstance(attributes, dict) else {}
    elif (group / ".zattrs").is_file():
        found = read_json(group / ".zattrs")
    return found if isinstance(found, dict) else {}


def _is_array(path: Path) -> bool:
    if (path / ".zarray").is_file():
        return True
    if not (path / "zarr.json").is_file():
        return False
    content = read_json(path / "zarr.json")
    return isinstance(content, dict) and content.get("node_type") == "array"


def find_image(
    path: Path, labels: bool, series: int | None = None, depth: int = 0
) -> tuple[Path, dict[str, Any] | None]:
    """The folder of the image or label image, and its ``multiscales`` entry (``None``: a plain array).

    Parameters
    ----------
    series : int | None
        Which one, where there are several: fields of a plate or well, or series of a converted microscope file.
    depth : int
        In how many groups around this one it has been looked for so far.
    """
    if depth > DEEPEST:
        raise InputError(f"{path} points to itself: write it again.")
    attributes = {} if _is_array(path) else _attributes(path)
    names = _images_in(path, attributes)
    if names is not None:
        listed = list_choices("--series", names)
        if not names:
            raise InputError(f"{path} is a plate or a well without images: give the folder of an image.")
        if series is None and len(names) > 1:
            raise InputError(f"{path} holds {counted(len(names), 'image')}: choose one with {listed}.")
        if not 0 <= (series or 0) < len(names):
            raise InputError(f"{path} has no series {series}: choose one with {listed}.")
        return find_image(inside(path, path / names[series or 0]), labels, None, depth + 1)
    if series and not labels:
        raise InputError(f"{path} has one image only, there is no series {series}: leave --series out.")
    if _is_array(path):
        return path, None
    names = attributes.get("labels") or _attributes(path / "labels").get("labels")
    if labels and isinstance(names, list) and "image-label" not in attributes:
        below = path if "labels" in attributes else path / "labels"
        if len(names) != 1:
            raise InputError(
                f"{path} holds the label images {', '.join(map(str, names))}: give the folder of one, "
                f"like {below / str((names or ['NAME'])[0])}."
            )
        return find_image(inside(path, below / str(names[0])), labels, None, depth + 1)
    scales = attributes.get("multiscales")
    if not isinstance(scales, list) or not scales or not isinstance(scales[0], dict):
        arrays = [entry.name for entry in sorted(path.iterdir()) if entry.is_dir()][:5]
        hint = f"give one of its folders ({', '.join(arrays)})" if arrays else "write it again"
        raise InputError(f"{path} is a Zarr group without an image (no multiscales in its metadata): {hint}.")
    return path, scales[0]


def _images_in(path: Path, attributes: dict[str, Any]) -> list[str] | None:
    """The images of a plate, a well, or a converted microscope file, as paths below it; ``None`` for anything else."""
    try:
        if "plate" in attributes:
            wells = [str(well["path"]) for well in attributes["plate"]["wells"]]
            found = [(well, _attributes(inside(path, path / well)).get("well", {})) for well in wells]
            return [f"{well}/{image['path']}" for well, fields in found for image in fields["images"]]
        if "well" in attributes:
            return [str(image["path"]) for image in attributes["well"]["images"]]
    except (KeyError, TypeError, AttributeError):
        raise InputError(
            f"{path} has incomplete metadata of a plate: give the folder of one image (like A/1/0)."
        ) from None
    if "bioformats2raw.layout" not in attributes:
        return None
    numbered = sorted((entry.name for entry in path.iterdir() if entry.name.isdecimal()), key=int)
    return numbered or None


def read_multiscale(path: Path, image: dict[str, Any]) -> tuple[Path, str, dict[str, float], dict[str, str]]:
    """Array of the first (finest) level, its axes, its scale and units by axis."""
    try:
        level = image["datasets"][0]
        own = level.get("coordinateTransformations", [])
        newer = "coordinateSystems" in image  # since 0.6 the axes are those of a coordinate system
        axes = [
            axis if isinstance(axis, dict) else {"name": axis}
            for axis in (_axes_of(image, own) if newer else image["axes"])
        ]
        letters = "".join(str(axis["name"]).upper() for axis in axes)
        if len(letters) != len(axes):
            raise ValueError("axes with names of one letter expected")
        array = path / str(level["path"])
        scale = np.ones(len(axes))
        for transform in (*own, *(() if newer else image.get("coordinateTransformations", ()))):
            scale = scale * _scale_of(path, transform, len(axes))
    except InputError:
        raise
    except (KeyError, IndexError, TypeError, ValueError, AttributeError) as error:
        raise InputError(
            f"{path} has incomplete metadata ({brief(error)}): write it as OME-Zarr 0.4, 0.5 or 0.6."
        ) from None
    if not array.resolve().is_relative_to(path.resolve()):
        raise InputError(f"{path} points to the array {level['path']} outside of itself: write it again.")
    units = {letter: str(axis.get("unit", "")) for letter, axis in zip(letters, axes, strict=True)}
    return array, letters, dict(zip(letters, scale.tolist(), strict=True)), units


def _axes_of(image: dict[str, Any], transforms: list[dict[str, Any]]) -> list[Any]:
    """The axes of the coordinate system into which the transformations of a level lead (OME-Zarr 0.6)."""
    systems = {system["name"]: system["axes"] for system in image["coordinateSystems"]}
    target = transforms[0].get("output") if transforms else None
    name = target.get("name") if isinstance(target, dict) else target
    return list(systems[name] if name in systems else next(iter(systems.values())))


def _scale_of(path: Path, transform: dict[str, Any], count: int) -> NDArray[np.float64]:
    """The factors of scale of a transformation; `InputError` where it does more than scale and shift."""
    kind = transform.get("type")
    if kind == "sequence":
        factors = np.ones(count)
        for step in transform["transformations"]:
            factors = factors * _scale_of(path, step, count)
        return factors
    if kind in ("identity", "translation"):
        return np.ones(count)
    if kind != "scale" or "scale" not in transform:
        raise InputError(
            f"{path} has a coordinate transformation of the type '{kind}', but only scales and translations are "
            "read here: write it again with those, or give the array in it with --axes."
        )
    factors = np.array(transform["scale"], dtype=np.float64)
    if factors.shape != (count,):
        raise ValueError("one factor of scale for each axis expected")
    return factors


def channel_names(path: Path) -> tuple[str, ...]:
    """The names of the channels, where the image has some."""
    channels = _attributes(path).get("omero")
    found = channels.get("channels") if isinstance(channels, dict) else None
    if not isinstance(found, list):
        return ()
    return tuple(str(one.get("label", "")) if isinstance(one, dict) else "" for one in found)


def voxel_of(scale: dict[str, float], units: dict[str, str]) -> tuple[float, float, float] | None:
    """Size (z, y, x) in µm from scale and units by axis; ``None`` where y or x is not known."""
    sizes = [scale[a] * LENGTH_IN_UM[units[a]] if units.get(a) in LENGTH_IN_UM else None for a in "ZYX"]
    if sizes[1] is None or sizes[2] is None:
        return None
    size = (1.0 if sizes[0] is None else sizes[0], sizes[1], sizes[2])
    return size if all(length > 0 and number_problem(length) is None for length in size) else None


def interval_of(scale: dict[str, float], units: dict[str, str]) -> float | None:
    """Seconds between frames, or ``None``."""
    seconds = scale.get("T", 0.0) * TIME_IN_S.get(units.get("T", ""), 0.0)
    return seconds if 0 < seconds < np.inf else None
