"""The silver-truth masks of a real movie, labels shuffled in each frame, with default settings."""

from __future__ import annotations

import numpy as np

from celltrail.data.files.opening import open_images, open_labels
from celltrail.tracking import track


def test_hela_cells_are_linked(real_data):
    """Links are judged against the labels that were there before shuffling."""
    folder = real_data / "Fluo-N2DL-HeLa"
    frames = range(0, 40)
    truth = open_labels(folder / "01_ST" / "SEG", frames=frames)
    rng = np.random.default_rng(0)
    shuffle = {number: np.concatenate([[0], rng.permutation(400) + 1]) for number in truth}
    masks = {number: shuffle[number][truth[number]] for number in truth}
    result = track(masks, images=dict(open_images(folder / "01", frames=frames)))
    assert result.run["status"] == "optimal"
    back = {number: np.argsort(order) for number, order in shuffle.items()}
    d = result.candidates.detections
    label = np.array([back[number][label] for number, label in zip(d.frame.tolist(), d.label.tolist(), strict=True)])
    links = result.candidates.links
    adjacent = (d.frame[links.target] - d.frame[links.source] == 1) & (label[links.source] == label[links.target])
    true = set(zip(links.source[adjacent].tolist(), links.target[adjacent].tolist(), strict=True))
    rows = np.flatnonzero(result.solution.link_chosen)
    found = set(zip(links.source[rows].tolist(), links.target[rows].tolist(), strict=True))
    assert len(true & found) / len(true) > 0.99
    assert len(true & found) / len(found) > 0.99
