"""The files for the table of ``inputs.py``, made as microscopes, programs and people write them."""

from __future__ import annotations

import struct
import uuid
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

Make = Callable[[Path], object]


def draw_movie() -> tuple[np.ndarray, np.ndarray]:
    """Ten frames of nine cells: images uint8 and masks uint8 (10, 96, 96)."""
    rng = np.random.default_rng(1)
    y, x = np.indices((96, 96))
    masks = np.zeros((10, 96, 96), np.uint8)
    for frame in range(10):
        for label in range(1, 10):
            row, column = divmod(label - 1, 3)
            masks[frame][np.hypot(y - 16 - 32 * row - frame % 3, x - 16 - 32 * column) < 7] = label
    return (30 + 150 * (masks > 0) + rng.integers(0, 40, masks.shape)).astype(np.uint8), masks


IMAGES, MASKS = draw_movie()
RINGED = np.where(MASKS > 0, 2, 0).astype(np.uint8)  # inside 1, border 2
RINGED[:, 1:-1, 1:-1][np.all([np.roll(MASKS > 0, s, a)[:, 1:-1, 1:-1] for s in (-2, 2) for a in (1, 2)], axis=0)] = 1
TWINS = np.where(MASKS == 9, 1, MASKS)  # one number on two cells


def each(name: str, frames: np.ndarray = IMAGES, **options: object) -> Make:
    """One TIFF for each frame; ``{t}`` in the name is its number."""

    def make(folder: Path) -> None:
        for t, frame in enumerate(frames):
            tifffile.imwrite(folder / name.format(t=t), frame, **options)

    return make


def stack(name: str, axes: str, array: np.ndarray = IMAGES) -> Make:
    """One ImageJ stack."""
    return lambda folder: tifffile.imwrite(folder / name, array, imagej=True, metadata={"axes": axes})


def several(*makes: Make) -> Make:
    """Several things in one folder."""
    return lambda folder: [make(folder) for make in makes]


def cut(make: Make, share: float = 0.6) -> Make:
    """The file that is made, without its end."""

    def made(folder: Path) -> None:
        make(folder)
        (file,) = folder.iterdir()
        file.write_bytes(file.read_bytes()[: int(share * file.stat().st_size)])

    return made


def positions(folder: Path) -> None:
    """Three positions in one OME-TIFF."""
    with tifffile.TiffWriter(folder / "exp.ome.tif", ome=True) as writer:
        for name in ("A1", "A2", "A3"):
            writer.write(IMAGES, metadata={"axes": "TYX", "Name": name}, photometric="minisblack")


OME = (
    '<?xml version="1.0" encoding="UTF-8"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06" '
    'UUID="{own}"><Image ID="Image:0"><Pixels ID="Pixels:0" DimensionOrder="XYCZT" Type="uint8" SizeX="96" '
    'SizeY="96" SizeC="1" SizeZ="1" SizeT="10"><Channel ID="Channel:0:0" SamplesPerPixel="1"/>{planes}'
    "</Pixels></Image></OME>"
)
PLANE = '<TiffData FirstC="0" FirstT="{t}" FirstZ="0" IFD="{ifd}" PlaneCount="1"><UUID FileName="{name}">{own}</UUID></TiffData>'


def _own(name: str) -> str:
    return f"urn:uuid:{uuid.uuid5(uuid.NAMESPACE_URL, name)}"


def ome_set(folder: Path) -> None:
    """One OME-TIFF for each plane; each names the whole set."""
    names = [f"cells_t{t:03d}.ome.tif" for t in range(10)]
    planes = "".join(PLANE.format(t=t, ifd=0, name=name, own=_own(name)) for t, name in enumerate(names))
    for name, frame in zip(names, IMAGES, strict=True):
        text = OME.format(own=_own(name), planes=planes)
        tifffile.imwrite(folder / name, frame, description=text, metadata=None)


def aborted(folder: Path) -> None:
    """An OME-TIFF that declares ten frames and has six."""
    name = "exp.ome.tif"
    planes = "".join(PLANE.format(t=t, ifd=t, name=name, own=_own(name)) for t in range(10))
    with tifffile.TiffWriter(folder / name) as writer:
        for t in range(6):
            text = OME.format(own=_own(name), planes=planes) if t == 0 else None
            writer.write(IMAGES[t], description=text, metadata=None, contiguous=False)


def zarr_image(version: str, transforms: list[dict[str, object]] | None = None) -> Make:
    """An OME-Zarr of one of the versions."""

    def make(folder: Path) -> None:
        import zarr

        transforms_ = transforms or [{"type": "scale", "scale": [300.0, 0.5, 0.5]}]
        kinds = (("t", "time", "second"), ("y", "space", "micrometer"), ("x", "space", "micrometer"))
        axes = [{"name": name, "type": kind, "unit": unit} for name, kind, unit in kinds]
        level = {"path": "0", "coordinateTransformations": transforms_}
        image: dict[str, object] = {"axes": axes, "datasets": [level]}
        if version == "0.6":
            ends = {"input": {"path": "0"}, "output": {"name": "physical"}}
            level["coordinateTransformations"] = [{**one, **ends} for one in transforms_]
            image = {"coordinateSystems": [{"name": "physical", "axes": axes}], "datasets": [level]}
        group = zarr.open_group(str(folder), mode="a", zarr_format=2 if version == "0.4" else 3)
        group.create_array("0", shape=IMAGES.shape, chunks=(1, 96, 96), dtype=IMAGES.dtype)[...] = IMAGES
        named = {"multiscales": [image]}
        group.attrs.update(named if version == "0.4" else {"ome": {"version": version, **named}})

    return make


