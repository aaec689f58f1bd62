"""The state of a training: everything that a step changes, and how it is kept on disk to go on after a stop."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from celltrail.data.errors import InputError
from celltrail.segmentation.net.checkpoint import load_tensors, save_tensors
from celltrail.segmentation.net.unet import UNet

SCHEMA = "celltrail.training/1"


@dataclass
class State:
    """A training between two steps.

    Attributes
    ----------
    net : UNet
        The weights that are trained.
    average : UNet
        Their moving average (``net`` itself where there is none), which is validated and kept.
    best : UNet
        A copy of ``average`` in the epoch whose weights are kept.
    step, minutes
        How far it is.
    history : list[dict[str, float]]
        One row per epoch.
    losses : list[float]
        Of the steps of the epoch that is not over.
    """

    net: UNet
    average: UNet
    best: UNet
    optimiser: torch.optim.Optimizer
    step: int = 0
    minutes: float = 0.0
    losses: list[float] = field(default_factory=list)
    history: list[dict[str, float]] = field(default_factory=list)


def save_state(path: Path, state: State, identity: dict[str, Any]) -> None:
    """Write a state; ``identity`` (settings, seed, hash of the data) says which training it belongs to."""
    tensors: dict[str, Tensor] = {}
    for name, net in (("net", state.net), ("average", state.average), ("best", state.best)):
        tensors |= {
            f"{name}/{key}": value.detach().cpu().clone().contiguous() for key, value in net.state_dict().items()
        }
    for index, values in state.optimiser.state_dict()["state"].items():
        tensors |= {
            f"optimiser/{index}/{key}": value.detach().cpu().clone().contiguous()
            for key, value in values.items()
            if isinstance(value, Tensor)
        }
    header = {
        "schema": SCHEMA,
        "identity": identity,
        "step": state.step,
        "minutes": state.minutes,
        "losses": state.losses,
        "history": state.history,
    }
    save_tensors(path, tensors, header, overwrite=True)


def load_state(path: Path, state: State, identity: dict[str, Any]) -> None:
    """Fill ``state`` from a file.

    Raises
    ------
    InputError
        If the file does not belong to this training: other settings, seed or data.
    """
    tensors, header = load_tensors(path, SCHEMA)
    try:
        different = [key for key, value in identity.items() if header["identity"].get(key) != value]
        if not different:
            _fill(state, tensors, header)
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError) as error:
        text = " ".join(str(error).split())[:80]
        raise InputError(f"{path} is damaged ({text}): start anew without --resume.") from None
    if different:
        raise InputError(
            f"{path.parent} holds a training with another {' and '.join(different)}: "
            "repeat the options of that training, or start anew without --resume."
        )


def _fill(state: State, tensors: dict[str, Tensor], header: dict[str, Any]) -> None:
    for name, net in (("net", state.net), ("average", state.average), ("best", state.best)):
        net.load_state_dict({key: tensors[f"{name}/{key}"] for key in net.state_dict()})
    values: dict[int, dict[str, Tensor]] = {}
    for key, tensor in tensors.items():
        if key.startswith("optimiser/"):
            _, index, name = key.split("/")
            values.setdefault(int(index), {})[name] = tensor
    state.optimiser.load_state_dict({**state.optimiser.state_dict(), "state": values})
    state.step, state.minutes = header["step"], header["minutes"]
    state.losses = [math.nan if loss is None else float(loss) for loss in header["losses"]]
    state.history = header["history"]
