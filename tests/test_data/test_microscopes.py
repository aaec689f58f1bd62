"""ND2, CZI, LIF and films, read through their libraries.

The CZI file is written by its own library and the LIF file byte by byte as the format is described; nothing writes ND2,
so a stand-in with the structure that ``nd2`` reports takes its place.
"""

from __future__ import annotations

import struct
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from celltrail.data.errors import InputError, MissingExtra
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images

RNG = np.random.default_rng(7)
MOVIE = RNG.integers(0, 4000, (2, 3, 2, 2, 16, 20), dtype=np.uint16)  # position, time, channel, slice, y, x


def assert_is(path: Path, series: int, channel: int, options: dict[str, Any] | None = None) -> None:
    movie = open_images(path, series=series, channel=channel, **(options or {}))
    assert (movie.numbers, movie.shape) == ((0, 1, 2), (2, 16, 20))
    for number in movie:
        np.testing.assert_array_equal(movie[number], MOVIE[series, number, channel])


def write_czi(path: Path) -> Path:
    czi = pytest.importorskip("pylibCZIrw.czi")
    with czi.create_czi(str(path)) as file:
        for p, t, c, z in np.ndindex(MOVIE.shape[:4]):
            file.write(MOVIE[p, t, c, z], plane={"T": t, "C": c, "Z": z}, scene=p, location=(100 * p, 0))
        file.write_metadata("cells", channel_names={0: "DAPI", 1: "GFP"}, scale_x=0.4e-6, scale_y=0.5e-6, scale_z=2e-6)
    return path


def test_czi_with_scenes_channels_slices_and_scale(tmp_path: Path) -> None:
    file = write_czi(tmp_path / "exp.czi")
    with pytest.raises(InputError, match=r"2 positions: choose one with --series 0 \(scene 0\), 1 \(scene 1\)"):
        open_images(file)
    with pytest.raises(InputError, match=r"2 channels: choose one with --channel 0 \(DAPI\), 1 \(GFP\)"):
        open_images(file, series=1)
    assert_is(file, 1, 1)
    assert_is(file, 0, 0)
    assert open_images(file, series=0, channel=0).voxel == pytest.approx((2.0, 0.5, 0.4))


LIF = """<LMSDataContainerHeader Version="2"><Element Name="exp.lif" UniqueID="0"><Children>{}</Children></Element>
</LMSDataContainerHeader>"""
IMAGE = """<Element Name="Position{p}" UniqueID="{p}"><Data><Image><ImageDescription><Channels>
<ChannelDescription DataType="0" ChannelTag="0" Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="Green" IsLUTInverted="0" BitInc="0" BytesInc="0"/>
<ChannelDescription DataType="0" ChannelTag="1" Resolution="16" NameOfMeasuredQuantity="" Min="0" Max="65535" Unit="" LUTName="Red" IsLUTInverted="0" BitInc="0" BytesInc="1280"/></Channels><Dimensions>
<DimensionDescription DimID="1" NumberOfElements="20" Origin="0" Length="9.5e-6" Unit="m" BitInc="0" BytesInc="2"/>
<DimensionDescription DimID="2" NumberOfElements="16" Origin="0" Length="6e-6" Unit="m" BitInc="0" BytesInc="40"/>
<DimensionDescription DimID="3" NumberOfElements="2" Origin="0" Length="2e-6" Unit="m" BitInc="0" BytesInc="640"/>
<DimensionDescription DimID="4" NumberOfElements="3" Origin="0" Length="600" Unit="s" BitInc="0" BytesInc="2560"/>
</Dimensions></ImageDescription></Image></Data><Memory Size="7680" MemoryBlockID="MemBlock_{p}"/></Element>"""


