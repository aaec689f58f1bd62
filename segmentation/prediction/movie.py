"""From a movie to masks, one frame at a time: in memory, or into a folder."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import read_pages, write_array, write_labels
from celltrail.data.files.ctc import digits_for
from celltrail.data.files.hypotheses import hash_of_mask, paint, write_hypotheses
from celltrail.data.files.movie import part_of
from celltrail.data.progress import Progress, silent
from celltrail.data.running.workers import Mapper
from celltrail.segmentation.net.checkpoint import find_model, load_model
from celltrail.segmentation.net.instance_settings import scaled_settings
from celltrail.segmentation.net.model import Model
from celltrail.segmentation.prediction.blocks import label_in_blocks
from celltrail.segmentation.prediction.first_look import Survey, from_json, survey
from celltrail.segmentation.prediction.grey import mend
from celltrail.segmentation.prediction.hypotheses import find_hypotheses, label_cells
from celltrail.segmentation.prediction.tiles import predict
from celltrail.segmentation.prediction.two_sizes import label_part, read_two_sizes

RESUME_FILE = ".segment.json"
STILLS_FILE = ".stills.jsonl"  # what was found about each still, a line each, while a run is not yet whole
LARGE = 20_000_000  # pixels of the net from which an image is segmented in blocks


def segment_movie(
    images: Mapping[int, NDArray[Any]],
    model: Model | str | Path,
    *,
    diameter: float | None = None,
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
    diameter : float | None
        Of the cells in pixels; ``None``: found on a few frames, see `celltrail.segmentation.prediction.first_look`.
    tta : bool | None
        See `celltrail.segmentation.prediction.tiles.predict`.
    memory_mb : float
        See `celltrail.segmentation.prediction.tiles.predict`.

    Raises
    ------
    InputError
        If the model cannot be read, or a frame cannot be segmented.
    """
    loaded = model if isinstance(model, Model) else load_model(model)
    loaded.net.to(device)
    found = survey(images, loaded, diameter=diameter, device=device, progress=progress)
    options = {"tta": tta, "memory_mb": memory_mb, "device": device}
    for done, number in enumerate(sorted(images), start=1):
        image = mend(np.asarray(images[number]))
        own = survey_of_still(found, number, image, loaded, device) if found.stills else found
        yield number, label_frame(loaded, image, **options, **view(own, loaded, number, image))
        progress("segment", done, len(images), f"frame {number}")


def survey_of_still(whole: Survey, number: int, image: NDArray[Any], model: Model, device: str) -> Survey:
    """What is found about one of several stills; a diameter that was given holds for all."""
    return survey({number: image}, model, diameter=whole.diameter if whole.given else None, device=device)


def view(found: Survey, model: Model, number: int, image: NDArray[Any]) -> dict[str, Any]:
    """How a frame is looked at: options of `predict`, and ``sizes`` where cells have two."""
    sizes = found.sizes if image.ndim == 2 else ()
    options = {
        "limits": found.limits(model, number, image),
        "factor": found.factor,
        "stand_out": found.stand_out,
    }
    return options | {"sizes": sizes} if sizes else options


def is_large(image: NDArray[Any], options: Mapping[str, Any]) -> bool:
    """Whether the maps of a frame that is looked at so would take so much memory that it is segmented in blocks."""
    factors = [size.factor for size in options.get("sizes", ())] or [options.get("factor", 1.0)]
    return image.ndim == 2 and image.size * max(*factors, 1.0) ** 2 > LARGE


def label_frame(model: Model, image: NDArray[Any], **options: Any) -> NDArray[np.int32]:
    """Label image of one frame: as a whole, or in blocks if it is very large; options as of `view`."""
    label = label_in_blocks if is_large(image, options) else label_part
    return label(model, image, **options)


