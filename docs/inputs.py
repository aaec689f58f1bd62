"""What comes of inputs of every kind: makes each, opens it, and prints the table of ``formats.md``.

Run ``python docs/inputs.py`` for the table, ``python docs/inputs.py --write`` to put it into the page.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np
from made_inputs import (
    IMAGES,
    MASKS,
    RINGED,
    TWINS,
    Make,
    aborted,
    arrays,
    channels,
    cut,
    czi,
    damaged,
    each,
    film,
    lif,
    ome_set,
    palette,
    pictures,
    plate,
    positions,
    several,
    sites,
    slices,
    stack,
    zarr_image,
)

from celltrail.data.errors import InputError, MissingExtra
from celltrail.data.files.check import find_problems
from celltrail.data.files.opening import open_images, open_instances, refuse_masks
from celltrail.data.words import counted

PAGE = Path(__file__).with_name("formats.md")
BEGIN, END = "<!-- inputs: begin -->", "<!-- inputs: end -->"
COLOURS = np.stack([IMAGES, 255 - IMAGES, IMAGES // 2], -1)
SATURATED = np.concatenate([np.full_like(IMAGES[:1], 255), IMAGES[1:]])
WHITE = (MASKS > 0) * np.uint8(255)
AFFINE = [{"type": "affine", "affine": [[1, 0, 0, 0], [0, 1, 0, 0], [0, 0, 1, 0]]}]

KINDS: list[tuple[str, str, Make, dict[str, object]]] = [
    # (input, what it is read as, how it is made, options)
    ("folder with one stack, axes TYX", "image", stack("movie_01.tif", "TYX"), {}),
    ("folder with `pos1.tif` … `pos3.tif`, each a stack", "image", several(*(stack(f"pos{p}.tif", "TYX") for p in (1, 2, 3))), {}),
    ("time stored as slices (ZYX)", "image", stack("movie.tif", "ZYX"), {}),
    ("the same with `--axes TYX`", "image", stack("movie.tif", "ZYX"), {"axes": "TYX"}),
    ("time stored as channels (CYX)", "image", stack("movie.tif", "CYX"), {}),
    ("the same with `--axes TYX`", "image", stack("movie.tif", "CYX"), {"axes": "TYX"}),
    ("stack cut to 60 %", "image", cut(stack("movie.tif", "TYX")), {}),
    ("the same with `--frames 0:5`", "image", cut(stack("movie.tif", "TYX")), {"frames": range(6)}),
    ("OME-TIFF of an acquisition that was stopped", "image", aborted, {}),
    ("the same with `--frames 0:5`", "image", aborted, {"frames": range(6)}),
    ("OME-TIFF with a file for each plane", "image", ome_set, {}),
    ("OME-TIFF with three positions", "image", positions, {}),
    ("the same with `--series 1`", "image", positions, {"series": 1}),
    ("RGB frames", "image", each("t{t}.tif", COLOURS, photometric="rgb"), {}),
    ("the same with `--channel 0`", "image", each("t{t}.tif", COLOURS, photometric="rgb"), {"channel": 0}),
    ("RGB frames in planes, with `--channel 0`", "image", each("t{t}.tif", np.moveaxis(COLOURS, -1, 1), photometric="rgb", planarconfig="separate"), {"channel": 0}),
    ("`img_000000003_Default_000.tif` (Micro-Manager 1.4)", "image", each("img_{t:09d}_Default_000.tif"), {}),
    ("`…_time000000003_z001.tif` (Micro-Manager 2)", "image", slices, {}),
    ("`VID1_A1_1_00d03h00m.tif` (Incucyte)", "image", each("VID1_A1_1_00d{t:02d}h00m.tif"), {}),
    ("`exp_t03c1_ORG.tif` (Zen)", "image", each("exp_t{t:02d}c1_ORG.tif"), {}),
    ("`Series001_t03_z00_ch00.tif` (Leica)", "image", each("Series001_t{t:02d}_z00_ch00.tif"), {}),
    ("`plate_w1DAPI_t3.TIF`, `plate_w2GFP_t3.TIF` (MetaMorph)", "image", channels, {}),
    ("the same with `--channel 1`", "image", channels, {"channel": 1}),
    ("`exp_s1_t03.tif`, `exp_s2_t03.tif` (positions)", "image", sites("exp_s{s}_t{t:02d}.tif"), {}),
    ("the same with `--series 1`", "image", sites("exp_s{s}_t{t:02d}.tif"), {"series": 1}),
    ("`a1_003.tif`, `a2_003.tif`", "image", sites("a{s}_{t:03d}.tif"), {}),
    ("`2021-03-04_10-15.tif` (clock)", "image", each("2021-03-04_1{t}-15.tif"), {}),
    ("`t000_20x.tif`", "image", each("t{t:03d}_20x.tif"), {}),
    ("`cells (3).tif`", "image", each("cells ({t}).tif"), {}),
    ("`mask001.tif` beside `m001.tif`", "masks", several(each("mask{t:03d}.tif", MASKS), each("m{t:03d}.tif", MASKS[:2])), {}),
    ("JPEG", "image", pictures("jpg"), {}),
    ("JPEG as masks", "masks", pictures("jpg"), {}),
    ("BMP", "image", pictures("bmp"), {}),
    ("arrays of NumPy (`.npy`)", "image", arrays(), {}),
    ("the same with pickled objects", "image", arrays(pickled=True), {}),
    ("AVI (grey, without loss)", "image", film("film.avi", "ffv1", "gray"), {}),
    ("MP4", "image", film("film.mp4", "libx264", "yuv420p"), {}),
    ("OME-Zarr 0.4", "image", zarr_image("0.4"), {}),
    ("OME-Zarr 0.5", "image", zarr_image("0.5"), {}),
    ("OME-Zarr 0.6, scales and translations", "image", zarr_image("0.6"), {}),
    ("OME-Zarr 0.6, an affine transformation", "image", zarr_image("0.6", AFFINE), {}),
    ("OME-Zarr plate", "image", plate, {}),
    ("the same with `--series 1`", "image", plate, {"series": 1}),
    ("CZI (Zeiss) with two scenes", "image", czi, {}),
    ("the same with `--series 1`", "image", czi, {"series": 1}),
    ("LIF (Leica)", "image", lif, {}),
    ("labels as a palette PNG", "masks", palette("png"), {}),
    ("labels as a palette BMP", "masks", palette("bmp"), {}),
    ("first frame saturated", "image", each("t{t}.tif", SATURATED), {}),
    ("few grey levels", "image", each("t{t}.tif", IMAGES // 60 * 60), {}),
    ("minimum is white", "image", each("t{t}.tif", 255 - IMAGES, photometric="miniswhite"), {}),
    ("whole numbers as float32", "masks", each("t{t}.tif", MASKS.astype(np.float32)), {}),
    ("probabilities as float32", "masks", each("t{t}.tif", (MASKS > 0) * np.float32(0.7)), {}),
    ("black-and-white masks (0/255)", "masks", each("t{t}.tif", WHITE), {}),
    ("black-and-white masks (0/1)", "masks", each("t{t}.tif", WHITE // 255), {}),
    ("the same with `--split-binary`", "masks", each("t{t}.tif", WHITE), {"split_binary": True}),
    ("classes: inside 1, border 2", "masks", each("t{t}.tif", RINGED), {}),
    ("the same with `--split-binary`", "masks", each("t{t}.tif", RINGED), {"split_binary": True}),
    ("one number on two distant cells, in `check`", "masks", each("t{t}.tif", TWINS), {"check": True}),
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
        if options.get("check"):
            return "; ".join(f"says: {problem}" for problem in find_problems(folder)).replace(f"{work}/", "")
        try:
            movie = (open_images if role == "image" else open_instances)(folder, **options)  # type: ignore[operator]
            if role == "image":
                refuse_masks(movie)
            truth = IMAGES if role == "image" else MASKS
            seen = {number: movie[number] for number in movie}
        except (InputError, MissingExtra) as error:
            return "refused: " + str(error).splitlines()[0].replace(f"{work}/", "")
        shape = " × ".join(str(n) for n in movie.shape)
        cells = (
            f", {counted(len(np.unique(next(iter(seen.values())))) - 1, 'cell')} in the first"
            if role == "masks"
            else ""
        )
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