def plate(folder: Path) -> None:
    """An OME-Zarr plate with two wells of one field."""
    import zarr

    wells = ("A/1", "B/3")
    group = zarr.open_group(str(folder), mode="a", zarr_format=2)
    group.attrs["plate"] = {"wells": [{"path": well} for well in wells]}
    for well in wells:
        zarr.open_group(str(folder / well), mode="a", zarr_format=2).attrs["well"] = {"images": [{"path": "0"}]}
        zarr_image("0.4")(folder / well / "0")


def palette(suffix: str) -> Make:
    """Labels as the numbers of a palette."""

    def make(folder: Path) -> None:
        for t, mask in enumerate(MASKS):
            picture = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
            picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
            picture.save(folder / f"t{t:03d}.{suffix}")

    return make


def pictures(suffix: str, frames: np.ndarray = IMAGES) -> Make:
    """One picture for each frame."""
    return lambda folder: [Image.fromarray(frame).save(folder / f"t{t}.{suffix}") for t, frame in enumerate(frames)]


def arrays(*, pickled: bool = False) -> Make:
    """Arrays of NumPy."""
    return lambda folder: [
        np.save(folder / f"t{t}.npy", frame.astype(object) if pickled else frame, allow_pickle=pickled)
        for t, frame in enumerate(IMAGES)
    ]


def film(name: str, codec: str, pixels: str) -> Make:
    """A film."""

    def make(folder: Path) -> None:
        import imageio_ffmpeg

        writer = imageio_ffmpeg.write_frames(
            str(folder / name), (96, 96), pix_fmt_in="gray", pix_fmt_out=pixels, codec=codec, macro_block_size=1
        )
        writer.send(None)
        for frame in IMAGES:
            writer.send(frame.tobytes())
        writer.close()

    return make


def czi(folder: Path) -> None:
    """A file of Zeiss with two scenes, written by its library."""
    from pylibCZIrw import czi as library

    with library.create_czi(str(folder / "exp.czi")) as file:
        for scene in range(2):
            for t, frame in enumerate(IMAGES):
                file.write(frame, plane={"T": t, "C": 0, "Z": 0}, scene=scene, location=(200 * scene, 0))


LIF = (
    '<LMSDataContainerHeader Version="2"><Element Name="exp.lif" UniqueID="0"><Children><Element Name="Position1" UniqueID="1">'
    '<Data><Image><ImageDescription><Channels><ChannelDescription DataType="0" ChannelTag="0" Resolution="8" '
    'NameOfMeasuredQuantity="" Min="0" Max="255" Unit="" LUTName="Gray" IsLUTInverted="0" BitInc="0" BytesInc="0"/></Channels>'
    '<Dimensions><DimensionDescription DimID="1" NumberOfElements="96" Origin="0" Length="4.75e-5" Unit="m" BitInc="0" BytesInc="1"/>'
    '<DimensionDescription DimID="2" NumberOfElements="96" Origin="0" Length="4.75e-5" Unit="m" BitInc="0" BytesInc="96"/>'
    '<DimensionDescription DimID="4" NumberOfElements="10" Origin="0" Length="2700" Unit="s" BitInc="0" BytesInc="9216"/>'
    '</Dimensions></ImageDescription></Image></Data><Memory Size="92160" MemoryBlockID="MemBlock_1"/></Element></Children></Element>'
    "</LMSDataContainerHeader>"
)


def lif(folder: Path) -> None:
    """A file of Leica, byte by byte as its format is described."""
    xml, block = LIF.encode("utf-16-le"), "MemBlock_1".encode("utf-16-le")
    content = struct.pack("<IIBI", 0x70, len(xml) + 5, 0x2A, len(xml) // 2) + xml
    head = struct.pack("<BQBI", 0x2A, IMAGES.nbytes, 0x2A, len(block) // 2) + block
    (folder / "exp.lif").write_bytes(content + struct.pack("<II", 0x70, len(head)) + head + IMAGES.tobytes())


def channels(folder: Path) -> None:
    """Two wavelengths in files of their own."""
    for t, frame in enumerate(IMAGES):
        for w, dye in ((1, "DAPI"), (2, "GFP")):
            tifffile.imwrite(folder / f"plate_w{w}{dye}_t{t}.TIF", frame)


def sites(name: str) -> Make:
    """Two positions in files of their own; ``{s}`` in the name is the position."""
    return several(*(each(name.replace("{s}", str(site))) for site in (1, 2)))


def slices(folder: Path) -> None:
    """Three slices in files of their own."""
    for t, frame in enumerate(IMAGES):
        for z in range(3):
            tifffile.imwrite(folder / f"img_channel000_position000_time{t:09d}_z{z:03d}.tif", frame)


def damaged(name: str) -> Make:
    """A file with an ending and rubbish in it."""
    return lambda folder: (folder / name).write_bytes(b"x" * 999)
