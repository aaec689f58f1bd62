"""Pictures of one frame each: PNG, BMP, JPEG, and arrays of NumPy (``.npy``, never with pickled objects)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.readers.stacks import Header, Kind

PICTURE_SUFFIXES = (".png", ".bmp", ".jpg", ".jpeg")
ARRAY_SUFFIX = ".npy"
GREY_MODES = {
    "1": bool,
    "L": np.uint8,
    "I;16": np.uint16,
    "I;16L": np.uint16,
    "I;16B": np.uint16,
    "I": np.int32,
    "F": np.float32,
}


def read_picture_header(path: Path, kind: Kind) -> Header:
    """Shape and dtype of a picture, from its header alone.

    The colours of an indexed picture are numbers: as labels they count, as an image its palette does.

    Raises
    ------
    InputError
        If it is no readable picture, or labels are stored as JPEG, which changes them.
    """
    from PIL import Image

    if kind == "labels" and path.suffix.lower() in (".jpg", ".jpeg"):
        raise InputError(f"{path} is a JPEG, which blurs the numbers of labels: save masks as PNG or TIFF.")
    with _opened(path) as picture:
        width, height = picture.size
        mode = _mode(picture, kind)
    if mode in GREY_MODES:
        return Header(path, (height, width), np.dtype(GREY_MODES[mode]), "YX")
    samples = len(Image.new(mode, (1, 1)).getbands())
    return Header(path, (height, width, samples), np.dtype(np.uint8), "YXS", plane=3)


def read_picture(path: Path, kind: Kind = "image") -> NDArray[Any]:
    """The pixels of a picture (Y, X) or (Y, X, samples); `InputError` if it cannot be read."""
    with _opened(path) as picture:
        mode = _mode(picture, kind)
        try:
            return np.asarray(
                picture
                if mode == picture.mode or (picture.mode == "P" and mode == "L" and kind == "labels")
                else picture.convert(mode)
            )
        except (OSError, SyntaxError, ValueError) as error:
            raise InputError(f"{path} is not a readable picture ({type(error).__name__}): save it again.") from None


def _opened(path: Path) -> Any:
    from PIL import Image, UnidentifiedImageError

    try:
        return Image.open(path)
    except FileNotFoundError:
        raise InputError(f"{path} has disappeared, or never was: give an image file.") from None
    except (OSError, UnidentifiedImageError, Image.DecompressionBombError, SyntaxError, ValueError) as error:
        raise InputError(f"{path} is not a readable picture ({type(error).__name__}): save it again.") from None


def _mode(picture: Any, kind: Kind) -> str:
    """In which of Pillow's modes a picture is read: "L" of an indexed one are its numbers (labels) or its grey values."""
    if picture.mode != "P":
        return str(picture.mode) if picture.mode in (*GREY_MODES, "RGB", "RGBA", "LA") else "RGB"
    if kind == "labels":
        return "L"
    palette = np.array(picture.getpalette("RGB") or [0, 0, 0]).reshape(-1, 3)
    return "L" if (palette == palette[:, :1]).all() else "RGB"


def read_array_header(path: Path) -> Header:
    """Shape and dtype of a ``.npy`` file, whose axes are not said; `InputError` where it holds objects."""
    array = _map_array(path)
    if array.dtype.hasobject or array.ndim < 2:
        raise InputError(f"{path} holds no image, but an array {array.shape} of {array.dtype}: save an image in it.")
    plane = 3 if array.ndim > 2 and array.shape[-1] in (3, 4) and min(array.shape[-3:-1]) > 4 else 2
    axes = "Q" * (array.ndim - plane) + ("YXS" if plane == 3 else "YX")
    return Header(path, tuple(int(n) for n in array.shape), array.dtype, axes, plane=plane)


def read_array(path: Path, planes: tuple[int, ...] | None, plane: int) -> NDArray[Any]:
    """All of a ``.npy`` file, or some of its planes (n, …)."""
    array = _map_array(path)
    if planes is None:
        return np.array(array)
    return np.array(array.reshape(-1, *array.shape[array.ndim - plane :])[list(planes)])


def _map_array(path: Path) -> NDArray[Any]:
    try:
        array: NDArray[Any] = np.load(path, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError) as error:
        why = (
            "it holds Python objects, which could run code"
            if "pickle" in str(error) or "object" in str(error)
            else "it is damaged"
        )
        raise InputError(f"{path} cannot be read: {why}; save the image as TIFF, or as an array of numbers.") from None
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror or type(error).__name__}): save it again.") from None
    return array
