"""What comes of inputs of every kind: makes each, opens it, and prints the table of ``formats.md``.

Run ``python docs/inputs.py`` for the table, ``python docs/inputs.py --write`` to put it into the page.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import tifffile
from PIL import Image

from celltrail.data.errors import InputError, MissingExtra
from celltrail.data.files.opening import open_images, open_instances, refuse_masks

PAGE = Path(__file__).with_name("formats.md")
BEGIN, END = "<!-- inputs: begin -->", "<!-- inputs: end -->"


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
Make = Callable[[Path], object]


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


def palette(folder: Path) -> None:
    """Labels as the numbers of a palette."""
    for t, mask in enumerate(MASKS):
        picture = Image.frombytes("P", mask.shape[::-1], mask.tobytes())
        picture.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
        picture.save(folder / f"t{t:03d}.png")


def pictures(suffix: str) -> Make:
    """One picture for each frame."""
    return lambda folder: [Image.fromarray(frame).save(folder / f"t{t}.{suffix}") for t, frame in enumerate(IMAGES)]


def arrays(folder: Path) -> None:
    """Arrays of NumPy."""
    for t, frame in enumerate(IMAGES):
        np.save(folder / f"t{t}.npy", frame)


def channels(folder: Path) -> None:
    """Two wavelengths in files of their own."""
    for t, frame in enumerate(IMAGES):
        for w, dye in ((1, "DAPI"), (2, "GFP")):
            tifffile.imwrite(folder / f"plate_w{w}{dye}_t{t}.TIF", frame)


def slices(folder: Path) -> None:
    """Three slices in files of their own."""
    for t, frame in enumerate(IMAGES):
        for z in range(3):
            tifffile.imwrite(folder / f"img_channel000_position000_time{t:09d}_z{z:03d}.tif", frame)


def damaged(name: str) -> Make:
    """A file with an ending and rubbish in it."""
    return lambda folder: (folder / name).write_bytes(b"x" * 999)


ringed = np.where(MASKS > 0, 2, 0).astype(np.uint8)
ringed[:, 1:-1, 1:-1][np.all([np.roll(MASKS > 0, s, a)[:, 1:-1, 1:-1] for s in (-2, 2) for a in (1, 2)], axis=0)] = 1

KINDS: list[tuple[str, str, Make, dict[str, object]]] = [
    # (input, what it is read as, how it is made, options)
    ("folder with one stack, axes TYX", "image", stack("movie_01.tif", "TYX"), {}),
    ("folder with `pos1.tif` … `pos3.tif`, each a stack", "image", several(*(stack(f"pos{p}.tif", "TYX") for p in (1, 2, 3))), {}),
    ("time stored as slices (ZYX)", "image", stack("movie.tif", "ZYX"), {}),
    ("the same with `--axes TYX`", "image", stack("movie.tif", "ZYX"), {"axes": "TYX"}),
    ("time stored as channels (CYX)", "image", stack("movie.tif", "CYX"), {}),
    ("stack cut to 60 %", "image", cut(stack("movie.tif", "TYX")), {}),
    ("the same with `--frames 0:5`", "image", cut(stack("movie.tif", "TYX")), {"frames": range(6)}),
    ("OME-TIFF with three positions", "image", positions, {}),
    ("the same with `--series 1`", "image", positions, {"series": 1}),
    ("RGB frames", "image", each("t{t}.tif", np.stack([IMAGES] * 3, -1), photometric="rgb"), {}),
    ("the same with `--channel 1`", "image", each("t{t}.tif", np.stack([IMAGES] * 3, -1), photometric="rgb"), {"channel": 1}),
    ("`img_000000003_Default_000.tif` (Micro-Manager 1.4)", "image", each("img_{t:09d}_Default_000.tif"), {}),
    ("`…_time000000003_z001.tif` (Micro-Manager 2)", "image", slices, {}),
    ("`VID1_A1_1_00d03h00m.tif` (Incucyte)", "image", each("VID1_A1_1_00d{t:02d}h00m.tif"), {}),
    ("`exp_t03c1_ORG.tif` (Zen)", "image", each("exp_t{t:02d}c1_ORG.tif"), {}),
    ("`Series001_t03_z00_ch00.tif` (Leica)", "image", each("Series001_t{t:02d}_z00_ch00.tif"), {}),
    ("`plate_w1DAPI_t3.TIF`, `plate_w2GFP_t3.TIF` (MetaMorph)", "image", channels, {}),
    ("the same with `--channel 1`", "image", channels, {"channel": 1}),
    ("`t000_20x.tif`, `cells (3).tif`", "image", each("t{t:03d}_20x.tif"), {}),
    ("`mask001.tif` beside `m001.tif`", "masks", several(each("mask{t:03d}.tif", MASKS), each("m{t:03d}.tif", MASKS[:2])), {}),
    ("JPEG", "image", pictures("jpg"), {}),
    ("JPEG as masks", "masks", pictures("jpg"), {}),
    ("arrays of NumPy (`.npy`)", "image", arrays, {}),
    ("labels as a palette PNG", "masks", palette, {}),
    ("minimum is white", "image", each("t{t}.tif", 255 - IMAGES, photometric="miniswhite"), {}),
    ("whole numbers as float32", "masks", each("t{t}.tif", MASKS.astype(np.float32)), {}),
    ("probabilities as float32", "masks", each("t{t}.tif", (MASKS > 0) * np.float32(0.7)), {}),
    ("black-and-white masks (0/255)", "masks", each("t{t}.tif", (MASKS > 0) * np.uint8(255)), {}),
    ("the same with `--split-binary`", "masks", each("t{t}.tif", (MASKS > 0) * np.uint8(255)), {"split_binary": True}),
    ("classes: inside 1, border 2", "masks", each("t{t}.tif", ringed), {}),
    ("the same with `--split-binary`", "masks", each("t{t}.tif", ringed), {"split_binary": True}),
    ("background has a number", "masks", each("t{t}.tif", MASKS + np.uint8(1)), {}),
    ("one cell in the whole movie", "masks", each("t{t}.tif", (MASKS == 5) * np.uint8(5)), {}),
    ("masks given as images", "image", each("t{t}.tif", MASKS), {}),
    ("ND2, CZI or LIF that is damaged", "image", damaged("exp.lif"), {}),
    ("a format that is not read", "image", damaged("exp.ims"), {}),
]  # fmt: skip


def outcome(role: str, make: Make, options: dict[str, object]) -> str:
    """What is said of an input, or what was read of it."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / ("01" if role == "image" else "masks")
        folder.mkdir()
        make(folder)
        try:
            movie = (open_images if role == "image" else open_instances)(folder, **options)  # type: ignore[operator]
            if role == "image":
                refuse_masks(movie)
            truth = IMAGES if role == "image" else MASKS
            seen = {number: movie[number] for number in movie}
        except (InputError, MissingExtra) as error:
            return "refused: " + str(error).splitlines()[0].replace(f"{work}/", "")
        shape = " × ".join(str(n) for n in movie.shape)
        cells = f", {len(np.unique(next(iter(seen.values())))) - 1} cells in the first" if role == "masks" else ""
        exact = len(truth) >= len(seen) and all(
            frame.shape == true.shape and np.array_equal(frame, true)
            for frame, true in zip(seen.values(), truth, strict=False)
        )
        text = f"{len(seen)} frame{'s' * (len(seen) > 1)} of {shape}{cells}" + (", as written" if exact else "")
        return "; ".join([text, *(f"says: {note.replace(f'{work}/', '')}" for note in movie.notes)])


def table() -> str:
    """The table in Markdown."""
    rows = ["| input | read as | what comes of it |", "| --- | --- | --- |"]
    rows += [
        f"| {name} | {role} | {outcome(role, make, options).replace('|', '/')} |" for name, role, make, options in KINDS
    ]
    return "\n".join(rows)


if __name__ == "__main__":
    made = table()
    if "--write" in sys.argv:
        text = PAGE.read_text(encoding="utf-8")
        before, _, rest = text.partition(BEGIN)
        PAGE.write_text(f"{before}{BEGIN}\n{made}\n{END}{rest.partition(END)[2]}", encoding="utf-8")
    else:
        sys.stdout.write(made + "\n")
