"""``Model``: a trained net together with everything that is needed to use it on new images."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from celltrail.data.settings import Option, described, setting
from celltrail.segmentation.net.instance_settings import InstanceSettings
from celltrail.segmentation.net.unet import UNet


@described
@dataclass(frozen=True)
class Preprocessing:
    """How images reach the net."""

    low: float = setting(1.0, Option("Percentile of the grey values that becomes 0.", minimum=0, maximum=100))
    high: float = setting(99.8, Option("Percentile of the grey values that becomes 1.", minimum=0, maximum=100))
    scale: int = setting(1, Option("Factor of reduction.", minimum=1, maximum=64))
    tta: bool = setting(
        False, Option("Whether prediction averages over the eight rotations and reflections unless told otherwise.")
    )


@dataclass
class Model:
    """A net, how images are prepared for it, how cells are read from its maps, and where it comes from.

    Attributes
    ----------
    info : dict[str, Any]
        Plain values: training data and their hashes, seed, minutes, measures, versions.
    """

    net: UNet
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    instances: InstanceSettings = field(default_factory=InstanceSettings)
    info: dict[str, Any] = field(default_factory=dict)

    @property
    def native_diameter(self) -> float | None:
        """Median diameter of the cells in the one movie that it was made for, in pixels of that; ``None``: of several."""
        value = self.info.get("native_diameter")
        return float(value) if isinstance(value, int | float) and value > 0 else None

    @property
    def diameter(self) -> float | None:
        """Median diameter of the cells that it was trained with, in pixels of the net; ``None`` where it does not say."""
        value = self.info.get("diameter")
        return float(value) if isinstance(value, int | float) and value > 0 else None
