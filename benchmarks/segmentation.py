"""What `segment` takes for each million pixels, part by part, and the same net by other means.

    python benchmarks/segmentation.py --json segmentation.json [--peer-python PYTHON]

Simulated nuclei, one thread. The parts of a run, in CPU seconds for each million pixels of the images: the look at the movie
before (size of the cells, grey values), the net with the resizing around it, and the cells cut out of its maps; ``look`` is
also given as a share of the run. Then the net alone, on 1024 × 1024 pixels, each way in the same run: as it is shipped (tiles
that fit together, channels last), with channels first, with one image in a batch of four tiles, with 16-bit floats (bfloat16),
and as a plain sliding window (`tiles.py`): times what ours takes, and the largest difference of a probability from it. With
an interpreter that has Cellpose (``pip install cellpose==3.1.1.2``), its own code with random weights too (`generalist.py`),
on the same pixels and on the same cells, which it wants 30 pixels wide where ours are 20.
"""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # packages come before benchmarks of the same name

import json
import time
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measure import markdown_table, measured, parser, run_command, write_rows
from numpy.typing import NDArray
from tiles import SIDE, sliding_window

from celltrail.data.simulation.scene import simulate_scene
from celltrail.segmentation import Model, load_model
from celltrail.segmentation.net.instance_settings import scaled_settings
from celltrail.segmentation.net.unet import UNet
from celltrail.segmentation.prediction.first_look import survey
from celltrail.segmentation.prediction.hypotheses import label_cells
from celltrail.segmentation.prediction.movie import view
from celltrail.segmentation.prediction.tiles import choose_tile, predict, run_tiles, to_maps

CASES = {"still, 256 × 256": (1, 256), "still, 1024 × 1024": (1, 1024), "10 frames, 512 × 512": (10, 512)}
CELLS_PER_MEGAPIXEL = 500


def parts_of_a_run(model: Model, frames: int, side: int) -> dict[str, Any]:
    """CPU seconds of the parts for each million pixels."""
    cells = round(CELLS_PER_MEGAPIXEL * side**2 / 1e6)
    scene = simulate_scene(frames=frames, cells=cells, size=(side, side), seed=1)
    images = {number: scene.draw(number)[0] for number in range(frames)}
    spent = dict.fromkeys(("look", "net", "cells"), 0.0)
    count = 0

    def timed(name: str, work: Callable[[], Any]) -> Any:
        begun = time.process_time()
        done = work()
        spent[name] += time.process_time() - begun
        return done

    with measured() as usage:
        found = timed("look", lambda: survey(images, model))
        settings = scaled_settings(model.instances, found.factor)
        for number, image in images.items():
            maps = timed("net", lambda n=number, i=image: predict(model, i, **view(found, model, n, i)))
            count += int(timed("cells", lambda m=maps: label_cells(m, settings)).max())
    pixels = frames * side**2 / 1e6
    each = {name: seconds / pixels for name, seconds in spent.items()}
    return {**each, "all": sum(each.values()), "share": spent["look"] / sum(spent.values()), "cells found": count} | {
        "peak_mb": usage.peak_mb
    }


@torch.no_grad()
def in_batches(net: UNet, plane: NDArray[np.float32], *, kind: torch.dtype = torch.float32) -> NDArray[np.float32]:
    """Four quarters of a plane at once."""
    half = SIDE // 2
    padded = np.pad(plane, net.margin, mode="reflect")
    side = half + 2 * net.margin
    extra = -(side + 4) % 2**net.depth  # up to a size that fits the pooling
    padded = np.pad(padded, [(0, extra), (0, extra)], mode="reflect")
    pieces = [padded[y : y + side + extra, x : x + side + extra] for y in (0, half) for x in (0, half)]
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=kind == torch.bfloat16):
        output = net(torch.from_numpy(np.stack(pieces))[:, None]).float().numpy()[..., :half, :half]
    rows = [np.concatenate(list(output[i : i + 2]), axis=2) for i in (0, 2)]
    return np.concatenate(rows, axis=1)


def generalist(python: str) -> list[dict[str, Any]]:
    """What Cellpose's code takes for a plane as large, with random weights."""
    script = str(Path(__file__).with_name("generalist.py"))
    rows = []
    for name, resize in (("Cellpose's net, same pixels", 1.0), ("Cellpose's net, same cells", 1.5)):
        _, status, output = run_command([python, script, str(SIDE), str(resize)])
        if status:
            print(f"{name}: not measured, exit code {status}")
        else:
            rows.append({"case": "net alone", "method": name, "cpu_s": json.loads(output)["cpu_s"], "difference": None})
    return rows


def ways_of_the_net(model: Model, python: str | None = None) -> list[dict[str, Any]]:
    """Each way of running the net on one plane, beside ours."""
    net = model.net.eval()
    first = deepcopy(net).to(memory_format=torch.contiguous_format)
    plane = np.random.default_rng(0).random((SIDE, SIDE), dtype=np.float32)
    ways: dict[str, Callable[[], NDArray[np.float32]]] = {
        "celltrail": lambda: run_tiles(net, plane, choose_tile(plane.shape, net, 1024)),
        "channels first": lambda: run_tiles(first, plane, choose_tile(plane.shape, net, 1024)),
        "batch of four tiles": lambda: in_batches(net, plane),
        "bfloat16": lambda: in_batches(net, plane, kind=torch.bfloat16),
        "sliding window": lambda: sliding_window(net, plane),
    }
    rows: list[dict[str, Any]] = []
    ours = None
    for name, way in ways.items():
        with measured() as usage:
            maps = to_maps(net, way())
        ours = maps if ours is None else ours
        difference = float(np.abs(maps[0] - ours[0]).max())
        rows.append({"case": "net alone", "method": name, "cpu_s": usage.cpu_s, "difference": difference})
    rows += generalist(python) if python else []
    for row in rows:
        row["times"] = row["cpu_s"] / rows[0]["cpu_s"]
    return rows


def main() -> None:
    """Two tables."""
    options = parser(__doc__)
    options.add_argument("--model", default="nuclei")
    options.add_argument("--peer-python", help="interpreter that has Cellpose 3")
    arguments = options.parse_args()
    torch.set_num_threads(1)
    model = load_model(arguments.model)
    parts_of_a_run(model, 1, 128)  # warm
    rows = [{"case": case, "method": "celltrail"} | parts_of_a_run(model, *what) for case, what in CASES.items()]
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    ways = ways_of_the_net(model, arguments.peer_python)
    print(markdown_table(list(ways[0]), [list(row.values()) for row in ways]))
    write_rows(arguments.json, [*rows, *ways])


if __name__ == "__main__":
    main()
