"""What the axes of stacks mean: in a file, in a folder, in a Zarr; and files that hold less than they say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.opening import open_frames, open_images, open_labels

MOVIE = np.random.default_rng(3).integers(1, 200, (10, 32, 40), dtype=np.uint8)


def write_imagej(path: Path, array: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, array, imagej=True, metadata={"axes": "TYX"[-array.ndim :]})


def write_ome(path: Path, array: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, array, ome=True, metadata={"axes": "TYX"})


def write_shaped(path: Path, array: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, array, metadata={"axes": "TYX"})


def write_plain(path: Path, array: NDArray[np.uint8]) -> None:
    tifffile.imwrite(path, array, metadata=None, photometric="minisblack")


def write_npy(path: Path, array: NDArray[np.uint8]) -> None:
    np.save(path.with_suffix(".npy"), array)


WRITERS = [write_imagej, write_ome, write_shaped, write_plain, write_npy]
Write = Callable[[Path, NDArray[np.uint8]], None]


def assert_is_movie(path: Path, **options: str) -> None:
    for kind in ("image", "labels"):
        opened = open_frames(path, kind, **options)
        assert opened.numbers == tuple(range(10))
        for number in opened:
            np.testing.assert_array_equal(opened[number], MOVIE[number])


@pytest.mark.parametrize("name", ["movie_01.tif", "movie.tif"])
@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_with_one_time_stack_is_that_movie(tmp_path: Path, write: Write, name: str) -> None:
    write(tmp_path / name, MOVIE)
    assert_is_movie(tmp_path)


@pytest.mark.parametrize("write", WRITERS)
def test_a_folder_with_several_time_stacks_is_refused_with_their_names(tmp_path: Path, write: Write) -> None:
    for position in (1, 2, 3):
        write(tmp_path / f"pos{position}.tif", MOVIE)
    with pytest.raises(InputError, match=r"pos1\.(tif|npy).*(give one of them|give this file alone)"):
        open_images(tmp_path)
    with pytest.raises(InputError, match=r"3 time stacks: pos1\.\w+ \(10 frames\), pos2\.\w+ .*, pos3"):
        open_labels(tmp_path, axes="TYX")
    assert open_labels(tmp_path, axes="ZYX").shape == MOVIE.shape
    assert_is_movie(next(tmp_path.glob("pos2.*")))


def test_volumes_of_the_challenge_stay_volumes(tmp_path: Path) -> None:
    for name in ("t000.tif", "t001.tif", "t002.tif"):
        write_plain(tmp_path / name, MOVIE)
        assert open_images(tmp_path).shape == MOVIE.shape
    (tmp_path / "SEG").mkdir()
    write_plain(tmp_path / "SEG" / "man_seg007.tif", MOVIE)
    assert (open_labels(tmp_path / "SEG").numbers, open_labels(tmp_path / "SEG").shape) == ((7,), MOVIE.shape)


def test_axes_are_obeyed_or_refused(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "one.tif", MOVIE, imagej=True, metadata={"axes": "ZYX"})
    assert_is_movie(tmp_path / "one.tif", axes="TYX")
    assert_is_movie(tmp_path, axes="TYX")
    assert open_images(tmp_path, axes="zyx").notes == ()
    for wrong in ("YX", "TZYX", "TTX", "XYT", "TYQ"):
        with pytest.raises(InputError, match=r"does not fit|not understood"):
            open_images(tmp_path / "one.tif", axes=wrong)


@pytest.mark.parametrize(("axes", "better"), [("ZYX", "TYX"), ("ZCYX", "TCYX")])
def test_time_stored_as_slices_is_said(tmp_path: Path, axes: str, better: str) -> None:
    stack = MOVIE if axes == "ZYX" else MOVIE[:, None].repeat(2, axis=1)
    tifffile.imwrite(tmp_path / "movie.tif", stack, imagej=True, metadata={"axes": axes})
    for path in (tmp_path / "movie.tif", tmp_path):
        opened = open_images(path, channel=None if axes == "ZYX" else 1)
        assert opened.shape == MOVIE.shape
        assert f"one frame of 10 slices: if this is time, give --axes {better}" in opened.notes[0]


def test_time_stored_as_channels_is_asked_for(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "movie.tif", MOVIE, imagej=True, metadata={"axes": "CYX"})
    with pytest.raises(InputError, match=r"10 channels: .* if these are time points, give --axes TYX"):
        open_images(tmp_path)
    assert_is_movie(tmp_path, axes="TYX")


def test_pages_written_one_by_one_are_one_stack(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "movie.tif") as writer:
        for frame in MOVIE:
            writer.write(frame, compression="zlib")
    assert_is_movie(tmp_path / "movie.tif")


def cut(path: Path, share: float) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])


@pytest.mark.parametrize("share", [0.35, 0.6, 0.85])
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("write", WRITERS[:4])
def test_a_cut_stack_tells_how_many_frames_are_whole(
    tmp_path: Path, write: Write, compression: str | None, share: float
) -> None:
    file = tmp_path / "movie.tif"
    write(file, MOVIE)
    if compression:
        with tifffile.TiffFile(file) as tiff:
            tags = {"imagej": tiff.is_imagej, "ome": tiff.is_ome}
        metadata = None if write is write_plain else {"axes": "TYX"}
        tifffile.imwrite(file, MOVIE, compression=compression, metadata=metadata, photometric="minisblack", **tags)
    cut(file, share)
    with pytest.raises(InputError, match=r"cut off, or was never finished: \d of its \d+ frames are whole") as caught:
        open_images(file)
    last = int(str(caught.value).rpartition("--frames 0:")[2].rstrip("."))
    assert 10 * share - 2.5 < last + 1 <= 10 * share + 0.5
    opened = open_images(file, frames=range(last + 1))
    assert len(opened) == last + 1
    for number in opened:
        np.testing.assert_array_equal(opened[number], MOVIE[number])
    with pytest.raises(InputError, match="cut off"):
        open_images(file, frames=range(last + 2))


@pytest.mark.parametrize("write", [write_imagej, write_shaped, write_plain])
def test_a_stack_that_lost_its_directories_alone_is_whole(tmp_path: Path, write: Write) -> None:
    write(tmp_path / "movie.tif", MOVIE)
    cut(tmp_path / "movie.tif", 0.95)
    assert_is_movie(tmp_path / "movie.tif")


OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06">'
    '<Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="40" SizeY="32" SizeC="1" '
    'SizeZ="1" SizeT="10"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{}</Pixels></Image></OME>'
)
LISTED = "".join(f'<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="{t}" PlaneCount="1"/>' for t in range(6))


@pytest.mark.parametrize("planes", [LISTED, "<TiffData/>"], ids=["lists 6", "claims 10"])
def test_an_acquisition_that_was_stopped_tells_how_far_it_came(tmp_path: Path, planes: str) -> None:
    file = tmp_path / "stopped.ome.tif"
    with tifffile.TiffWriter(file) as writer:
        for number in range(6):
            description = OME.format(planes) if number == 0 else None
            writer.write(MOVIE[number], description=description, metadata=None, contiguous=False)
    with pytest.raises(InputError, match=r"6 of its 10 frames are whole.*--frames 0:5"):
        open_images(file)
    opened = open_images(file, frames=range(6))
    np.testing.assert_array_equal(opened[5], MOVIE[5])


@pytest.mark.parametrize("count", [3, 4])
def test_planes_that_may_be_colours_are_said_to_be_read_as_frames(tmp_path: Path, count: int) -> None:
    for write in (write_plain, write_npy):
        write(tmp_path / "a.tif", MOVIE[:count])
    for path in tmp_path.iterdir():
        movie = open_images(path)
        assert len(movie) == count
        assert "read as frames of a movie" in movie.notes[0]
        assert f"--axes CYX --channel 0 … {count - 1}" in movie.notes[0]
        np.testing.assert_array_equal(open_images(path, axes="CYX", channel=1)[0], MOVIE[1])
        assert not open_images(path, axes="TYX").notes  # who says it is not asked
        assert not open_labels(path).notes
    write_plain(tmp_path / "longer.tif", MOVIE[:5])
    write_ome(tmp_path / "told.tif", MOVIE[:3])
    assert not open_images(tmp_path / "longer.tif").notes
    assert not open_images(tmp_path / "told.tif").notes


def test_a_folder_of_planes_that_may_be_colours_says_so_once(tmp_path: Path) -> None:
    for frame in range(2):
        write_plain(tmp_path / f"plate_{frame}.tif", MOVIE[3 * frame : 3 * frame + 3])
    (note,) = open_images(tmp_path).notes
    assert "read as slices of one volume" in note
    assert "--axes CYX --channel 0 … 2" in note
    np.testing.assert_array_equal(open_images(tmp_path, axes="CYX", channel=2)[1], MOVIE[5])