def write_lif(path: Path) -> Path:
    pytest.importorskip("liffile")
    xml = LIF.format("".join(IMAGE.format(p=p) for p in range(2))).encode("utf-16-le")
    content = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    for p in range(2):
        name = f"MemBlock_{p}".encode("utf-16-le")
        pixels = MOVIE[p].tobytes()
        head = struct.pack("<BQBI", 0x2A, len(pixels), 0x2A, len(name) // 2) + name
        content += struct.pack("<II", 0x70, len(head)) + head + pixels
    path.write_bytes(content)
    return path


def test_lif_with_positions_channels_slices_and_scale(tmp_path: Path) -> None:
    file = write_lif(tmp_path / "exp.lif")
    with pytest.raises(InputError, match=r"--series 0 \(Position0\), 1 \(Position1\)"):
        open_images(file)
    assert_is(file, 1, 0)
    assert_is(file, 0, 1)
    movie = open_images(file, series=0, channel=0)
    assert movie.voxel == pytest.approx((2.0, 0.4, 0.5))
    assert movie.interval == pytest.approx(300.0)


class RecordedND2:
    """What ``nd2.ND2File`` reports of a file with two positions whose acquisition may have been stopped."""

    taken = 12

    def __init__(self, path: Path) -> None:
        self.sizes = {"T": 3, "P": 2, "Z": 2, "C": 2, "Y": 16, "X": 20}
        self.dtype = np.dtype(np.uint16)
        self.attributes = SimpleNamespace(sequenceCount=self.taken)
        self.loop_indices = tuple({"T": t, "P": p, "Z": z} for t in range(3) for p in range(2) for z in range(2))
        points = [SimpleNamespace(name="A1"), SimpleNamespace(name=None)]
        self.experiment = [
            SimpleNamespace(type="TimeLoop", parameters=SimpleNamespace(periodMs=60_000.0)),
            SimpleNamespace(type="XYPosLoop", parameters=SimpleNamespace(points=points)),
        ]
        channels = [SimpleNamespace(channel=SimpleNamespace(name=name)) for name in ("Phase", "mCherry")]
        self.metadata = SimpleNamespace(channels=channels)

    def __enter__(self) -> RecordedND2:
        return self

    def __exit__(self, *_: object) -> None: ...

    def voxel_size(self) -> SimpleNamespace:
        return SimpleNamespace(x=0.4, y=0.5, z=2.0)

    def read_frame(self, number: int) -> NDArray[np.uint16]:
        index = self.loop_indices[number]
        return MOVIE[index["P"], index["T"], :, index["Z"]]


@pytest.fixture
def nd2_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    nd2 = pytest.importorskip("nd2")
    used = ("sizes", "dtype", "attributes", "loop_indices", "experiment", "metadata", "voxel_size", "read_frame")
    assert all(hasattr(nd2.ND2File, name) for name in used)
    monkeypatch.setattr(nd2, "ND2File", RecordedND2)
    (tmp_path / "exp.nd2").write_bytes(b"recorded")
    return tmp_path / "exp.nd2"


def test_nd2_with_positions_channels_slices_and_scale(nd2_file: Path) -> None:
    with pytest.raises(InputError, match=r"--series 0 \(A1\), 1 \(position 1\)"):
        open_images(nd2_file)
    with pytest.raises(InputError, match=r"--channel 0 \(Phase\), 1 \(mCherry\)"):
        open_images(nd2_file, series=0)
    assert_is(nd2_file, 1, 1)
    assert_is(nd2_file, 0, 0)
    movie = open_images(nd2_file, series=0, channel=0)
    assert (movie.voxel, movie.interval) == ((2.0, 0.5, 0.4), 60.0)


def test_a_stopped_nd2_acquisition_tells_how_far_it_came(nd2_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RecordedND2, "taken", 7)
    with pytest.raises(InputError, match=r"1 of its 3 frames is whole.*--frames 0:0"):
        open_images(nd2_file, series=1, channel=0)


@pytest.mark.parametrize("suffix", ["nd2", "czi", "lif"])
def test_without_the_extra_one_sentence_names_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    for name in ("nd2", "liffile", "pylibCZIrw", "pylibCZIrw.czi"):
        monkeypatch.setitem(sys.modules, name, None)
    (tmp_path / f"exp001.{suffix}").write_bytes(b"x" * 99)
    for path in (tmp_path, tmp_path / f"exp001.{suffix}"):
        with pytest.raises(MissingExtra, match=r"celltrail\[microscopes\]"):
            open_images(path)


@pytest.mark.parametrize("suffix", ["nd2", "czi", "lif", "mp4", "avi"])
def test_a_damaged_file_is_one_sentence(tmp_path: Path, suffix: str) -> None:
    (tmp_path / f"exp.{suffix}").write_bytes(b"\xda\xce\xbe\x0a" + b"\0" * 5000)
    with pytest.raises(InputError, match=r"exp\.\w+ (cannot be read as a|is not a readable film)"):
        open_images(tmp_path / f"exp.{suffix}")
    assert len(find_problems(tmp_path / f"exp.{suffix}")) == 1


@pytest.mark.parametrize("suffix", ["avi", "mp4"])
def test_films_are_read_frame_by_frame(tmp_path: Path, suffix: str) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file = tmp_path / f"film.{suffix}"
    steps = np.stack([np.full((48, 64), 20 * number + 30, np.uint8) for number in range(9)])
    codec = ["-c:v", "ffv1"] if suffix == "avi" else ["-c:v", "libx264", "-qp", "0"]
    writer = ffmpeg.write_frames(str(file), (64, 48), pix_fmt_in="gray", codec=codec[1], output_params=codec[2:])
    writer.send(None)
    for frame in steps:
        writer.send(frame.tobytes())
    writer.close()
    movie = open_images(file)
    assert (movie.numbers, movie.shape) == (tuple(range(9)), (48, 64))
    for number in (7, 2, 0, 8):
        assert np.abs(movie[number].astype(int) - steps[number]).max() <= 2
    assert open_images(tmp_path).numbers == movie.numbers


def test_films_with_colours_ask_for_the_channel(tmp_path: Path) -> None:
    ffmpeg = pytest.importorskip("imageio_ffmpeg")
    file = tmp_path / "film.avi"
    writer = ffmpeg.write_frames(str(file), (64, 48), codec="ffv1", pix_fmt_out="bgr0")
    writer.send(None)
    colour = np.zeros((48, 64, 3), np.uint8)
    colour[..., 1] = 200
    for _ in range(3):
        writer.send(colour.tobytes())
    writer.close()
    with pytest.raises(InputError, match="colour image"):
        open_images(file)
    assert [int(frame.min()) for frame in open_images(file, channel=1).values()] == [200] * 3
