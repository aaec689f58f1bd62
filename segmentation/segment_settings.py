"""Every option of ``segment``: the command, files of settings and Python take it from here."""

from __future__ import annotations

from dataclasses import dataclass

from celltrail.data.errors import raise_if
from celltrail.data.files.opening import as_frames
from celltrail.data.settings import Option, described, problems_of, setting
from celltrail.data.shared_options import AXES, CHANNEL, DASK, FRAMES, JOBS, SERIES

DEFAULT_MODEL = "nuclei"  # of segment, for whoever names none


@described
@dataclass(frozen=True)
class SegmentSettings:
    """How a movie is segmented, and what is written; the images and the model are not part of it."""

    frames: range | None = setting(None, FRAMES)
    channel: int | None = setting(None, CHANNEL)
    axes: str | None = setting(None, AXES)
    series: int | None = setting(None, SERIES)
    diameter: float | None = setting(
        None,
        Option(
            "Diameter of the cells in pixels; otherwise found on a few frames.",
            minimum=0.5,
            unit="pixels",
            metavar="PX",
            shown=False,
        ),
    )
    tta: bool | None = setting(
        None, Option("Average over 8 rotations and reflections; otherwise as the model says.", off="no-tta")
    )
    hypotheses: bool | None = setting(
        None,
        Option(
            "Also write overlapping candidates (hypTTT.npz), among which tracking chooses.",
            off="no-hypotheses",
            shown="where the image fits into memory",
        ),
    )
    binary: bool = setting(False, Option("Also write the foreground (binaryTTT.png)."))
    probability: bool = setting(False, Option("Also write the map of probabilities (probabilityTTT.tif)."))
    memory: float = setting(
        1024, Option("MB that one tile may take; changes no result.", minimum=16, unit="MB", kept=False)
    )
    threads: int | None = setting(None, Option("Processor threads; otherwise PyTorch's choice.", minimum=1, kept=False))
    device: str = setting("auto", Option("auto, cpu or cuda.", kept=False))
    jobs: int = setting(1, JOBS)
    dask: str | None = setting(None, DASK)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", as_frames(self.frames))  # (first, last) is welcome from Python
        raise_if(problems_of(self))
