"""A wider net that begins as the same function: learning goes on with more channels and loses nothing."""

from __future__ import annotations

import torch
from torch import Tensor

from celltrail.segmentation.net.unet import UNet


def widen(source: UNet, net: UNet) -> None:
    """Give ``net`` the weights of a narrower net, so that it computes the same.

    What the new channels compute is random, as ``net`` has it, and the old ones do not listen to them until they learn to
    (as Net2Net, Chen et al., ICLR 2016, but with new channels instead of copies, which would have to be made different).

    Parameters
    ----------
    source : UNet
        The narrower net.
    net : UNet
        A net of the same build with more channels at every level; it is changed.
    """
    old, new = source.state_dict(), net.state_dict()
    for name, wanted in new.items():
        given = old[name]
        if given.shape == wanted.shape:
            wanted.copy_(given)
            continue
        # the outputs of a convolution are its first axis, of an up-convolution its second
        outputs = 1 if name.startswith("up.") and given.ndim > 1 else 0
        places = [torch.arange(count) for count in given.shape]
        if name.startswith("merge.") and name.endswith(".0.weight") and given.ndim > 1:
            places[1] = _after_joining(given.shape[1], wanted.shape[1])
        if given.ndim > 1:
            wanted.movedim(outputs, 0)[: given.shape[outputs]] = 0
        wanted[torch.meshgrid(*places, indexing="ij")] = given


def _after_joining(given: int, wanted: int) -> Tensor:
    """Where the channels of two joined maps lie when each has become wider."""
    return torch.cat([torch.arange(given // 2), wanted // 2 + torch.arange(given // 2)])
