"""Speed and exactness of prediction: overlap-tile against a sliding window, with the same net.

    python benchmarks/tiles.py --json tiles.json
    python benchmarks/tiles.py --large --json large.json

A net of 16 channels and depth 3 on an image of 1024 × 1024 pixels, one thread. The sliding window is
what most code does: windows of one size, a quarter of each overlapping the next, every window
mirrored at its own edges, results averaged. With MONAI installed, its ``sliding_window_inference``
does the same; without it that row is left out. Errors are against one forward pass over the whole image.

With ``--large`` instead: time and peak memory of segmenting an image of 10,000 × 10,000 pixels, made of
repeated simulated flat cells (``sim-dic``), in a process of its own.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import celltrail, markdown_table, measured, parser, write_rows
from numpy.typing import NDArray

from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.simulation.scene import simulate_scene
from celltrail.segmentation.net.unet import UNet, valid_size
from celltrail.segmentation.prediction.tiles import choose_tile, run_tiles, to_maps

SIDE, WINDOW, OVERLAP = 1024, 164, 0.25
LARGE, PATCH = 10_000, 500  # sides of the large image, and of the simulated patch that it repeats


def window_output(net: UNet, window: torch.Tensor) -> torch.Tensor:
    """Output for a window alone, mirrored at its edges to the size that the net wants."""
    size = window.shape[-1]
    after = valid_size(size + 2 * net.margin, net.depth) - size - net.margin
    padded = torch.nn.functional.pad(window, (net.margin, after, net.margin, after), mode="reflect")
    return net(padded)[..., :size, :size]


@torch.no_grad()
def sliding_window(net: UNet, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the outputs of overlapping windows."""
    image = torch.from_numpy(plane)[None, None]
    step = int(WINDOW * (1 - OVERLAP))
    starts = sorted({*range(0, SIDE - WINDOW, step), SIDE - WINDOW})
    total, count = torch.zeros(net.head.out_channels, SIDE, SIDE), torch.zeros(SIDE, SIDE)
    for y in starts:
        for x in starts:
            total[:, y : y + WINDOW, x : x + WINDOW] += window_output(net, image[..., y : y + WINDOW, x : x + WINDOW])[
                0
            ]
            count[y : y + WINDOW, x : x + WINDOW] += 1
    return (total / count).numpy()


@torch.no_grad()
def monai_window(net: UNet, plane: NDArray[np.float32]) -> NDArray[np.float32]:
    """The same by MONAI."""
    from monai.inferers import sliding_window_inference

    image = torch.from_numpy(plane)[None, None]
    return sliding_window_inference(image, (WINDOW, WINDOW), 1, lambda w: window_output(net, w), OVERLAP)[0].numpy()


def measure_large() -> list[dict[str, Any]]:
    """Segment the large image by the command, with the shipped model for such cells."""
    image, _ = simulate_scene(frames=1, cells=40, size=(PATCH, PATCH), modality="dic", seed=0).draw(0)
    repeats = LARGE // PATCH
    with tempfile.TemporaryDirectory() as folder:
        file, masks = Path(folder) / "t000.tif", Path(folder) / "masks"
        write_array(file, np.tile(image, (repeats, repeats)))
        usage, told = celltrail("segment", file, "--model", "sim-dic", "--out", masks, "--threads", 1)
    return [
        {
            "case": f"{LARGE} × {LARGE}",
            "method": "celltrail",
            "cpu_s": usage.cpu_s,
            "wall_s": usage.wall_s,
            "peak_mb": usage.peak_mb,
            "cells": sum(told["cells"].values()),
            "image_mb": image.itemsize * LARGE**2 / 2**20,
        }
    ]


def main() -> None:
    """Time each method once warm, and compare it with the whole image."""
    options = parser(__doc__)
    options.add_argument("--large", action="store_true", help="peak memory on a very large image instead")
    arguments = options.parse_args()
    if arguments.large:
        rows = measure_large()
        print(markdown_table(list(rows[0]), [list(rows[0].values())]))
        write_rows(arguments.json, rows)
        return
    torch.set_num_threads(1)
    torch.manual_seed(0)
    net = UNet(width=16, depth=3, norm="batch", dropout=0.0).eval()
    plane = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    methods: dict[str, Callable[[], NDArray[np.float32]]] = {
        "celltrail": lambda: run_tiles(net, plane, choose_tile(plane.shape, net, 1024)),
        "sliding-window": lambda: sliding_window(net, plane),
    }
    if find_spec("monai"):
        methods["monai"] = lambda: monai_window(net, plane)
    else:
        print("MONAI is not installed (pip install monai): its row is left out.", file=sys.stderr)
    side = valid_size(SIDE + 2 * net.margin, net.depth)
    whole = to_maps(net, run_tiles(net, plane, (side, side)))
    rows = []
    for method, run in methods.items():
        with measured() as usage:
            output = run()
        error = float(np.abs(to_maps(net, output) - whole).max())
        rows.append(
            {
                "case": f"{SIDE} × {SIDE}",
                "method": method,
                "cpu_s": usage.cpu_s,
                "wall_s": usage.wall_s,
                "peak_mb": usage.peak_mb,
                "pixels_per_cpu_s": plane.size / usage.cpu_s,
                "max_error": error,
            }
        )
    for row in rows:
        row["ratio"] = row["cpu_s"] / rows[0]["cpu_s"]
    print(
        markdown_table(
            ["method", "CPU s", "times ours", "largest error"],
            [[r["method"], r["cpu_s"], r["ratio"], f"{r['max_error']:.1e}"] for r in rows],
        )
    )
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
