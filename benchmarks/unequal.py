"""Drawn nuclei of very unequal brightness, with dark nucleoli, on a background cut off at zero: what few training images hold."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

SIDE, COUNT = 360, 22


def draw_unequal(seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """An image of 8 bits and its labels: 35 to 60 pixels wide, brightness log-normal with a deviation of 0.75."""
    random = np.random.default_rng([seed, 9])
    diameter = float(random.uniform(35, 60))
    y, x = np.mgrid[:SIDE, :SIDE]
    image, labels = np.zeros((SIDE, SIDE)), np.zeros((SIDE, SIDE), dtype=np.int64)
    places: list[NDArray[Any]] = []
    for _ in range(400):
        place = random.uniform(0, SIDE, 2)
        if len(places) == COUNT or any(np.hypot(*(place - other)) < 0.95 * diameter for other in places):
            continue
        places.append(place)
        stretch, angle = random.uniform(0.8, 1.25), random.uniform(0, np.pi)
        dy, dx = y - place[0], x - place[1]
        u = (dx * np.cos(angle) + dy * np.sin(angle)) * stretch
        v = (dy * np.cos(angle) - dx * np.sin(angle)) / stretch
        radius = diameter / 2 * (1 + 0.05 * np.sin(3 * np.arctan2(v, u) + random.uniform(0, 6)))
        inside = (np.hypot(u, v) < radius) & (labels == 0)
        labels[inside] = len(places)
        body = np.exp(random.normal(0, 0.75)) * np.clip((radius - np.hypot(u, v)) / 2 + 0.5, 0, 1)
        for _ in range(int(random.integers(0, 5))):  # nucleoli
            a, b = random.uniform(-0.25, 0.25, 2) * diameter
            width = diameter * random.uniform(0.05, 0.1)
            body *= 1 - 0.65 * np.exp(-((u - a) ** 2 + (v - b) ** 2) / (2 * width**2))
        texture = 1 + 1.5 * ndimage.gaussian_filter(random.normal(0, 1, image.shape), 2)
        image = np.maximum(image, body * np.clip(texture, 0.3, 2) * (inside | (labels == 0)))
    light = ndimage.gaussian_filter(image, 1.2) * random.uniform(8, 40)
    counts = random.poisson(light) + random.normal(0, 2, image.shape)
    return np.clip(counts - 2, 0, 255).astype(np.uint8), labels