@dataclass(frozen=True)
class Output:
    """What is written for each frame beside ``maskTTT.tif``.

    Attributes
    ----------
    hypotheses : bool | None
        ``hypTTT.npz``; the masks are then the best disjoint choice among them. ``None``: where that is what the masks
        are anyhow, for a movie whose frames are not so large that they are segmented in blocks.
    binary : bool
        The foreground, ``binaryTTT.png`` (255 is cell; a TIFF for stacks).
    probability : bool
        ``probabilityTTT.tif``, float32, 0 … 1.
    """

    hypotheses: bool | None = False
    binary: bool = False
    probability: bool = False


@dataclass(frozen=True)
class Segmented:
    """What was written into a folder.

    Attributes
    ----------
    counts : dict[int, int]
        Number of cells in each frame.
    survey : Survey
        What was found about the movie before.
    stills : dict[int, Survey]
        What was found about each image, where they are stills.
    seconds : dict[str, float]
        Wall time of the look at the movie, and of the segmentation.
    """

    counts: dict[int, int]
    survey: Survey
    stills: dict[int, Survey]
    seconds: dict[str, float]

    @property
    def fits(self) -> bool | None:
        """Whether the images look like what the model knows: for stills, whether half of those do that can be judged."""
        if not self.survey.stills:
            return self.survey.fits
        judged = [one.fits for one in self.stills.values() if one.fits is not None]
        return 2 * sum(judged) >= len(judged) if judged else None


