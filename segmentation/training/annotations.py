"""Annotations as people have them: a folder of images, and masks that are named like them, or numbered like them.

Images may differ in size and need no number. ``cell.png`` goes with ``cell.tif``, with ``cell_masks.png`` or
``cell_cp_masks.tif`` (as Cellpose writes them, in the same folder or another), and ``t007.tif`` with
``man_seg007.tif``.
"""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.omezarr import is_zarr
from celltrail.data.files.file_formats import FORMATS
from celltrail.data.files.folder import list_frame_files
from celltrail.data.files.movie import AnySource, Frames
from celltrail.data.files.opening import open_images, open_labels, refuse_masks
from celltrail.data.labels.instances import judge_masks
from celltrail.data.readers.file_names import frame_number
from celltrail.data.words import counted
from celltrail.segmentation.training.annotated import AnnotatedMovie, pair

MASK_ENDING = re.compile(r"[ _-](cp_)?(masks?|labels?)$", re.IGNORECASE)  # of the name of a mask beside its image
SHOWN = 5  # names in a message


def open_annotations(
    images: Path,
    masks: Path,
    frames: range | None = None,
    *,
    channel: int | None = None,
    axes: str | None = None,
    series: int | None = None,
    split_binary: bool = False,
) -> AnnotatedMovie:
    """Images with their masks, from two folders (which may be one), or two stacks.

    Frames are numbered as the files are; where names have no numbers, or one twice, from 0 in the order of the names.
    How the files are read: `celltrail.data.files.opening.open_frames`, and for masks that are not labelled
    `celltrail.data.files.opening.open_instances`.

    Raises
    ------
    InputError
        If a mask has no image, nothing is annotated, shapes differ, or masks are of a kind that cannot be read.
    """
    images, masks = Path(images), Path(masks)
    name = "/".join(images.resolve().parts[-2:])
    if not all(path.is_dir() and not is_zarr(path) for path in (images, masks)):
        labels = open_labels(masks, axes=axes, series=series)
        labels = labels.with_parts_split() if split_binary else labels
        grey = open_images(images, channel=channel, axes=axes, series=series)
        return replace(pair(grey, labels, frames), name=name)
    pairs = match_files(images, masks)
    numbers = [frame_number(image) for image, _ in pairs]
    in_order = len(set(numbers)) < len(numbers) or None in numbers
    picture_sources: dict[int, AnySource] = {}
    label_sources: dict[int, AnySource] = {}
    problems: list[str] = []
    picture = label = None
    for index, (image, mask) in enumerate(pairs):
        number = index if in_order else frame_number(image)
        assert number is not None
        if frames is not None and number not in frames:
            continue
        try:
            picture = open_images(image, channel=channel, axes=axes, series=series)
            label = open_labels(mask, axes=axes, series=series)
        except InputError as error:
            problems += error.problems
            continue
        if len(picture) != 1 or len(label) != 1:
            problems.append(
                f"{image if len(picture) != 1 else mask} holds several frames: give a folder of single images."
            )
        elif picture.shape != label.shape:
            problems.append(
                f"{image} has {picture.shape} pixels, {mask} has {label.shape}: they must have the same shape."
            )
        else:
            (picture_sources[number],) = picture.sources.values()
            (label_sources[number],) = label.sources.values()
    if problems:
        raise InputError(*problems[:20])
    if picture is None or label is None:
        raise InputError(f"{masks} has no masks in the chosen frames: choose other --frames.")
    opened = Frames(images, picture_sources, picture.dtype, "image")
    refuse_masks(opened)
    labels = Frames(masks, label_sources, label.dtype, "labels")
    labels = labels.with_parts_split() if split_binary else labels
    judge_masks(labels)
    return AnnotatedMovie(opened, labels, labels.numbers, name=name)


def match_files(images: Path, masks: Path) -> list[tuple[Path, Path]]:
    """Every mask with its image, in the order of the images' names: by name, or else by number.

    Raises
    ------
    InputError
        If there are no masks, or a mask has no image, or several.
    """
    pictures, drawn = list_pictures(images), list_pictures(masks)
    if images.resolve() == masks.resolve():
        drawn = [path for path in drawn if MASK_ENDING.search(path.stem)]
        pictures = [path for path in pictures if path not in drawn]
    drawn = [path for path in drawn if MASK_ENDING.search(path.stem)] or drawn  # others are outlines, flows …
    if not drawn:
        raise InputError(explain_no_masks(masks))
    by_name = {path.stem: path for path in reversed(pictures)}
    found = {mask: by_name.get(mask.stem) or by_name.get(MASK_ENDING.sub("", mask.stem)) for mask in drawn}
    if not any(found.values()):
        found = match_by_number(images, masks)
    alone = [mask.name for mask, image in found.items() if image is None]
    if alone:
        raise InputError(
            f"{images} has no image for {counted(len(alone), 'mask')} of {masks} ({', '.join(alone[:SHOWN])}): give both the same "
            "name, or the same number."
        )
    chosen = [(image, mask) for mask, image in found.items() if image is not None]
    twice = [image.name for image, _ in chosen if sum(image == other for other, _ in chosen) > 1]
    if twice:
        raise InputError(f"{masks} has several masks for {twice[0]}: keep one.")
    return sorted(chosen, key=lambda item: (frame_number(item[0]) or 0, item[0].name))


def match_by_number(images: Path, masks: Path) -> dict[Path, Path | None]:
    """For every mask of a folder the image whose name ends with the same number, if there is one."""
    pictures, drawn = list_pictures(images), list_pictures(masks)
    if any(frame_number(path) is None for path in (*pictures, *drawn)):
        return dict.fromkeys(drawn)
    numbered = list_frame_files(images)
    return {mask: numbered.get(number) for number, mask in list_frame_files(masks).items()}


def list_pictures(folder: Path) -> list[Path]:
    """The image files of a folder, by name."""
    return [
        path
        for path in sorted(folder.iterdir())
        if path.suffix.lower() in FORMATS
        and path.is_file()
        and not path.name.startswith(".")
        and not path.name.endswith("_seg.npy")
    ]


def explain_no_masks(folder: Path) -> str:
    """What is wrong with a folder without masks, and what to do."""
    if any(folder.glob("*_seg.npy")):
        return (
            f"{folder} holds masks as _seg.npy, a format that can run foreign code when it is read: in Cellpose choose "
            "File > Save masks as PNG/TIF, and give the folder of those."
        )
    return f"{folder} holds no masks: give a folder of TIFF or PNG files, named or numbered like their images."
