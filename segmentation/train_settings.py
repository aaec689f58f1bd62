"""Every option of ``train`` that says how is learnt; what is learnt from, and where the model goes, is not part of it."""

from __future__ import annotations

from dataclasses import dataclass

from celltrail.data.errors import raise_if
from celltrail.data.files.opening import as_frames
from celltrail.data.settings import Option, described, problems_of, setting
from celltrail.data.shared_options import AXES, CHANNEL, FRAMES, SEED, SERIES, SPLIT_BINARY
from celltrail.segmentation.net.instance_settings import SCORES

PRESETS = ("fast", "nuclei", "paper")
DEFORMATIONS = ("grid", "field", "none")


@described
@dataclass(frozen=True)
class TrainSettings:
    """How a model is trained. What is ``None`` stays as the preset has it."""

    truth: str = setting("auto", Option("ST (silver truth), GT (gold), mixed, or auto (silver if there is any)."))
    frames: range | None = setting(None, FRAMES)
    channel: int | None = setting(None, CHANNEL)
    axes: str | None = setting(None, AXES)
    series: int | None = setting(None, SERIES)
    split_binary: bool = setting(False, SPLIT_BINARY)
    validation: str = setting(
        "last",
        Option("Frames A:B, one of the sequences, 'last' (the last tenth of each, every tenth of stills) or 'none'."),
    )
    preset: str = setting(
        "fast",
        Option("fast, nuclei (fast, for images of many kinds), or paper (the U-Net of 2015 as published).", PRESETS),
    )
    minutes: float | None = setting(
        None, Option("Computing time of one core; otherwise the preset's steps.", minimum=0.01, unit="minutes")
    )
    steps: int | None = setting(None, Option("Number of steps, if not by --minutes.", minimum=1))
    epoch: int | None = setting(
        None, Option("Steps between two validations, each of which keeps the state for --resume.", minimum=1)
    )
    scale: int | None = setting(
        None, Option("Reduce images by this factor; otherwise from the size of the cells.", minimum=1)
    )
    diameter: float | None = setting(
        None, Option("Resize every image so that its cells are so many pixels wide.", minimum=0, unit="pixels")
    )
    width: int | None = setting(None, Option("Channels of the first level.", minimum=1))
    depth: int | None = setting(None, Option("Number of levels below the first.", minimum=1, maximum=6))
    rate: float | None = setting(None, Option("Learning rate.", minimum=0))
    w0: float | None = setting(None, Option("Strength of the border weights.", minimum=0))
    sigma: float | None = setting(None, Option("Their reach, in pixels.", minimum=0.01, unit="pixels"))
    elastic: str | None = setting(
        None, Option("Deformation of tiles: grid (the paper's), field or none.", DEFORMATIONS)
    )
    vector: float | None = setting(
        None, Option("Deformation of tiles by the grid, in pixels.", minimum=0, unit="pixels")
    )
    zoom: float | None = setting(None, Option("Variation of size: 0.2 is up to 20 %.", minimum=0))
    brightness: float | None = setting(None, Option("Variation of brightness.", minimum=0))
    contrast: float | None = setting(None, Option("Variation of contrast.", minimum=0))
    cells: str = setting("round", Option("round, or flat (large flat cells with faint common edges).", tuple(SCORES)))
    tta: bool | None = setting(
        None,
        Option(
            "The model averages over 8 rotations and reflections: slower, better. Otherwise where it reduces the images "
            "of one movie to half their size or less.",
            off="no-tta",
        ),
    )
    patience: int = setting(
        0, Option("Stop after so many epochs that are no better; 0: never.", minimum=0, unit="epochs")
    )
    threads: int | None = setting(None, Option("Processor threads; otherwise PyTorch's choice.", minimum=1))
    device: str = setting("auto", Option("auto, cpu or cuda."))
    half: bool = setting(True, Option("Store weights with 16 bits.", off="full"))
    seed: int = setting(0, SEED)

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", as_frames(self.frames))  # (first, last) is welcome from Python
        raise_if(problems_of(self))
