"""The presets: the paper's network as published, a small one for short training on a CPU, the same for images of all kinds."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from celltrail.data.errors import InputError
from celltrail.segmentation.net.unet import Norm
from celltrail.segmentation.training.augment import Variation


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a training does, apart from the data and the time.

    Attributes
    ----------
    width, depth, norm, dropout, distance
        See `celltrail.segmentation.net.unet.UNet`.
    scale : int
        The net sees the image reduced by this factor; 0 takes it from the size of the cells.
    diameter : float
        Every training image is resized so that its cells have this median diameter in pixels, and ``scale`` is 1;
        0: images keep their size.
    tile : int
        Side of the output of a training tile, pixels of the reduced image.
    batch : int
        Tiles in a step.
    optimiser, rate, weight_decay
        Stochastic gradient descent (momentum 0.99) or AdamW, and its rate.
    steps : int
        Length of the training.
    epoch : int
        Steps between two looks at the validation frames.
    w0, sigma, balance : float
        Border term and strength of the class weights, see ``weight_map``.
    dice, seeds, neighbours : float
        See `celltrail.segmentation.net.loss.total_loss`.
    average : float
        Decay of the moving average of the weights that is kept beside the weights; 0: none.
    cells : Literal['round', 'flat']
        "round" or "flat": by which weights the model chooses among candidates, see ``instances``.
    tta : bool | None
        The model averages over the eight rotations and reflections when it is used; ``None``: where that is cheap, for
        images of one kind that it reduces to half their size or less.
    """

    width: int = 64
    depth: int = 4
    norm: Norm = "none"
    dropout: float = 0.5
    distance: bool = False
    scale: int = 1
    diameter: float = 0.0
    tile: int = 388
    batch: int = 1
    optimiser: Literal["sgd", "adamw"] = "sgd"
    rate: float = 1e-3
    weight_decay: float = 0.0
    steps: int = 40_000
    epoch: int = 200
    w0: float = 10.0
    sigma: float = 5.0
    balance: float = 1.0
    dice: float = 0.0
    seeds: float = 0.0
    neighbours: float = 0.0
    average: float = 0.0
    cells: Literal["round", "flat"] = "round"
    tta: bool | None = None
    variation: Variation = field(default_factory=Variation)


PAPER = Settings()
FAST = Settings(
    width=24,
    depth=3,
    norm="batch",
    dropout=0.0,
    distance=True,
    scale=0,
    tile=100,
    batch=4,
    optimiser="adamw",
    rate=3e-3,
    weight_decay=1e-3,
    steps=1500,
    epoch=100,
    w0=5.0,
    sigma=2.0,
    balance=0.5,
    dice=0.5,
    seeds=2.0,
    average=0.98,
    variation=Variation(vector=3.0, span=128.0, zoom=0.15, brightness=0.1, contrast=0.15),
)
NUCLEI = replace(
    FAST,
    width=16,
    rate=2e-3,
    scale=1,
    diameter=20.0,
    tile=124,
    batch=4,
    steps=4000,
    epoch=200,
    balance=0.0,
    neighbours=3.0,
    average=0.998,
    variation=Variation(
        vector=2.0,
        span=128.0,
        zoom=0.6,
        brightness=0.12,
        contrast=0.35,
        gamma=0.35,
        noise=0.12,
        blur=1.2,
        shade=0.4,
        specks=4,
        saturation=0.12,
        copies=8,
        uneven=0.5,
    ),
)
PRESETS = {"fast": FAST, "nuclei": NUCLEI, "paper": PAPER}


def preset(name: str, **changes: Any) -> Settings:
    """A preset by name, with some settings, or settings of its variation, changed.

    Parameters
    ----------
    name : str
        One of `PRESETS`.
    **changes : Any
        Names of `Settings` or `Variation`; those that are ``None`` are left as they are.

    Raises
    ------
    InputError
        If there is no such preset.
    """
    if name not in PRESETS:
        raise InputError(f"--preset {name}: choose one of {', '.join(PRESETS)}.")
    given = {key: value for key, value in changes.items() if value is not None}
    own = {one.name for one in fields(Settings)}
    varied = {key: given.pop(key) for key in list(given) if key not in own}
    usual = PRESETS[name]
    variation = replace(given.pop("variation", usual.variation), **varied)
    return replace(usual, **given, variation=variation)
