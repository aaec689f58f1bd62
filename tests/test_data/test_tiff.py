"""Reading TIFF files that lie, and writing them whole."""

from __future__ import annotations

import struct
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import read_header, read_pages, write_array, write_labels

IMAGE = np.arange(48, dtype=np.uint16).reshape(6, 8)


def tiff_bytes(width: int, height: int, *, compression: int = 1, tile: int | None = None) -> bytes:
    """A little-endian TIFF of one strip (or tile) with 8 bytes of data, whatever it declares."""
    data = b"\0" * 8
    tags = [(256, 4, width), (257, 4, height), (258, 3, 16), (259, 3, compression), (262, 3, 1), (277, 3, 1)]
    if tile is None:
        tags += [(273, 4, 8), (278, 4, height), (279, 4, 8)]
    else:
        tags += [(322, 4, tile), (323, 4, tile), (324, 4, 8), (325, 4, 8)]
    directory = struct.pack("<H", len(tags))
    for code, kind, value in sorted(tags):
        directory += struct.pack("<HHI", code, kind, 1) + struct.pack("<I", value)
    return b"II*\0" + struct.pack("<I", 16) + data + directory + struct.pack("<I", 0)


def read_whole(path: Path) -> np.ndarray:
    """What the commands do: the header first, then the pixels."""
    read_header(path)
    return read_pages(path)


@pytest.mark.parametrize("array", [IMAGE, IMAGE.astype(np.float32), np.stack([IMAGE, IMAGE + 1])])
def test_what_is_written_is_read_back(tmp_path: Path, array: np.ndarray) -> None:
    write_array(tmp_path / "a.tif", array)
    header = read_header(tmp_path / "a.tif")
    assert (header.shape, header.dtype) == (array.shape, array.dtype)
    np.testing.assert_array_equal(read_pages(tmp_path / "a.tif"), array)


def test_same_array_gives_the_same_bytes_and_leaves_nothing_behind(tmp_path: Path) -> None:
    for name in ("a.tif", "b.tif"):
        write_labels(tmp_path / name, IMAGE)
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tif", "b.tif"]


def test_labels_are_stored_as_16_bit_whatever_they_were(tmp_path: Path) -> None:
    write_labels(tmp_path / "a.tif", IMAGE.astype(np.int64))
    assert tifffile.imread(tmp_path / "a.tif").dtype == np.uint16


def test_a_label_beyond_16_bits_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not fit into the 16 bits"):
        write_labels(tmp_path / "a.tif", np.full((2, 2), 65_536, dtype=np.int32))
    assert not list(tmp_path.iterdir())


def test_a_header_bomb_is_refused_before_anything_is_allocated(tmp_path: Path) -> None:
    (tmp_path / "bomb.tif").write_bytes(tiff_bytes(200_000, 200_000))
    with pytest.raises(InputError, match=r"bomb\.tif declares blocks of 80,000,000,000 bytes"):
        read_header(tmp_path / "bomb.tif")


def test_a_small_image_in_a_huge_tile_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tile.tif").write_bytes(tiff_bytes(8, 8, tile=160_000))
    with pytest.raises(InputError, match="declares blocks of"):
        read_header(tmp_path / "tile.tif")


def test_an_unusual_codec_is_named(tmp_path: Path) -> None:
    (tmp_path / "jpeg.tif").write_bytes(tiff_bytes(4, 4, compression=7))
    with pytest.raises(InputError, match="compressed with JPEG"):
        read_header(tmp_path / "jpeg.tif")


@pytest.mark.parametrize("content", [b"", b"hello, I am a text file\n" * 20, b"II*\0\x08\0\0\0", b"\x89PNG\r\n\x1a\n"])
def test_what_is_not_a_tiff_is_called_so(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "t000.tif").write_bytes(content)
    with pytest.raises(InputError, match=r"t000\.tif (is not a TIFF image|holds no image)"):
        read_header(tmp_path / "t000.tif")


