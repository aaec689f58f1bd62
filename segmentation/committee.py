"""Several nets that answer as one: they err in different places, so their mean errs less."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from segmentation.unet import UNet


class Committee(nn.Module):
    """The mean of the outputs of several nets of one architecture; for prediction it is used like a :class:`UNet`.

    Logits are averaged, so probabilities are (normalised) geometric means.

    Parameters
    ----------
    members : nets of the same architecture, at least one.
    """

    def __init__(self, members: list[UNet]) -> None:
        super().__init__()
        first = members[0]
        self.members = nn.ModuleList(members)
        self.depth, self.classes, self.distance = first.depth, first.classes, first.distance
        self.margin, self.outputs = first.margin, first.outputs
        self.architecture = {**first.architecture, "members": len(members)}

    def forward(self, image: Tensor) -> Tensor:
        """As :meth:`UNet.forward`."""
        return torch.stack([member(image) for member in self.members]).mean(dim=0)


def build(architecture: dict[str, Any]) -> UNet | Committee:
    """A net of this ``architecture``, as nets describe themselves."""
    shape = {key: value for key, value in architecture.items() if key != "members"}
    count = architecture.get("members", 1)
    return UNet(**shape) if count == 1 else Committee([UNet(**shape) for _ in range(count)])
