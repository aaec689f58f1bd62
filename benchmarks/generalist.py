"""Cellpose's own prediction code with random weights on one plane. Needs no Celltrail; ``segmentation.py`` starts it.

    python benchmarks/generalist.py SIDE RESIZE

Prints as JSON the CPU seconds of one thread, and how many weights the net has: the net of cyto3 as Cellpose builds it,
run as Cellpose runs it on a plane of SIDE × SIDE pixels, which it first resizes by RESIZE. Neither the size of the
cells is sought nor are cells cut out. Exit code 3 where Cellpose is not installed.
"""

from __future__ import annotations

import json
import sys
import time

import numpy as np

CYTO3 = (2, 32, 64, 128, 256)  # channels of the input and of each level
MISSING = 3


def main() -> int:
    """Run it; returns the exit code."""
    side, resize = int(sys.argv[1]), float(sys.argv[2])
    try:
        import torch
        from cellpose.core import run_net
        from cellpose.resnet_torch import CPnet
    except ImportError as error:
        print(f"not installed: {error}", file=sys.stderr)
        return MISSING
    torch.set_num_threads(1)
    net = CPnet(list(CYTO3), 3, sz=3).eval()
    plane = np.random.default_rng(0).random((1, side, side, CYTO3[0]), dtype=np.float32)
    run_net(net, plane[:, :256, :256], rsz=resize)  # warm
    begun = time.process_time()
    run_net(net, plane, rsz=resize)
    weights = sum(weight.numel() for weight in net.parameters())
    print(json.dumps({"cpu_s": time.process_time() - begun, "weights": weights}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
