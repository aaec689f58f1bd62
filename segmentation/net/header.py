"""The header of a model file, checked whole before a single weight is allocated.

A model comes from anywhere. Its header says how large the net is; one that says so wrongly must not decide how much
memory is taken, nor reach the code behind it.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeVar

import torch

from celltrail.data.errors import InputError
from celltrail.data.settings import Option, changed, problems_of, setting
from celltrail.segmentation.net.instance_settings import ROUND, InstanceSettings
from celltrail.segmentation.net.model import Preprocessing
from celltrail.segmentation.net.unet import UNet

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

Part = TypeVar("Part", bound="DataclassInstance")
LENGTHS = (len(ROUND) - 1, len(ROUND))  # of scores: models made before one was added have one less
LARGEST_DIAMETER = 1e5  # pixels


@dataclass(frozen=True)
class Architecture:
    """The parameters of `celltrail.segmentation.net.unet.UNet`, with what a file may say of them."""

    channels: int = setting(1, Option("Input channels: one, grey.", minimum=1, maximum=1))
    classes: int = setting(2, Option("Output classes.", minimum=2, maximum=16))
    width: int = setting(64, Option("Channels of the first level.", minimum=1, maximum=1024))
    depth: int = setting(4, Option("Number of poolings.", minimum=0, maximum=8))
    norm: str = setting("none", Option("Normalisation.", choices=("none", "batch")))
    dropout: float = setting(0.5, Option("Ratio of dropout.", minimum=0, maximum=0.99))
    distance: bool = setting(False, Option("Whether there is a distance head."))
    neighbour: bool = setting(False, Option("Whether there is a head for the nearness of other cells."))

    def shapes(self) -> dict[str, tuple[int, ...]]:
        """The shape of every weight by name; nothing is allocated."""
        with torch.device("meta"):
            weights = UNet(**vars(self)).state_dict()
        return {name: tuple(value.shape) for name, value in weights.items()}


@dataclass(frozen=True)
class Header:
    """What the header of a model says."""

    architecture: Architecture
    preprocessing: Preprocessing
    instances: InstanceSettings
    info: dict[str, Any]


def read_header(header: Mapping[str, Any]) -> Header:
    """The header of a model from plain values.

    Raises
    ------
    InputError
        With a sentence for every value that a model cannot have.
    """
    problems: list[str] = []

    def part(kind: type[Part], name: str) -> Part:
        given = header.get(name)
        if not isinstance(given, dict):
            problems.append(f"its header has no part '{name}'.")
            return kind()
        try:
            found = changed(kind(), given)
        except InputError as error:
            problems.extend(error.problems)
            return kind()
        problems.extend(problems_of(found))
        return found

    architecture = part(Architecture, "architecture")
    preprocessing = part(Preprocessing, "preprocessing")
    instances = part(InstanceSettings, "instances")
    info = header.get("info")
    if not problems:
        problems += _further(preprocessing, instances, info)
    if problems:
        raise InputError(*problems)
    assert isinstance(info, dict)
    values: dict[str, Any] = {one.name: getattr(instances, one.name) for one in fields(instances)}
    return Header(
        architecture, preprocessing, InstanceSettings(**{**values, "score": tuple(map(float, instances.score))}), info
    )


def _further(preprocessing: Preprocessing, instances: InstanceSettings, info: Any) -> Iterable[str]:
    """What the ranges of single values do not tell."""
    if preprocessing.low >= preprocessing.high:
        yield f"'low' is {preprocessing.low} and 'high' is {preprocessing.high}: the second must be larger."
    score = instances.score
    if not isinstance(score, list | tuple) or len(score) not in LENGTHS or not all(map(_is_weight, score)):
        yield f"'score' must hold {LENGTHS[0]} or {LENGTHS[1]} numbers."
    if not isinstance(info, dict):
        yield "its header has no part 'info'."
        return
    for name in ("diameter", "native_diameter"):
        value = info.get(name)
        if value is not None and not (_is_weight(value) and 0 < value <= LARGEST_DIAMETER):
            yield f"'{name}' is {str(value)[:40]}: it must be a number of pixels above 0."
    if not isinstance((info.get("validation_measures") or {}), dict):
        yield "'validation_measures' must hold measures by name."


def _is_weight(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value) and abs(value) < 1e6
