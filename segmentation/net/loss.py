"""What training minimises."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional


def weighted_cross_entropy(logits: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Σ w · ce / Σ w over all pixels of a batch (U-Net paper, eq. 1, divided by the sum of the weights).

    Dividing makes the loss, and with it the learning rate, independent of the size of the tile.

    Parameters
    ----------
    logits : Tensor
        float (N, classes, Y, X).
    target : Tensor
        int64 (N, Y, X).
    weight : Tensor
        float (N, Y, X) ≥ 0; 0 means that the truth is not known there.
    """
    entropy = functional.cross_entropy(logits, target, reduction="none")
    return (weight * entropy).sum() / weight.sum().clamp_min(1e-6)


def soft_dice(logits: Tensor, target: Tensor, known: Tensor) -> Tensor:
    """1 − Dice of the foreground probability, over the pixels where the truth is ``known``."""
    p = torch.softmax(logits, dim=1)[:, 1] * known
    t = target.to(p.dtype) * known
    return 1 - (2 * (p * t).sum() + 1) / (p.sum() + t.sum() + 1)


def total_loss(
    output: Tensor, batch: dict[str, Tensor], *, classes: int, dice: float, seeds: float, neighbours: float = 0.0
) -> Tensor:
    """Weighted cross entropy + ``dice`` · soft Dice + ``seeds`` · smooth L1 of the distance head + ``neighbours`` · cross entropy of the nearness of neighbours.

    Parameters
    ----------
    output : Tensor
        What `celltrail.segmentation.net.unet.UNet` returns.
    batch : dict[str, Tensor]
        "target" int64, "weight", "distance" and "nearness" float, all (N, Y, X) of the size of the output.
    """
    logits = output[:, :classes]
    loss = weighted_cross_entropy(logits, batch["target"], batch["weight"])
    known = (batch["weight"] > 0).to(output.dtype)
    area = known.sum().clamp_min(1)
    if dice:
        loss = loss + dice * soft_dice(logits, batch["target"], known)
    if seeds and output.shape[1] > classes:
        error = functional.smooth_l1_loss(output[:, classes], batch["distance"], reduction="none", beta=0.1)
        loss = loss + seeds * (error * known).sum() / area
    if neighbours and output.shape[1] > classes + 1:
        error = functional.binary_cross_entropy_with_logits(output[:, classes + 1], batch["nearness"], reduction="none")
        loss = loss + neighbours * (error * known).sum() / area
    return loss
