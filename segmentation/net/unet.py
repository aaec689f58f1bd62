"""The U-Net of Ronneberger, Fischer and Brox (MICCAI 2015), and the arithmetic of its sizes.

Convolutions are unpadded: every output pixel sees only real pixels (or mirrored ones at the edge of
the image), so an image can be cut into tiles and the pieces fit together exactly.
"""

from __future__ import annotations

from math import sqrt
from typing import Any, Literal

import torch
from torch import Tensor, nn

Norm = Literal["none", "batch"]
NOWHERE_NEAR = -4.0  # logit of a neighbour before anything is learnt of neighbours


def margin_of(depth: int) -> int:
    """Pixels that the output lacks on each side: 92 for the paper's depth of 4."""
    return 2 if depth == 0 else 2 * margin_of(depth - 1) + 4


def output_size(size: int, depth: int) -> int:
    """Side of the output for an input of side ``size`` (the paper: 572 → 388).

    Raises
    ------
    ValueError
        If the size is not valid: a pooling would meet an odd side, or nothing would be left.
    """
    if size != valid_size(size, depth):
        raise ValueError(
            f"an input of {size} pixels does not fit a U-Net of depth {depth}: "
            f"the next larger side that fits is {valid_size(size, depth)}"
        )
    return size - 2 * margin_of(depth)


def valid_size(at_least: int, depth: int) -> int:
    """Smallest valid input side ≥ ``at_least``: −4 modulo 2^depth (so 12 mod 16 at depth 4), and larger than the margins."""
    step = 1 << depth
    wanted = max(at_least, 2 * margin_of(depth) + 1)
    return wanted + (-4 - wanted) % step


class UNet(nn.Module):
    """Contracting and expanding path with crop-and-concatenate skips.

    Each level holds two unpadded 3×3 convolutions with ReLU; levels are joined by 2×2 max-pooling on
    the way down and 2×2 up-convolutions (followed by ReLU, as in the released network) on the way up.
    With the defaults this is the paper's network: 23 convolutions, 31,030,658 parameters.

    Parameters
    ----------
    channels : int
        Input channels.
    classes : int
        Output classes (background, cell).
    width : int
        Channels of the first level; every level below has twice as many.
    depth : int
        Number of poolings.
    norm : Norm
        "batch" puts batch normalisation after each 3×3 convolution. It works with fixed statistics at prediction,
        so tiles still fit together exactly (statistics per tile would not).
    dropout : float
        Ratio after the last level before the bottom (before its pooling, so the skip has it too) and after the
        bottom: where the released network has it.
    distance : bool
        One more output, the distance to the edge of the cell relative to the cell's largest.
    neighbour : bool
        One more output (a logit), how near another cell is; it begins as "nowhere near".

    Notes
    -----
    Weights start as He et al. (2015) ask, N(0, √(2/N)) with N the inputs that one output adds up. For
    a 2×2 up-convolution of stride 2 that is the number of input channels (PyTorch's own initialisers
    take the output channels × 4 there).
    """

    def __init__(
        self,
        *,
        channels: int = 1,
        classes: int = 2,
        width: int = 64,
        depth: int = 4,
        norm: Norm = "none",
        dropout: float = 0.5,
        distance: bool = False,
        neighbour: bool = False,
    ) -> None:
        super().__init__()
        self.depth = depth
        self.classes = classes
        self.distance = distance
        self.neighbour = neighbour
        self.architecture: dict[str, Any] = {
            "channels": channels,
            "classes": classes,
            "width": width,
            "depth": depth,
            "norm": norm,
            "dropout": dropout,
            "distance": distance,
            "neighbour": neighbour,
        }
        widths = [width * 2**level for level in range(depth + 1)]
        inputs = [channels, *widths[:-1]]
        self.down = nn.ModuleList(_two_convolutions(a, b, norm) for a, b in zip(inputs, widths, strict=True))
        self.up = nn.ModuleList(
            nn.Sequential(nn.ConvTranspose2d(2 * w, w, 2, stride=2), nn.ReLU(inplace=True))
            for w in reversed(widths[:-1])
        )
        self.merge = nn.ModuleList(_two_convolutions(2 * w, w, norm) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, classes + distance + neighbour, 1)
        self.dropout = nn.Dropout(dropout)
        initialise(self)
        if neighbour:
            nn.init.zeros_(self.head.weight[-1])
            nn.init.constant_(self.head.bias[-1:], NOWHERE_NEAR)
        if width < 64:  # faster on a processor for narrow nets, slower for wide ones; the numbers are the same
            self.to(memory_format=torch.channels_last)

    @property
    def margin(self) -> int:
        """Pixels that the output lacks on each side."""
        return margin_of(self.depth)

    def forward(self, image: Tensor) -> Tensor:
        """Float (N, channels, Y, X) of valid sizes → logits (N, classes [+ 1 [+ 1]], Y − 2·margin, X − 2·margin)."""
        skips = []
        x = image
        for level, convolutions in enumerate(self.down):
            if level > 0:
                x = nn.functional.max_pool2d(x, 2)
            x = convolutions(x)
            if level >= self.depth - 1:
                x = self.dropout(x)
            skips.append(x)
        skips.pop()
        for up, merge in zip(self.up, self.merge, strict=True):
            x = up(x)
            x = merge(torch.cat([x, crop_center(skips.pop(), x.shape[-2:])], dim=1))
        return self.head(x)


def _two_convolutions(inputs: int, outputs: int, norm: Norm) -> nn.Sequential:
    layers: list[nn.Module] = []
    for source in (inputs, outputs):
        layers.append(nn.Conv2d(source, outputs, 3, bias=norm == "none"))
        if norm == "batch":
            layers.append(nn.BatchNorm2d(outputs))
        layers.append(nn.ReLU(inplace=True))
    return nn.Sequential(*layers)


def initialise(net: nn.Module) -> None:
    """He initialisation with the true fan-in, biases 0."""
    for layer in net.modules():
        if isinstance(layer, nn.ConvTranspose2d):
            fan_in = (
                layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1] // (layer.stride[0] * layer.stride[1])
            )
        elif isinstance(layer, nn.Conv2d):
            fan_in = layer.in_channels * layer.kernel_size[0] * layer.kernel_size[1]
        else:
            continue
        nn.init.normal_(layer.weight, std=sqrt(2 / fan_in))
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def crop_center(x: Tensor, size: tuple[int, ...] | torch.Size) -> Tensor:
    """The central part of the last two axes."""
    top, left = (x.shape[-2] - size[0]) // 2, (x.shape[-1] - size[1]) // 2
    return x[..., top : top + size[0], left : left + size[1]]
