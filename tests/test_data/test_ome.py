"""OME-TIFF: several positions in a file, and sets of files that name each other."""

from __future__ import annotations

import uuid
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images, open_labels

MOVIE = np.random.default_rng(4).integers(0, 250, (3, 6, 32, 40), dtype=np.uint8)  # position, time, y, x


def test_positions_in_one_file_are_listed_and_chosen(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "exp.ome.tif", ome=True) as writer:
        for position, name in zip(MOVIE, ("left", "middle", "right"), strict=True):
            writer.write(position, metadata={"axes": "TYX", "Name": name}, photometric="minisblack")
    listed = r"3 positions: choose one with --series 0 \(left\), 1 \(middle\), 2 \(right\)"
    with pytest.raises(InputError, match=listed):
        open_images(tmp_path / "exp.ome.tif")
    with pytest.raises(InputError, match=listed):
        open_labels(tmp_path)
    assert "--series 0 (left)" in find_problems(tmp_path / "exp.ome.tif")[0].remedy
    for series in range(3):
        for path in (tmp_path, tmp_path / "exp.ome.tif"):
            movie = open_images(path, series=series)
            assert len(movie) == 6
            for number in movie:
                np.testing.assert_array_equal(movie[number], MOVIE[series, number])
    with pytest.raises(InputError, match="no series 3"):
        open_images(tmp_path, series=3)


def test_single_images_of_positions_are_not_mixed_up(tmp_path: Path) -> None:
    with tifffile.TiffWriter(tmp_path / "exp.ome.tif", ome=True) as writer:
        for position in MOVIE:
            writer.write(position[0], metadata={"axes": "YX"}, photometric="minisblack")
    np.testing.assert_array_equal(open_images(tmp_path / "exp.ome.tif", series=2)[0], MOVIE[2, 0])


def test_a_position_that_is_not_there_where_there_is_one(tmp_path: Path) -> None:
    tifffile.imwrite(tmp_path / "a.ome.tif", MOVIE[0], metadata={"axes": "TYX"})
    assert len(open_images(tmp_path / "a.ome.tif", series=0)) == 6
    with pytest.raises(InputError, match="one position only, there is no series 1"):
        open_images(tmp_path / "a.ome.tif", series=1)


XML = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="{own}">{images}</OME>'
)
IMAGE = (
    '<Image ID="Image:{p}" Name="Pos{p}"><Pixels ID="Pixels:{p}" DimensionOrder="XYCZT" Type="uint8" SizeX="40" '
    'SizeY="32" SizeC="1" SizeZ="1" SizeT="6"><Channel ID="Channel:{p}:0" SamplesPerPixel="1"/>{planes}</Pixels></Image>'
)
PLANE = (
    '<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="{ifd}" PlaneCount="1">'
    '<UUID FileName="{name}">{id}</UUID></TiffData>'
)


def identify(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"


def test_one_file_per_plane_with_the_set_named_in_each(tmp_path: Path) -> None:
    names = [f"cells_t{t:03d}.ome.tif" for t in range(6)]
    planes = "".join(PLANE.format(t=t, ifd=0, name=name, id=identify(name)) for t, name in enumerate(names))
    for t, name in enumerate(names):
        xml = XML.format(own=identify(name), images=IMAGE.format(p=0, planes=planes))
        tifffile.imwrite(tmp_path / name, MOVIE[0, t], description=xml, metadata=None)
    for movie in (open_images(tmp_path), open_labels(tmp_path)):
        assert movie.numbers == tuple(range(6))
        for number in movie:
            np.testing.assert_array_equal(movie[number], MOVIE[0, number])
    assert [str(problem) for problem in find_problems(tmp_path)] == []
    with pytest.raises(InputError, match="one of a set of 6 files"):
        open_images(tmp_path / names[2])
    (tmp_path / names[4]).unlink()
    assert open_images(tmp_path).numbers == (0, 1, 2, 3, 5)


def test_one_file_per_position_with_the_set_named_in_each(tmp_path: Path) -> None:
    names = [f"exp_MMStack_Pos{p}.ome.tif" for p in range(2)]
    images = "".join(
        IMAGE.format(p=p, planes="".join(PLANE.format(t=t, ifd=t, name=name, id=identify(name)) for t in range(6)))
        for p, name in enumerate(names)
    )
    for p, name in enumerate(names):
        with tifffile.TiffWriter(tmp_path / name) as writer:
            for t in range(6):
                xml = XML.format(own=identify(name), images=images) if t == 0 else None
                writer.write(MOVIE[p, t], description=xml, metadata=None, contiguous=False)
    with pytest.raises(InputError, match=r"2 time stacks: exp_MMStack_Pos0\.ome\.tif \(6 frames\)"):
        open_images(tmp_path)
    for p, name in enumerate(names):
        movie = open_images(tmp_path / name)
        assert len(movie) == 6
        np.testing.assert_array_equal(movie[5], MOVIE[p, 5])
