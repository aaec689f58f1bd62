"""Make the picture of which model is for what:  python docs/pictures/models.py DSB2018-fluorescence

Two stills are of DSB2018 (CC0), the rest is drawn here. The outlines are what `segment` finds.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage

from celltrail.data import open_images
from celltrail.data.pictures.render import grey_picture, outline_image
from celltrail.data.simulation.scene import simulate_scene
from celltrail.segmentation import segment_movie

HERE = Path(__file__).parent
INK, PAPER = "#d7dce2", "#14181d"
SIDE = 256


def spindles(seed: int = 0, side: int = SIDE) -> NDArray[Any]:
    """Whole spindle-shaped cells in fluorescence: textured, darker where the nucleus is."""
    random = np.random.default_rng(seed)
    image = np.zeros((side, side))
    y, x = np.mgrid[:side, :side]
    for _ in range(9):
        length, width, angle = random.uniform(70, 150), random.uniform(6, 14), random.uniform(0, np.pi)
        v, u = y - random.uniform(0, side), x - random.uniform(0, side)
        along, across = u * np.cos(angle) + v * np.sin(angle), v * np.cos(angle) - u * np.sin(angle)
        half = width * np.clip(1 - np.abs(2 * along / length) ** 1.3, 0, 1)
        body = np.clip(half - np.abs(across + random.normal(0, 0.3) * along**2 / length) + 0.5, 0, 1)
        texture = 1 + 1.4 * ndimage.gaussian_filter(random.normal(0, 1, image.shape), 2)
        nucleus = 1 - 0.5 * np.exp(-((along / width) ** 2) - (across / width * 1.5) ** 2)
        image = np.maximum(image, body * np.clip(texture, 0.2, 2) * nucleus * random.uniform(0.4, 1))
    light = 100 + 800 * ndimage.gaussian_filter(image, 1)
    counts: NDArray[Any] = random.poisson(light).astype(np.uint16)
    return counts


def main() -> None:
    """Draw five panels, each with the model that is for it."""
    stills = (
        open_images(Path(sys.argv[1]) / "images" / "t045.tif"),
        open_images(Path(sys.argv[1]) / "images" / "t082.tif"),
    )
    small, large = (np.asarray(next(iter(still.values())))[:SIDE, :SIDE] for still in stills)
    relief = simulate_scene(frames=1, cells=10, size=(SIDE, SIDE), modality="dic", seed=2).draw(0)[0]
    demo = simulate_scene(frames=1, cells=30, size=(SIDE, SIDE), seed=5).draw(0)[0]
    panels: list[tuple[str, NDArray[Any], str]] = [
        ("nuclei, small", small, "nuclei"),
        ("nuclei, large", large, "nuclei"),
        ("simulated nuclei\nnuclei, or sim-fluo", demo, "nuclei"),
        ("flat cells in DIC\ndic-hela (simulated: sim-dic)", relief, "sim-dic"),
        ("whole cells, phase contrast\nnone: train --start nuclei", spindles(), ""),
    ]
    figure, axes = plt.subplots(1, len(panels), figsize=(12, 2.9), facecolor=PAPER, layout="constrained")
    for panel, (title, image, model) in zip(axes, panels, strict=True):
        if model:
            ((_, labels),) = segment_movie({0: image}, model)
            panel.imshow(outline_image(image, labels), interpolation="nearest")
        else:
            panel.imshow(grey_picture(image), cmap="gray", vmin=0, vmax=255)
        panel.set_title(title if "\n" in title else f"{title}\n{model}", color=INK, fontsize=10)
        panel.set_axis_off()
    file = HERE / "models.png"
    figure.savefig(file, dpi=100, facecolor=PAPER, metadata={"Software": None})
    Image.open(file).convert("RGB").quantize(64).save(file, optimize=True)  # half the size


if __name__ == "__main__":
    main()
