"""Whether ``fits`` is right about images of a kind that had no say in its thresholds: each data set is left out once.

    python benchmarks/fits.py DATA --model nuclei --first 9 --every 10

DATA holds what `front_door.py` looks at, DIC-C2DH-HeLa-unlabelled and ISBI2012-membrane; what is missing is left out. Nuclei in
fluorescence are to fit, of DSB2018, movies, and drawn. Phase contrast, differential interference contrast (drawn, too), membranes
under an electron microscope, and DSB2018 upside down are not. Each image is judged alone. ``right`` is the part that is judged
rightly by the thresholds of the package, ``left out`` by those with which most of the other data sets are judged rightly (both
answers weigh the same, and so do data sets; of many such thresholds those in the middle), ``silent`` the part about which nothing
is said: hardly anything is found there.
"""

from __future__ import annotations

import sys

sys.path.append(sys.path.pop(0))  # packages come before benchmarks of the same name

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from front_door import images_and_model
from measure import markdown_table, write_rows
from numpy.typing import NDArray

from celltrail.data.files.opening import open_images
from celltrail.data.simulation.scene import simulate_scene
from celltrail.segmentation.prediction.first_look import survey
from celltrail.segmentation.prediction.fit import DARK, FITS, LIGHT, SURE
from celltrail.segmentation.stills import open_images_or_stills

MOVIES = {  # data set: folders of images, and whether they are to fit
    "Fluo-N2DH-SIM+": (["Fluo-N2DH-SIM+/01"], True),
    "Fluo-N2DL-HeLa": (["Fluo-N2DL-HeLa/01"], True),
    "PhC-C2DL-PSC": (["PhC-C2DL-PSC/02"], False),
    "DIC-C2DH-HeLa": (["DIC-C2DH-HeLa/01", "DIC-C2DH-HeLa-unlabelled/01", "DIC-C2DH-HeLa-unlabelled/02"], False),
    "ISBI2012-membrane": (["ISBI2012-membrane/train/image"], False),
}
# Every combination of thresholds of agreement, sureness and darkness that is tried.
TRIED = np.stack(np.meshgrid(*[np.linspace(0.5, 0.98, 25)] * 2, np.linspace(0.5, 8, 31), indexing="ij"), -1).reshape(
    -1, 3
)
SHIPPED = np.array([[FITS, SURE, DARK]])


@dataclass
class Kind:
    """The images of a data set: agreement, sureness and darkness of each (NaN: not told), and whether they are to fit."""

    name: str
    known: bool
    seen: list[tuple[float, float, float]] = field(default_factory=list)

    def right(self, thresholds: NDArray[np.float64], learnt: float) -> tuple[NDArray[np.float64], float]:
        """For each row of thresholds the part of the images judged rightly, and the part of silence (of the first row)."""
        agreement, sureness, darkness = np.array(self.seen).T[:, :, None]
        agreed, sure, dark = thresholds.T
        other = darkness > dark * max(learnt, LIGHT)
        silent = np.isnan(agreement) & ~other
        fits = ~other & ((agreement >= agreed) | (sureness >= sure))
        right = ((fits == self.known) & ~silent).sum(axis=0) / np.maximum((~silent).sum(axis=0), 1)
        return np.where((~silent).any(axis=0), right, 1.0), float(silent[:, 0].mean())


def images_of(data: Path, first: int, every: int, frames: int) -> Iterator[tuple[str, bool, NDArray[Any]]]:
    """Data set, whether it is to fit, and image."""
    stills = data / "DSB2018-fluorescence/images"
    if stills.is_dir():
        images = open_images_or_stills(stills)
        for number in images.numbers[first::every]:
            yield "DSB2018", True, np.asarray(images[number])
            yield "DSB2018, inverted", False, 255 - np.asarray(images[number])
    for name, (folders, known) in MOVIES.items():
        for movie in (open_images(data / folder) for folder in folders if (data / folder).is_dir()):
            for place in np.linspace(0, len(movie.numbers) - 1, frames).round().astype(int):
                yield name, known, np.asarray(movie[movie.numbers[place]])
    for seed in range(frames):
        for modality in ("fluo", "dic"):
            scene = simulate_scene(frames=1, cells=15 + 10 * seed, modality=modality, seed=900 + seed)  # type: ignore[arg-type]
            yield f"drawn, {modality}", modality == "fluo", scene.draw(0)[0]


def choose(kinds: list[Kind], learnt: float) -> NDArray[np.float64]:
    """The thresholds with which most is judged rightly; of several the one nearest to their mean."""
    parts = [
        np.mean([kind.right(TRIED, learnt)[0] for kind in kinds if kind.known is known], axis=0)
        for known in (True, False)
    ]
    best = TRIED[sum(parts) > np.max(sum(parts)) - 1e-9]
    spread = TRIED.std(axis=0)
    return best[np.argmin((((best - best.mean(axis=0)) / spread) ** 2).sum(axis=1))][None]


def main() -> None:
    """A line for each data set."""
    arguments, model = images_and_model(__doc__, every=10, first=9)
    learnt = float(model.info.get("darkness") or 0)
    kinds: dict[str, Kind] = {}
    for name, known, image in images_of(arguments.data, arguments.first, arguments.every, arguments.frames):
        found = survey({0: image}, model)
        told = [found.agreement, found.sureness, found.darkness]
        kinds.setdefault(name, Kind(name, known)).seen.append(tuple(np.nan if v is None else v for v in told))
    rows = []
    for kind in kinds.values():
        chosen = choose([other for other in kinds.values() if other is not kind], learnt)
        right, silent = kind.right(SHIPPED, learnt)
        rows.append(
            {
                "case": kind.name,
                "to fit": kind.known,
                "images": len(kind.seen),
                "silent": silent,
                "right": float(right[0]),
                "left out": float(kind.right(chosen, learnt)[0][0]),
                "thresholds": ", ".join(f"{value:.2f}" for value in chosen[0]),
            }
        )
        for name, values in zip(("agreement", "sureness", "darkness"), np.array(kind.seen).T, strict=True):
            rows[-1][name] = " ".join(f"{v:.2f}" for v in np.nanpercentile(values, [0, 50, 100]))
    print(markdown_table(list(rows[0]), [list(row.values()) for row in rows]))
    write_rows(arguments.json, rows)


if __name__ == "__main__":
    main()
