"""What it costs to open a folder with one file per frame: names and headers, no pixels.

The other row opens every file with tifffile and reads its shape, which is the least that any check of headers needs.

    python benchmarks/opening.py [--frames 100000] [--json FILE]
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import tifffile
from measure import markdown_table, measured, parser, write_rows

from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.opening import open_images

LINKS = 10_000  # file systems allow some 65,000 names for one file


def make_folder(folder: Path, frames: int) -> None:
    """A folder of that many frames, all of them the same file under other names."""
    for number in range(frames):
        file = folder / f"t{number:06d}.tif"
        if number % LINKS == 0:
            write_array(file, np.arange(32 * 32, dtype=np.uint16).reshape(32, 32))
            first = file
        else:
            os.link(first, file)


def read_shapes(folder: Path) -> int:
    """Open every file with tifffile alone."""
    count = 0
    for path in sorted(folder.iterdir()):
        with tifffile.TiffFile(path) as tiff:
            count += tiff.pages.first.shape == (32, 32)
    return count


def main() -> None:
    """Run the benchmark."""
    options = parser(__doc__)
    options.add_argument("--frames", type=int, default=100_000)
    arguments = options.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        make_folder(folder, arguments.frames)
        methods = {"celltrail": lambda: len(open_images(folder)), "tifffile": lambda: read_shapes(folder)}
        for method, run in methods.items():
            with measured() as usage:
                assert run() == arguments.frames
            rows.append({"case": f"{arguments.frames} frames", "method": method, **vars(usage)})
    for row in rows:
        row["ratio"] = row["cpu_s"] / rows[0]["cpu_s"]
        row["ms_per_frame"] = 1000 * row["cpu_s"] / arguments.frames
    table = [[r["method"], r["cpu_s"], r["ms_per_frame"], r["ratio"], r["peak_mb"]] for r in rows]
    print(markdown_table(["method", "CPU s", "ms per frame", "times ours", "peak MB"], table))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
