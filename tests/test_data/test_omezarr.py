"""OME-Zarr images and labels, versions 0.4 and 0.5."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from celltrail.data.errors import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images, open_labels

zarr = pytest.importorskip("zarr")

MOVIE = np.random.default_rng(0).integers(0, 900, (3, 2, 4, 8, 9), dtype=np.uint16)  # TCZYX


def write_image(
    path: Path, array: np.ndarray, axes: str, version: str, *, scale: list[float] | None = None, **more: Any
) -> Path:
    """An image with two levels of resolution, as the specification of that version says."""
    units = {
        "t": ("time", "minute"),
        "c": ("channel", None),
        "z": ("space", "micrometer"),
        "y": ("space", "nanometer"),
        "x": ("space", "micrometer"),
    }
    described = [{"name": a, "type": units[a][0], **({"unit": units[a][1]} if units[a][1] else {})} for a in axes]
    transforms = [{"type": "scale", "scale": scale or [1.0] * len(axes)}]
    multiscales = [
        {
            "axes": described,
            "datasets": [
                {"path": "0", "coordinateTransformations": transforms},
                {"path": "1", "coordinateTransformations": transforms},
            ],
        }
    ]
    attributes = {"multiscales": multiscales, **more}
    group = zarr.open_group(str(path), mode="w", zarr_format=2 if version == "0.4" else 3)
    group.attrs.update(attributes if version == "0.4" else {"ome": {"version": "0.5", **attributes}})
    for level, data in (("0", array), ("1", array[..., ::2, ::2])):
        group.create_array(level, shape=data.shape, chunks=(*(1,) * (data.ndim - 2), 5, 5), dtype=data.dtype)[...] = (
            data
        )
    return path


@pytest.fixture(params=["0.4", "0.5"])
def version(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def test_axes_channels_and_scale_come_from_the_metadata(tmp_path: Path, version: str) -> None:
    path = write_image(tmp_path / "a.zarr", MOVIE, "tczyx", version, scale=[5.0, 1.0, 2.0, 500.0, 0.25])
    movie = open_images(path, channel=1)
    assert (movie.numbers, movie.shape, movie.dtype) == ((0, 1, 2), (4, 8, 9), np.uint16)
    assert (movie.voxel, movie.interval) == ((2.0, 0.5, 0.25), 300.0)
    np.testing.assert_array_equal(movie[2], MOVIE[2, 1])
    with pytest.raises(InputError, match="has 2 channels: choose one with --channel 0 … 1"):
        open_images(path)
    with pytest.raises(InputError, match="there is no channel 2"):
        open_images(path, channel=2)
    assert open_images(path, channel=0, frames=range(1, 2)).numbers == (1,)


@pytest.mark.parametrize(
    ("axes", "index"),
    [("yx", (0, 0, 0)), ("tyx", (slice(None), 0, 0)), ("zyx", (0, 0)), ("tcyx", (slice(None), slice(0, 1), 0))],
)
def test_fewer_axes(tmp_path: Path, version: str, axes: str, index: tuple) -> None:
    array = MOVIE[index]
    movie = open_images(write_image(tmp_path / "a.zarr", array, axes, version))
    assert movie.shape == ((4, 8, 9) if axes == "zyx" else (8, 9))
    assert len(movie) == (3 if "t" in axes else 1)
    np.testing.assert_array_equal(movie[0], MOVIE[0, 0] if axes == "zyx" else MOVIE[0, 0, 0])


def test_the_label_image_of_an_image_is_found(tmp_path: Path, version: str) -> None:
    path = write_image(tmp_path / "a.zarr", MOVIE[:, 0, 0], "tyx", version)
    labels = zarr.open_group(str(path / "labels"), mode="w", zarr_format=2 if version == "0.4" else 3)
    labels.attrs.update({"labels": ["cells"]} if version == "0.4" else {"ome": {"version": "0.5", "labels": ["cells"]}})
    masks = (MOVIE[:, 0, 0] % 5).astype(np.uint32)
    write_image(path / "labels" / "cells", masks, "tyx", version, **{"image-label": {"version": version}})
    for given in (path, path / "labels", path / "labels" / "cells"):
        np.testing.assert_array_equal(open_labels(given)[1], masks[1])
    np.testing.assert_array_equal(open_images(path)[1], MOVIE[1, 0, 0])
    assert find_problems(path) == []


@pytest.mark.parametrize("name", ["../../secret.zarr", "ABSOLUTE", "link"])
def test_metadata_and_links_lead_nowhere_outside(tmp_path: Path, version: str, name: str) -> None:
    secret = write_image(tmp_path / "secret.zarr", (MOVIE[:, 0, 0] % 5).astype(np.uint32), "tyx", version)
    path = write_image(tmp_path / "deep" / "a.zarr", MOVIE[:, 0, 0], "tyx", version)
    labels = zarr.open_group(str(path / "labels"), mode="w", zarr_format=2 if version == "0.4" else 3)
    if name == "link":
        (path / "labels" / "link").symlink_to(secret)
    told = str(secret) if name == "ABSOLUTE" else name.replace("../../", "../../../")
    labels.attrs.update({"labels": [told]} if version == "0.4" else {"ome": {"version": "0.5", "labels": [told]}})
    for given in (path, path / "labels"):
        with pytest.raises(InputError, match=r"leads out of"):
            open_labels(given)


def test_a_plain_array_needs_no_metadata(tmp_path: Path) -> None:
    array = zarr.open_array(str(tmp_path / "a.zarr"), mode="w", shape=(2, 4, 8, 9), dtype="u2", chunks=(1, 4, 8, 9))
    array[...] = MOVIE[:2, 0]
    assert (open_images(tmp_path / "a.zarr").shape, len(open_images(tmp_path / "a.zarr"))) == ((4, 8, 9), 2)
    movie = open_images(tmp_path / "a.zarr", axes="TCYX", channel=3)
    np.testing.assert_array_equal(movie[1], MOVIE[1, 0, 3])
    with pytest.raises(InputError, match="does not fit"):
        open_images(tmp_path / "a.zarr", axes="TYX")


def test_the_image_of_a_converted_microscope_file(tmp_path: Path) -> None:
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    group.attrs.update({"bioformats2raw.layout": 3})
    write_image(tmp_path / "a.zarr" / "0", MOVIE[:, 0, 0], "tyx", "0.4")
    assert len(open_images(tmp_path / "a.zarr")) == 3
    with pytest.raises(InputError, match="no series 1"):
        open_images(tmp_path / "a.zarr", series=1)
    write_image(tmp_path / "a.zarr" / "1", MOVIE[:, 1, 0], "tyx", "0.4")
    with pytest.raises(InputError, match=r"holds 2 images: choose one with --series 0 \(0\), 1 \(1\)"):
        open_images(tmp_path / "a.zarr")
    np.testing.assert_array_equal(open_images(tmp_path / "a.zarr", series=1)[2], MOVIE[2, 1, 0])
    with pytest.raises(InputError, match="one image only, there is no series 1"):
        open_images(tmp_path / "a.zarr" / "0", series=1)


def test_the_fields_of_a_plate_are_listed_and_chosen(tmp_path: Path) -> None:
    plate = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    plate.attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}]}
    for well, fields in (("A/1", "01"), ("B/2", "0")):
        zarr.open_group(str(tmp_path / "a.zarr" / well), mode="w", zarr_format=2).attrs["well"] = {
            "images": [{"path": field} for field in fields]
        }
        for field in fields:
            write_image(tmp_path / "a.zarr" / well / field, MOVIE[:, 0, 0] + len(fields) + int(field), "tyx", "0.4")
    with pytest.raises(InputError, match=r"3 images: choose one with --series 0 \(A/1/0\), 1 \(A/1/1\), 2 \(B/2/0\)"):
        open_images(tmp_path / "a.zarr")
    for series, more in enumerate((2, 3, 1)):
        np.testing.assert_array_equal(open_images(tmp_path / "a.zarr", series=series)[1], MOVIE[1, 0, 0] + more)
    np.testing.assert_array_equal(open_images(tmp_path / "a.zarr" / "B" / "2")[1], MOVIE[1, 0, 0] + 1)
    with pytest.raises(InputError, match="no series 3"):
        open_images(tmp_path / "a.zarr", series=3)
    (tmp_path / "elsewhere").mkdir()
    edit_json(tmp_path / "a.zarr" / ".zattrs", lambda c: c["plate"]["wells"].append({"path": "../elsewhere"}))
    with pytest.raises(InputError, match="leads out of"):
        open_images(tmp_path / "a.zarr", series=0)


def test_floats_are_no_labels(tmp_path: Path, version: str) -> None:
    path = write_image(tmp_path / "a.zarr", MOVIE[:, 0, 0].astype(np.float32) + 0.5, "tyx", version)
    with pytest.raises(InputError, match="no whole numbers"):
        open_labels(path)[0]


def edit_json(file: Path, edit: Any) -> None:
    content = json.loads(file.read_text())
    edit(content)
    file.write_text(json.dumps(content))


def test_what_is_damaged_or_no_image(tmp_path: Path) -> None:
    def fresh(name: str) -> Path:
        return write_image(tmp_path / name, MOVIE[:, 0, 0], "tyx", "0.4")

    path = fresh("a.zarr")
    edit_json(path / ".zattrs", lambda c: c.pop("multiscales"))
    with pytest.raises(InputError, match="a Zarr group without an image"):
        open_images(path)
    path = fresh("b.zarr")
    edit_json(path / ".zattrs", lambda c: c["multiscales"][0].pop("axes"))
    with pytest.raises(InputError, match="incomplete metadata"):
        open_images(path)
    path = fresh("c.zarr")
    (path / ".zattrs").write_text("{")
    with pytest.raises(InputError, match=r"\.zattrs is damaged"):
        open_images(path)
    path = fresh("d.zarr")
    (path / "0" / "1.0.0").write_bytes(b"nonsense")
    with pytest.raises(InputError, match="is damaged"):
        open_images(path)[1]
    path = fresh("e.zarr")
    edit_json(path / ".zattrs", lambda c: c["multiscales"][0]["datasets"][0].update(path="../b.zarr/0"))
    with pytest.raises(InputError, match="outside of itself"):
        open_images(path)
    path = fresh("f.zarr")
    edit_json(path / ".zattrs", lambda c: c.update(plate={}))
    with pytest.raises(InputError, match="incomplete metadata of a plate"):
        open_images(path)
    path = fresh("g.zarr")
    edit_json(path / "0" / ".zarray", lambda c: c.update(shape=[3, 400_000, 400_000], chunks=[1, 400_000, 400_000]))
    with pytest.raises(InputError, match="declares frames of 298 GB"):
        open_images(path)


def test_a_store_that_wants_to_run_code_is_refused(tmp_path: Path) -> None:
    path = write_image(tmp_path / "a.zarr", MOVIE[:, 0, 0], "tyx", "0.4")
    edit_json(path / "0" / ".zarray", lambda c: c.update(filters=[{"id": "pickle", "protocol": 5}]))
    with pytest.raises(InputError, match="codec 'pickle', which could run any code"):
        open_images(path)
    from celltrail.data.formats.geff import read_geff

    (tmp_path / "b.geff" / "nodes" / "ids").mkdir(parents=True)
    (tmp_path / "b.geff" / "nodes" / "ids" / ".zarray").write_text('{"filters": [{"id": "pickle"}]}')
    with pytest.raises(InputError, match="codec 'pickle'"):
        read_geff(tmp_path / "b.geff")


def test_a_codec_that_runs_code_is_found_behind_a_link(tmp_path: Path) -> None:
    """The store follows links, so whoever looks for codecs does too; and round in circles only once."""
    from celltrail.data.files.arrays.omezarr import refuse_unsafe_codecs

    array = tmp_path / "elsewhere" / "nodes" / "props" / "x" / "values"
    array.mkdir(parents=True)
    (array / ".zarray").write_text('{"compressor": {"id": "pickle"}}')
    geff = tmp_path / "a.geff"
    geff.mkdir()
    (geff / "nodes").symlink_to(tmp_path / "elsewhere" / "nodes")
    (tmp_path / "elsewhere" / "nodes" / "again").symlink_to(geff)
    with pytest.raises(InputError, match=r"a\.geff.*codec 'pickle', which could run any code"):
        refuse_unsafe_codecs(geff, deep=True)
    (array / ".zarray").write_text('{"compressor": {"id": "zlib"}}')
    refuse_unsafe_codecs(geff, deep=True)


def write_v06(path: Path, array: NDArray[np.uint16], axes: str, transforms: list[dict[str, Any]]) -> Path:
    """An image of OME-Zarr 0.6: axes in coordinate systems, transformations that name input and output."""
    kinds = {"t": ("time", "second"), "c": ("channel", None)}
    described = []
    for axis in axes:
        kind, unit = kinds.get(axis, ("space", "micrometer"))
        described.append({"name": axis, "type": kind, **({"unit": unit} if unit else {})})
    group = zarr.open_group(str(path), mode="w", zarr_format=3)
    level = group.create_array(
        "s0", shape=array.shape, dtype=array.dtype, chunks=(1,) * (array.ndim - 2) + array.shape[-2:]
    )
    level[...] = array
    ends = {"input": {"path": "s0"}, "output": {"name": "physical"}}
    group.attrs["ome"] = {
        "version": "0.6",
        "multiscales": [
            {
                "coordinateSystems": [{"name": "physical", "axes": described}],
                "datasets": [{"path": "s0", "coordinateTransformations": [{**one, **ends} for one in transforms]}],
            }
        ],
    }
    return path


SCALE = {"type": "scale", "scale": [5.0, 2.0, 0.5, 0.25]}
SHIFT = {"type": "translation", "translation": [0.0, 1.0, 2.0, 3.0]}


@pytest.mark.parametrize(
    "transforms", [[SCALE], [{"type": "sequence", "transformations": [SCALE, SHIFT]}]], ids=["scale", "sequence"]
)
def test_version_06_with_scales_and_translations(tmp_path: Path, transforms: list[dict[str, Any]]) -> None:
    path = write_v06(tmp_path / "a.zarr", MOVIE[:, 0], "tzyx", transforms)
    movie = open_images(path)
    assert (movie.numbers, movie.shape) == ((0, 1, 2), MOVIE.shape[2:])
    assert (movie.voxel, movie.interval) == ((2.0, 0.5, 0.25), 5.0)
    np.testing.assert_array_equal(movie[2], MOVIE[2, 0])


@pytest.mark.parametrize("kind", ["affine", "rotation", "mapAxis", "displacements"])
def test_other_transformations_of_version_06_are_refused(tmp_path: Path, kind: str) -> None:
    path = write_v06(tmp_path / "a.zarr", MOVIE[:, 0], "tzyx", [{"type": kind, kind: [0, 1, 2, 3]}])
    with pytest.raises(InputError, match=f"transformation of the type '{kind}', but only scales and translations"):
        open_images(path)


def test_axes_that_the_user_says_are_obeyed_in_zarr_too(tmp_path: Path) -> None:
    path = write_v06(tmp_path / "a.zarr", MOVIE[:, 0, 0], "zyx", [{"type": "identity"}])
    assert "one frame of 3 slices: if this is time, give --axes TYX" in open_images(path).notes[0]
    movie = open_images(path, axes="TYX")
    assert (movie.numbers, movie.notes) == ((0, 1, 2), ())
    np.testing.assert_array_equal(movie[1], MOVIE[1, 0, 0])
    for wrong in ("YX", "TZYX", "TYQ"):
        with pytest.raises(InputError, match="does not fit"):
            open_images(path, axes=wrong)
