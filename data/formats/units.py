"""Names of units as the programs write them: micrometres, seconds, pixels and frames."""

from __future__ import annotations

from celltrail.data.files.arrays import tiff, zarr_metadata

PIXEL_NAMES = frozenset(("", "pixel", "pixels", "px", "voxel", "voxels", "vx", "none"))
FRAME_NAMES = frozenset(("", "frame", "frames", "timepoint", "timepoints", "none", *PIXEL_NAMES))
UM = {name.lower(): length for name, length in {**tiff.LENGTH_IN_UM, **zarr_metadata.LENGTH_IN_UM}.items()} | {
    "micrometers": 1.0,
    "micrometre": 1.0,
    "micrometres": 1.0,
    "\\u00b5m": 1.0,  # as ImageJ escapes it
    "μm": 1.0,  # the Greek letter; the sign for micro is another character
    "nanometre": 1e-3,
    "millimetre": 1e3,
    "inch": 25_400.0,
}
SECONDS = {**tiff.TIME_IN_S, **zarr_metadata.TIME_IN_S} | {
    "seconds": 1.0,
    "secs": 1.0,
    "msec": 1e-3,
    "mins": 60.0,
    "minutes": 60.0,
    "hr": 3600.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "d": 86_400.0,
    "days": 86_400.0,
}


def is_pixel(unit: str | None) -> bool:
    """Whether a unit of length is the pixel, or none is given."""
    return (unit or "").strip().lower() in PIXEL_NAMES


def is_frame(unit: str | None) -> bool:
    """Whether a unit of time is the frame, or none is given."""
    return (unit or "").strip().lower() in FRAME_NAMES


def micrometres(unit: str | None) -> float | None:
    """How many µm a unit of length has; ``None`` for the pixel and for units that are not known."""
    return UM.get((unit or "").strip().lower())


def seconds(unit: str | None) -> float | None:
    """How many seconds a unit of time has; ``None`` for the frame and for units that are not known."""
    return SECONDS.get((unit or "").strip().lower())
