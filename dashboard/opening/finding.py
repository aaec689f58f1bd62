"""What a folder holds: movies, and which masks, results and truths belong to each.

A data set in the layout of the CTC says so by its names. Elsewhere ``run.json`` tells which images a result was made
from; where it does not, labels belong to the only movie that is there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from celltrail.data import InputError, Sequence, find_sequences
from celltrail.data.files.arrays.omezarr import is_zarr
from celltrail.data.files.ctc import track_file
from celltrail.data.files.file_formats import FORMATS
from celltrail.data.files.folder import image_files

Kind = Literal["result", "masks", "truth", "silver", "annotated"]
SEQUENCE = re.compile(r"(\d{2,})(_GT|_ST|_RES)?")
MASK_FILE = re.compile(r"(mask|man_seg|man_track)\d+|.*(_cp_masks|[_.]labels?)\.", re.IGNORECASE)
MASK_FOLDER = re.compile(r"mask|label|segment", re.IGNORECASE)
MayOpen = Callable[[Path], bool]


@dataclass
class Found:
    """A movie.

    Attributes
    ----------
    name, root
        What it is called, and the folder it was found in, where further results go.
    place : Path
        What stands for it: its images, or the first folder of labels, or their common name.
    images : Path or None
    labels : list of (folder, kind, name)
    elsewhere : Path or None
        Where a result says that its images are, if they may not be opened.
    """

    name: str
    root: Path
    place: Path
    images: Path | None = None
    labels: list[tuple[Path, Kind, str]] = field(default_factory=list)
    elsewhere: Path | None = None


def find_movies(path: Path, may_open: MayOpen) -> list[Found]:
    """The movies at a path: a data set, a result, masks, images, or a folder that holds any of these.

    Parameters
    ----------
    path : Path
        Without links; it exists.
    may_open : callable
        Whether a path that a file names may be opened.

    Raises
    ------
    InputError
        If there is nothing that can be shown.
    """
    if path.is_file() or is_zarr(path):
        return _with_results([Found(path.name, path.parent, path, path)], path.parent, may_open, strict=True)
    kind = kind_of(path)
    if kind in ("result", "masks"):
        return [_of_labels(path, kind, may_open)]
    if kind == "images" and not _has_sequences(path):
        return _with_results([Found(path.name, path, path, path)], path, may_open)
    found = [_of_sequence(path, sequence.name) for sequence in find_sequences(path)] if _has_sequences(path) else []
    plain = [child for child in _children(path) if not SEQUENCE.match(child.name)]
    images = [child for child in plain if kind_of(child) == "images"]
    bare = [one for one in found if one.images is None]
    for one in bare:  # a result under the CTC's name beside images under another
        _take_images(one, may_open)
    if len(images) == 1 and len(bare) == 1 and bare[0].images is None and bare[0].elsewhere is None:
        bare[0].images = images[0]
    taken = {one.images for one in found}
    found += [Found(child.name, path, child, child) for child in images if child.resolve() not in taken | {None}]
    found = _with_results(found, path, may_open)
    if not found:
        image_files(path)  # says what is missing
    return found


def kind_of(folder: Path) -> Literal["result", "masks", "images"] | None:
    """What a folder holds, by the names in it; ``None``: nothing that can be shown."""
    if folder.is_file():
        return "images" if folder.suffix.lower() in FORMATS else None
    if not folder.is_dir():
        return None
    if track_file(folder) is not None:
        return "result"
    if is_zarr(folder):
        return "images"
    try:
        first = image_files(folder)[0]
    except InputError:
        return None
    return "masks" if MASK_FILE.match(first.name) or MASK_FOLDER.search(folder.name) else "images"


def _children(folder: Path) -> list[Path]:
    return sorted(child for child in folder.iterdir() if child.is_dir() and not child.name.startswith("."))


def _has_sequences(root: Path) -> bool:
    return any(SEQUENCE.fullmatch(child.name) for child in _children(root))


def _of_sequence(root: Path, name: str, only: Path | None = None) -> Found:
    """A sequence of the CTC: results first (also those of variants in subfolders), then truths."""
    sequence = Sequence(root, name)
    candidates = sorted(root.glob(f"{name}_RES*")) + sorted(root.glob(f"{name}_MASKS*"))
    candidates += sorted(child for child in root.glob(f"*/{name}_RES*") if not child.parent.name.startswith("."))
    labels: list[tuple[Path, Kind, str]] = []
    for folder in candidates:
        if folder.is_dir() and (only is None or _is_of(only, folder)):
            kind: Kind = "result" if track_file(folder) is not None else "masks"
            labels.append((folder, kind, folder.relative_to(root).as_posix()))
    truths: list[tuple[Path | None, Kind]] = [
        (sequence.gt_tra, "truth"),
        (sequence.gt_seg, "annotated"),
        (sequence.st_seg, "silver"),
    ]
    labels += [(folder, kind, folder.relative_to(root).as_posix()) for folder, kind in truths if folder is not None]
    return Found(name, root, root / name, sequence.images, labels)


def _is_of(result: Path, folder: Path) -> bool:
    """Whether a folder is this result, was made from it, or is of a job, which has a folder of its own."""
    if folder.parent.resolve() != result.parent:
        return result.parent == folder.parent.parent.resolve() or folder.resolve() == result
    return folder.resolve() == result or folder.name.startswith(f"{result.name}_corrected")


def _of_labels(folder: Path, kind: Kind, may_open: MayOpen) -> Found:
    """One result, or masks: with the sequence that its name names, else with the images that it says."""
    named = re.fullmatch(r"(\d{2,})_(RES|MASKS).*", folder.name)
    for root in (folder.parent, folder.parent.parent) if named else ():
        if (root / named[1]).is_dir() or (root / f"{named[1]}_GT").is_dir():  # type: ignore[index]
            return _of_sequence(root, named[1], only=folder)  # type: ignore[index]
    labels: list[tuple[Path, Kind, str]] = [(folder, kind, folder.name)]
    labels += [(one, "result", one.name) for one in sorted(folder.parent.glob(f"{folder.name}_corrected*"))]
    found = Found(named[1] if named else folder.name, folder.parent, folder, None, labels)
    _take_images(found, may_open)
    return found


def _with_results(found: list[Found], root: Path, may_open: MayOpen, *, strict: bool = False) -> list[Found]:
    """Add the labels in a folder to the movies that they were made from; those of no movie are one of their own.

    ``strict`` : only those that say that they were made from it.
    """
    known = {folder.resolve() for one in found for folder, _, _ in one.labels}
    beside = root.parent if found and found[0].images == root else None
    for folder in _label_folders(root, beside):
        if folder.resolve() in known:
            continue
        kind = kind_of(folder)
        assert kind in ("result", "masks")
        name = folder.relative_to(root).as_posix() if folder.is_relative_to(root) else folder.name
        said = images_said(folder, may_open)
        mine = next((one for one in found if one.images is not None and one.images.resolve() in said), None)
        if mine is None and (strict or not folder.is_relative_to(root)):
            continue  # beside the images, but not of them
        if mine is None and len(found) == 1 and not any(map(may_open, said)):
            mine = found[0]
        if mine is None:
            mine = Found(folder.name, root, folder)
            found.append(mine)
        mine.labels.append((folder, kind, name))
        if mine.images is None:
            _take_images(mine, may_open)
    for one in found:
        one.labels.sort(key=lambda label: label[1] not in ("result", "masks"))
    return found


def _label_folders(root: Path, beside: Path | None) -> Iterator[Path]:
    """Folders of labels in a folder, those that jobs wrote in their own folders, and those beside images."""
    children = [child for child in _children(root) if not re.fullmatch(r"\d{2,}(_GT|_ST)?", child.name)]
    deeper = [one for child in children for one in _children(child) if re.search("_RES|_MASKS", one.name)]
    siblings = [] if beside is None else [child for child in _children(beside) if child != root]
    for folder in [*children, *deeper, *siblings]:
        if kind_of(folder) in ("result", "masks"):
            yield folder


def _take_images(found: Found, may_open: MayOpen) -> None:
    """Take the images that one of the labels names, or remember where they are."""
    for folder, _, _ in found.labels:
        for place in images_said(folder, may_open):
            if may_open(place):
                found.images = place
                return
            found.elsewhere = found.elsewhere or place


def images_said(folder: Path, may_open: MayOpen) -> list[Path]:
    """Where the images may lie that labels were made from, as ``run.json`` says; for masks, as theirs says."""
    inputs = _inputs_of(folder)
    places = list(_places(folder, inputs.get("images")))
    for masks in _places(folder, inputs.get("masks")):
        if masks != folder and may_open(masks):
            places += _places(masks, _inputs_of(masks).get("images"))
    return list(dict.fromkeys(places))


def _inputs_of(folder: Path) -> dict[str, Any]:
    """The inputs in ``run.json``; empty where there is none that can be read."""
    try:
        inputs = json.loads((folder / "run.json").read_text(encoding="utf-8"))["inputs"]
    except (OSError, ValueError, KeyError, TypeError):
        return {}
    return inputs if isinstance(inputs, dict) else {}


def _places(folder: Path, known: Any) -> Iterator[Path]:
    """Where an input lies: at its path, or at the same place seen from the folder of the result."""
    text = known.get("path") if isinstance(known, dict) else None
    if isinstance(text, str):
        home = folder.parent
        for path in dict.fromkeys((Path(text), home / text, home / Path(text).name)):
            if path.is_absolute() and path.exists():
                yield path.resolve()