def segment_into(
    folder: Path,
    images: Mapping[int, NDArray[Any]],
    model: Model | str | Path,
    *,
    output: Output | None = None,
    diameter: float | None = None,
    tta: bool | None = None,
    memory_mb: float = 1024,
    resume: bool = False,
    device: str = "cpu",
    mapper: Mapper = map,
    threads: int | None = None,
    progress: Progress = silent,
) -> Segmented:
    """Write the masks of a movie; returns what was found.

    Call it inside `celltrail.data.writing.output.output_folder`.

    Parameters
    ----------
    folder : Path
        An existing folder, which every worker can write to.
    resume : bool
        Keep frames that an interrupted run has left in it, and what it had found about the movie.
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
    if threads is not None:
        torch.set_num_threads(threads)
    loaded = _loaded(model, device)
    begun = time.monotonic()
    same = {
        "instances": asdict(loaded.instances),
        "model": loaded.info.get("data_sha256"),
        "steps": loaded.info.get("steps"),
        "output": asdict(wanted),
        "tta": tta,
        "diameter": diameter,
    }
    found = _resumed(folder, same) if resume else None
    if found is None:
        found = survey(images, loaded, diameter=diameter, device=device, progress=progress)
        note = json.dumps({"same": same, "survey": found.as_json()})
        (folder / RESUME_FILE).write_text(note, encoding="utf-8")
    looked = time.monotonic()
    if not isinstance(model, Model) and Path(model).is_file():
        model = Path(model).absolute()  # another process may work in another folder
    settings = FrameSettings(
        folder.absolute(), digits_for(images), model, found, wanted, tta, memory_mb, device, threads
    )
    counts: dict[int, int] = {}
    stills = _read_stills(folder) if resume else {}
    left = []
    for number in sorted(images):
        if resume and settings.mask_file(number).is_file() and (not found.stills or number in stills):
            counts[number] = int(read_pages(settings.mask_file(number)).max(initial=0))
        else:
            left.append(number)
    progress("segment", len(counts), len(images))
    frames = (part_of(images, range(number, number + 1)) for number in left)
    with (folder / STILLS_FILE).open("a", encoding="utf-8") as stream:
        for number, count, own in mapper(partial(_segment_frame, settings), frames):
            counts[number] = count
            if own is not None:
                stills[number] = own
                stream.write(json.dumps({"frame": number, "survey": own.as_json()}) + "\n")
                stream.flush()
            progress("segment", len(counts), len(images), f"frame {number}")
    for name in (RESUME_FILE, STILLS_FILE):
        (folder / name).unlink()
    seconds = {"look": round(looked - begun, 2), "segment": round(time.monotonic() - looked, 2)}
    return Segmented({k: counts[k] for k in sorted(counts)}, found, {k: stills[k] for k in sorted(stills)}, seconds)


def _resumed(folder: Path, same: dict[str, Any]) -> Survey | None:
    """What an interrupted run had found about the movie; ``None`` where it had not come so far."""
    note = folder / RESUME_FILE
    if not note.is_file():
        return None
    known = json.loads(note.read_text(encoding="utf-8"))
    if known["same"] != json.loads(json.dumps(same)):
        raise InputError(f"{folder} holds frames of another model or other options: start anew without --resume.")
    return from_json(known["survey"])


def _read_stills(folder: Path) -> dict[int, Survey]:
    """What an interrupted run had found about each still; a line that was cut off does not count."""
    found: dict[int, Survey] = {}
    file = folder / STILLS_FILE
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else []:
        try:
            row = json.loads(line)
        except ValueError:
            continue
        found[row["frame"]] = from_json(row["survey"])
    return found


@dataclass(frozen=True)
class FrameSettings:
    """How each frame is segmented and written, see `segment_into`."""

    folder: Path
    digits: int
    model: Model | str | Path
    survey: Survey
    output: Output
    tta: bool | None
    memory_mb: float
    device: str
    threads: int | None

    def mask_file(self, number: int) -> Path:
        """Where the mask of a frame goes."""
        return self.folder / f"mask{number:0{self.digits}d}.tif"


def _segment_frame(settings: FrameSettings, frame: Mapping[int, NDArray[Any]]) -> tuple[int, int, Survey | None]:
    """Segment and write one frame; returns its number, how many cells it has, and what was found if it is a still."""
    ((number, image),) = frame.items()
    if settings.threads is not None:
        torch.set_num_threads(settings.threads)
    model, wanted, found = _loaded(settings.model, settings.device), settings.output, settings.survey
    try:
        whole = mend(np.asarray(image))
    except InputError as error:
        raise InputError(*(f"Frame {number}: {problem}" for problem in error.problems)) from None
    own = survey_of_still(found, number, whole, model, settings.device) if found.stills else None
    options: dict[str, Any] = {"tta": settings.tta, "memory_mb": settings.memory_mb, "device": settings.device}
    options |= view(own or found, model, number, whole)
    if wanted.hypotheses is None:
        usual = model.instances.method == "tree" and not found.stills and not is_large(whole, options)
        wanted = replace(wanted, hypotheses=usual)
    if wanted == Output():
        labels = label_frame(model, whole, **options)
    else:
        labels = _write_more(settings.folder, f"{number:0{settings.digits}d}", model, whole, wanted, options)
    write_labels(settings.mask_file(number), labels)  # last: where it stands, the others stand as well
    return number, int(labels.max(initial=0)), own


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


def _write_more(
    folder: Path, number: str, model: Model, image: NDArray[Any], wanted: Output, options: dict[str, Any]
) -> NDArray[np.int32]:
    """Write what is wanted beside the mask of a frame; returns the mask."""
    settings = scaled_settings(model.instances, options["factor"])
    candidates = None
    if "sizes" in options:
        maps, candidates = read_two_sizes(model, image, **options)
    else:
        maps = predict(model, image, **options)
        candidates = find_hypotheses(maps, settings) if wanted.hypotheses else None
    labels = label_cells(maps, settings) if candidates is None else paint(candidates.hypotheses, candidates.best)
    if wanted.hypotheses and candidates is not None:
        found = replace(candidates.hypotheses, mask_sha256=hash_of_mask(labels))
        write_hypotheses(folder / f"hyp{number}.npz", found)
    if wanted.probability:
        write_array(folder / f"probability{number}.tif", maps.probability)
    if wanted.binary:
        foreground = (maps.probability >= settings.threshold).astype(np.uint8) * 255
        if foreground.ndim == 2:
            from PIL import Image

            Image.fromarray(foreground).save(folder / f"binary{number}.png")
        else:
            write_array(folder / f"binary{number}.tif", foreground)
    return labels
