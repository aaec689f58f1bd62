"""How often masks look as if a cell had gone unseen, where none has, and where some have: is a gap evidence?

    python benchmarks/chance.py DATA --cache DIR [--cells 2500] [--json FILE]

The development movies as they are, every 2nd frame of them, and with one mask in two hundred dropped. ``rate``: ends
and beginnings that nothing but a gap explains, of all links of a solution without gaps; ``gaps``: those that are chosen
if they are asked for (``--max-gap 4``), ``true``: how many of them go from a cell to itself, which the truth shows in
between; ``default``: those that are chosen if nothing is asked for. In testing_dataset and ipsc-02 the truth ends
tracks where a mask is missing, so none is true; the masks of PhC-C2DL-PSC do miss cells.
"""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
from corruption import Rates, corrupted
from measure import markdown_table, measured, write_rows
from regret import judged_movies

from celltrail.data import open_images, open_labels
from celltrail.tracking import track

INPUTS = {"plain": (1, 0.0), "every 2nd": (2, 0.0), "1 of 200 dropped": (1, 0.005)}


def truth_of(labels: Any, markers: Any, label: int) -> int:
    """The marker that most of a mask lies on; 0: none."""
    inside = markers[labels == label]
    return int(np.bincount(inside[inside > 0]).argmax()) if inside.any() else 0


def main() -> None:
    """Count, and print the table."""
    given, sequences, costs = judged_movies(__doc__)
    rows: list[dict[str, Any]] = []
    for sequence in sequences:
        assert sequence.gt_tra is not None
        markers = dict(open_labels(sequence.gt_tra))
        masks = dict(open_labels(sequence.st_seg)) if sequence.st_seg else markers
        images = open_images(sequence.images) if sequence.images else None
        sizes = np.cumsum([len(np.unique(labels)) - 1 for labels in masks.values()])
        first = max(int(np.searchsorted(sizes, given.cells)), 12)
        for kind, (step, dropped) in INPUTS.items():
            frames = sorted(masks)[: first * step : step]
            part = {k: masks[number] for k, number in enumerate(frames)}
            if dropped:
                part = corrupted(part, Rates(dropped, 0, 0, 0))[0]
            grey = None if images is None else {k: images[number] for k, number in enumerate(frames)}
            file = str(costs[sequence.dataset.name])
            with measured() as usage:
                result = track(part, images=grey, costs=file, repair=False, max_gap=4)
            links, d = result.candidates.links, result.candidates.detections
            gaps = np.flatnonzero(result.solution.link_chosen & (d.frame[links.target] - d.frame[links.source] > 1))
            true = 0
            for u, w in zip(links.source[gaps].tolist(), links.target[gaps].tolist(), strict=True):
                a, b = (
                    truth_of(part[f], markers[frames[f]], d.label[r]) for r, f in ((u, d.frame[u]), (w, d.frame[w]))
                )
                true += a == b > 0 and bool((markers[frames[d.frame[u] + 1]] == a).any())
            default = track(part, images=grey, costs=file, repair=False).run["gap_links"]
            rows.append({"case": f"{sequence.dataset.name}, {kind}", "method": "celltrail", "masks": len(d)})
            rows[-1] |= {"rate": result.run["scale"]["gap_rate"], "gaps": len(gaps), "true": true, "default": default}
            rows[-1] |= asdict(usage)
            write_rows(given.json, rows)
            print(rows[-1]["case"], rows[-1]["masks"], f"{rows[-1]['rate']:.4f}", len(gaps), true, default, flush=True)
    header = ["case", "masks", "rate", "gaps", "true", "default"]
    print(markdown_table(header, [[row[name] for name in header] for row in rows]))


if __name__ == "__main__":
    main()
