"""From a movie to masks, one frame at a time: in memory, or into a folder."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.ctc import digits_for
from celltrail.data.files.hypotheses import paint, write_hypotheses
from celltrail.data.files.movie import part_of
from celltrail.data.files.tiff import read_pages, write_array, write_labels
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.segmentation.net.checkpoint import find_model, load_model
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.blocks import label_in_blocks
from celltrail.segmentation.prediction.hypotheses import find_hypotheses, label_cells
from celltrail.segmentation.prediction.tiles import Prediction, predict

RESUME_FILE = ".segment.json"
LARGE = 20_000_000  # pixels from which an image is segmented in blocks


def segment_movie(
    images: Mapping[int, NDArray[Any]],
    model: Model | str | Path,
    *,
    tta: bool | None = None,
    memory_mb: float = 1024,
    device: str = "cpu",
    progress: Progress = silent,
) -> Iterator[tuple[int, NDArray[np.int32]]]:
    """Label images of a movie, lazily: yields (frame number, int32 labels of the shape of the frame).

    Parameters
    ----------
    images : Mapping[int, NDArray[Any]]
        Frame number → grey values (Y, X) or (Z, Y, X).
    model : Model | str | Path
        A `Model`, a file, or the name of a shipped model.
    tta : bool | None
        See `celltrail.segmentation.prediction.tiles.predict`.
    memory_mb : float
        See `celltrail.segmentation.prediction.tiles.predict`.

    Raises
    ------
    InputError
        If the model cannot be read, or a frame cannot be segmented (too small, NaN).
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    loaded.net.to(device)
    for done, number in enumerate(sorted(images), start=1):
        yield number, label_frame(loaded, np.asarray(images[number]), tta=tta, memory_mb=memory_mb, device=device)
        progress("segment", done, len(images), f"frame {number}")


def label_frame(model: Model, image: NDArray[Any], **options: Any) -> NDArray[np.int32]:
    """Label image of one frame: as a whole, or in blocks if it is very large; options of ``predict``."""
    if image.ndim == 2 and image.size > LARGE:
        return label_in_blocks(model, image, **options)
    return label_cells(predict(model, image, **options), model.instances)


@dataclass(frozen=True)
class Output:
    """What is written for each frame beside ``maskTTT.tif``.

    Attributes
    ----------
    hypotheses : bool
        ``hypTTT.npz``; the masks are then the best disjoint choice among them.
    binary : bool
        The foreground, ``binaryTTT.png`` (255 is cell; a TIFF for stacks).
    probability : bool
        ``probabilityTTT.tif``, float32, 0 … 1.
    """

    hypotheses: bool = False
    binary: bool = False
    probability: bool = False


def segment_into(
    folder: Path,
    images: Mapping[int, NDArray[Any]],
    model: Model | str | Path,
    *,
    output: Output | None = None,
    tta: bool | None = None,
    memory_mb: float = 1024,
    resume: bool = False,
    device: str = "cpu",
    mapper: Mapper = map,
    threads: int | None = None,
    progress: Progress = silent,
) -> dict[int, int]:
    """Write the masks of a movie; returns the number of cells in each frame.

    Call it inside `celltrail.data.files.output.output_folder`.

    Parameters
    ----------
    folder : Path
        An existing folder, which every worker can write to.
    resume : bool
        Keep frames that an interrupted run has left in it.
    model : Model | str | Path
        As in `segment_movie`; a name or a file travels to other processes faster than a model.
    mapper : Mapper
        Where frames are segmented (`celltrail.data.running.workers.open_workers`).
    threads : int | None
        Of PyTorch in each process.

    Raises
    ------
    InputError
        As `segment_movie`, and if the frames in the folder come from another model or other options.
    """
    wanted = output or Output()
    loaded = _loaded(model, device)
    same = {
        "instances": asdict(loaded.instances),
        "model": loaded.info.get("data_sha256"),
        "steps": loaded.info.get("steps"),
        "output": asdict(wanted),
        "tta": tta,
    }
    note = folder / RESUME_FILE
    if resume and note.is_file() and json.loads(note.read_text(encoding="utf-8")) != json.loads(json.dumps(same)):
        raise InputError(f"{folder} holds frames of another model or other options: start anew without --resume.")
    note.write_text(json.dumps(same), encoding="utf-8")
    if not isinstance(model, Model) and Path(model).is_file():
        model = Path(model).absolute()  # another process may work in another folder
    settings = FrameSettings(folder.absolute(), digits_for(images), model, wanted, tta, memory_mb, device, threads)
    counts: dict[int, int] = {}
    left = []
    for number in sorted(images):
        if resume and settings.mask_file(number).is_file():
            counts[number] = int(read_pages(settings.mask_file(number)).max(initial=0))
        else:
            left.append(number)
    progress("segment", len(counts), len(images))
    frames = (part_of(images, range(number, number + 1)) for number in left)
    for number, count in mapper(partial(_segment_frame, settings), frames):
        counts[number] = count
        progress("segment", len(counts), len(images), f"frame {number}")
    note.unlink()
    return {number: counts[number] for number in sorted(counts)}


@dataclass(frozen=True)
class FrameSettings:
    """How each frame is segmented and written, see `segment_into`."""

    folder: Path
    digits: int
    model: Model | str | Path
    output: Output
    tta: bool | None
    memory_mb: float
    device: str
    threads: int | None

    def mask_file(self, number: int) -> Path:
        """Where the mask of a frame goes."""
        return self.folder / f"mask{number:0{self.digits}d}.tif"


def _segment_frame(settings: FrameSettings, frame: Mapping[int, NDArray[Any]]) -> tuple[int, int]:
    """Segment and write one frame; returns its number and how many cells it has."""
    ((number, image),) = frame.items()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    model, wanted = _loaded(settings.model, settings.device), settings.output
    options = {"tta": settings.tta, "memory_mb": settings.memory_mb, "device": settings.device}
    if wanted == Output():
        labels = label_frame(model, np.asarray(image), **options)
    else:
        maps = predict(model, np.asarray(image), **options)
        labels = _write_more(settings.folder, f"{number:0{settings.digits}d}", maps, model, wanted)
    write_labels(settings.mask_file(number), labels)  # last: where it stands, the others stand as well
    return number, int(labels.max(initial=0))


def _loaded(model: Model | str | Path, device: str) -> Model:
    """A model on its device; a file is read once in each process."""
    if not isinstance(model, Model):
        path = find_model(model)
        model = _read_once(path, path.stat().st_mtime_ns)
    model.net.to(device)
    return model


@lru_cache(maxsize=1)
def _read_once(path: Path, changed: int) -> Model:
    return load_model(path)


def _write_more(folder: Path, number: str, maps: Prediction, model: Model, wanted: Output) -> NDArray[np.int32]:
    """Write what is wanted beside the mask of a frame; returns the mask."""
    if wanted.hypotheses:
        candidates = find_hypotheses(maps, model.instances)
        write_hypotheses(folder / f"hyp{number}.npz", candidates.hypotheses)
        labels = paint(candidates.hypotheses, candidates.best)
    else:
        labels = label_cells(maps, model.instances)
    if wanted.probability:
        write_array(folder / f"probability{number}.tif", maps.probability)
    if wanted.binary:
        foreground = (maps.probability >= model.instances.threshold).astype(np.uint8) * 255
        if foreground.ndim == 2:
            from PIL import Image

            Image.fromarray(foreground).save(folder / f"binary{number}.png")
        else:
            write_array(folder / f"binary{number}.tif", foreground)
    return labels