@pytest.mark.parametrize("share", [0.3, 0.6, 0.9, 0.99])
def test_a_truncated_file_is_an_input_error_not_a_crash(tmp_path: Path, share: float) -> None:
    noise = np.random.default_rng(0).integers(0, 60_000, (64, 64), dtype=np.uint16)
    write_array(tmp_path / "whole.tif", noise)
    whole = (tmp_path / "whole.tif").read_bytes()
    cut = tmp_path / "cut.tif"
    cut.write_bytes(whole[: int(share * len(whole))])
    with pytest.raises(InputError, match=r"cut\.tif is"):
        read_whole(cut)


def test_flipped_bits_never_raise_anything_but_an_input_error(tmp_path: Path) -> None:
    write_array(tmp_path / "whole.tif", IMAGE)
    whole = (tmp_path / "whole.tif").read_bytes()
    rng = np.random.default_rng(1)
    refused = 0
    for _ in range(300):
        damaged = bytearray(whole)
        for position in rng.integers(0, len(whole), 3):
            damaged[position] ^= 1 << int(rng.integers(8))
        (tmp_path / "flip.tif").write_bytes(damaged)
        try:
            read_whole(tmp_path / "flip.tif")
        except InputError:
            refused += 1
    assert refused > 50


def test_planes_of_a_stack_are_read_alone(tmp_path: Path) -> None:
    stack = np.random.default_rng(0).integers(0, 200, (5, 6, 7), dtype=np.uint8)
    for name, options in {"pages.tif": {}, "one.tif": {"truncate": True}}.items():
        tifffile.imwrite(tmp_path / name, stack, **options)
        np.testing.assert_array_equal(read_pages(tmp_path / name, [3, 1]), stack[[3, 1]])


def test_scale_and_interval_come_from_ome_and_imagej(tmp_path: Path) -> None:
    movie = np.zeros((3, 4, 8, 9), dtype=np.uint8)
    tifffile.imwrite(
        tmp_path / "a.ome.tif",
        movie,
        metadata={
            "axes": "TZYX",
            "PhysicalSizeX": 400.0,
            "PhysicalSizeXUnit": "nm",
            "PhysicalSizeY": 0.5,
            "PhysicalSizeZ": 2.0,
            "TimeIncrement": 5.0,
            "TimeIncrementUnit": "min",
        },
    )
    header = read_header(tmp_path / "a.ome.tif")
    assert (header.axes, header.voxel, header.interval) == ("TZYX", (2.0, 0.5, pytest.approx(0.4)), 300.0)
    tifffile.imwrite(
        tmp_path / "b.tif",
        movie,
        imagej=True,
        resolution=(2.0, 4.0),
        metadata={"axes": "TZYX", "spacing": 3.0, "unit": "um", "finterval": 60.0},
    )
    header = read_header(tmp_path / "b.tif")
    assert (header.axes, header.voxel, header.interval) == ("TZYX", (3.0, 0.25, 0.5), 60.0)


@pytest.mark.parametrize(
    ("unit", "time", "size", "interval"),
    [
        ("\\u00B5m", "min", (1.0, 0.25, 0.5), 300.0),  # as ImageJ writes µm
        ("micron", "sec", (1.0, 0.25, 0.5), 5.0),
        ("nm", "hours", (1e-3, 0.25e-3, 0.5e-3), 18_000.0),
        ("inch", "jiffy", None, None),  # ImageJ's guess for pictures from elsewhere; no unit of time
    ],
)
def test_units_of_imagej(
    tmp_path: Path, unit: str, time: str, size: tuple[float, ...] | None, interval: float | None
) -> None:
    frames = np.zeros((3, 8, 8), np.uint8)
    written = {"axes": "TYX", "unit": unit, "finterval": 5.0, "tunit": time}
    tifffile.imwrite(tmp_path / "a.tif", frames, imagej=True, resolution=(2.0, 4.0), metadata=written)
    header = read_header(tmp_path / "a.tif")
    assert header.voxel == (None if size is None else pytest.approx(size))
    assert header.interval == interval
