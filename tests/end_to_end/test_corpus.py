"""More than 300 broken inputs, each given to every command that could meet it.

Whatever the input: no traceback, exit code 0 or 2, and after a refusal a sentence that says what to
do, and nothing written. Inputs that must be refused are marked with ``must``.
"""

from __future__ import annotations

import gzip
import io
import json
import os
import pickle
import shutil
import struct
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
import tifffile

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.tiff import write_array
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie

MOVIE = simulate_movie(frames=5, cells=5, size=(64, 56), cycle=8, seed=1)
TRACKS = "".join(f"{a} {b} {c} {d}\n" for a, b, c, d in MOVIE.tracks.rows().tolist())


@dataclass(frozen=True)
class Case:
    """A way to break something: ``breaks(folder)`` changes a sound data set; ``must`` be refused or may be used."""

    name: str
    breaks: Callable[[Path], object]
    must: bool = True


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set: images in ``01``, a result in ``01_RES``, truth in ``01_GT``."""
    from celltrail.data.simulation.scene import write_movie

    folder = tmp_path_factory.mktemp("sound") / "set"
    write_movie(MOVIE, folder)
    (folder / "01_RES").mkdir()
    write_masks(folder / "01_RES", MOVIE.masks.items())
    write_track_file(folder / "01_RES" / "res_track.txt", MOVIE.tracks)
    return folder


@pytest.fixture
def place(sound: Path, tmp_path: Path) -> Path:
    """A copy of it that may be broken."""
    shutil.copytree(sound, tmp_path / "set")
    return tmp_path / "set"


@pytest.fixture
def try_commands(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Callable[[list[list[object]], bool], None]:
    """Run commands on a broken input and look at what they leave."""
    from celltrail.cli import app

    out = tmp_path / "out"

    def run(commands: list[list[object]], must: bool) -> None:
        for words in commands:
            with warnings.catch_warnings():
                # What a library thinks of a broken file is no error of ours.
                warnings.simplefilter("ignore")
                code = console.run(app, [str(word).replace("OUT", str(out)) for word in words])
            printed, complaint = capfd.readouterr()
            told = f"{words}\n{printed}\n{complaint}"
            assert "Traceback" not in told, told
            assert code == 2 if must else code in (0, 2), f"exit code {code}: {told}"
            if code == 2:
                said = complaint if words[0] != "check" else printed + complaint
                assert any(": " in line and len(line) > 25 for line in said.splitlines()), told
                left = [p.name for p in tmp_path.iterdir() if p.name.startswith(("out", ".out"))]
                assert left == [], told
            for path in tmp_path.iterdir():
                if path.name.startswith("out"):
                    shutil.rmtree(path) if path.is_dir() else path.unlink()

    return run


# --- one bad file among frames --------------------------------------------------------------------


def tiff(array: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    tifffile.imwrite(stream, array, **options)
    return stream.getvalue()


def header(width: int, height: int, *, bits: int = 16, compression: int = 1, tile: int = 0, samples: int = 1) -> bytes:
    """A TIFF header that declares what it likes, with 8 bytes of pixels."""
    tags = {256: width, 257: height, 258: bits, 259: compression, 262: 1, 277: samples}
    tags |= {322: tile, 323: tile, 324: 8, 325: 8} if tile else {273: 8, 278: height, 279: 8}
    directory = struct.pack("<H", len(tags))
    directory += b"".join(struct.pack("<HHII", code, 4, 1, value) for code, value in sorted(tags.items()))
    return b"II*\0" + struct.pack("<I", 16) + b"\0" * 8 + directory + struct.pack("<I", 0)


FRAME = MOVIE.masks[2]
GOOD = tiff(FRAME, compression="zlib", photometric="minisblack")


def flipped(seed: int) -> bytes:
    rng = np.random.default_rng(seed)
    damaged = bytearray(GOOD)
    for position in rng.integers(0, len(GOOD), 4):
        damaged[position] ^= 1 << int(rng.integers(8))
    return bytes(damaged)


BAD_FRAMES: dict[str, bytes] = {
    "empty": b"",
    "text": b"frame 2 is missing\n",
    "html": b"<!doctype html><html><body>404 not found</body></html>",
    "zeros": bytes(4096),
    "png": b"\x89PNG\r\n\x1a\n" + bytes(200),
    "gzipped": gzip.compress(GOOD, mtime=0),
    "only magic": b"II*\0",
    "no directory": b"II*\0" + struct.pack("<I", 0),
    "directory outside": b"II*\0" + struct.pack("<I", 10**9),
    "directory on itself": b"II*\0" + struct.pack("<I", 8) + struct.pack("<H", 0) + struct.pack("<I", 8),
    "bomb": header(200_000, 200_000),
    "bomb of 8 bit": header(60_000, 60_000, bits=8),
    "bomb of tiles": header(56, 64, tile=1 << 17),
    "bomb in zlib": header(100_000, 100_000, compression=8),
    "bomb of samples": header(5000, 5000, samples=60_000),
    "no width": header(0, 64),
    "no pixels": header(56, 64),
    "jpeg": header(56, 64, compression=7),
    "unknown codec": header(56, 64, compression=12_345),
    "17 bits": header(56, 64, bits=17),
    "rgb": tiff(np.zeros((64, 56, 3), np.uint8), photometric="rgb"),
    "rgba": tiff(np.zeros((64, 56, 4), np.uint8), photometric="rgb"),
    "complex": tiff(np.zeros((64, 56), np.complex64), photometric="minisblack"),
    "a stack": tiff(np.zeros((3, 64, 56), np.uint16), photometric="minisblack"),
    "five axes": tiff(np.zeros((2, 2, 3, 64, 56), np.uint16), photometric="minisblack"),
}
# of masks these are refused; images of several sizes are stills, which segment takes
ODD_SHAPES: dict[str, bytes] = {
    "other shape": tiff(np.zeros((60, 56), np.uint16)),
    "transposed": tiff(np.ascontiguousarray(FRAME.T)),
    "one pixel": tiff(np.zeros((1, 1), np.uint16)),
}
BAD_FRAMES |= {f"cut at {share} %": GOOD[: len(GOOD) * share // 100] for share in (5, 20, 40, 60, 80, 95)}
HURT_FRAMES = {f"flipped bits {seed}": flipped(seed) for seed in range(24)}  # some of these are harmless
BAD_MASKS: dict[str, bytes] = {
    "negative 16 bit": tiff(FRAME.astype(np.int16) - 5),
    "negative 32 bit": tiff(FRAME.astype(np.int32) * -1),
    "smallest 64 bit": tiff(np.where(FRAME > 0, np.iinfo(np.int64).min, 0)),
}
ODD_MASKS: dict[str, bytes] = {
    "half": tiff(FRAME.astype(np.float16)),
    "float64": tiff(FRAME.astype(np.float64)),
    "float": tiff(FRAME.astype(np.float32)),
    "70,000 labels": tiff(np.arange(64 * 56, dtype=np.uint32).reshape(64, 56) + 70_000),
    "huge labels": tiff(np.where(FRAME > 0, np.uint64(2**62), np.uint64(0))),
    "beyond 63 bits": tiff(np.where(FRAME > 0, np.uint64(2**64 - 1), np.uint64(0))),
    "bool": tiff(FRAME > 0, photometric="minisblack"),
    "one label everywhere": tiff(np.full((64, 56), 7, np.uint8)),
    "signed": tiff(FRAME.astype(np.int32)),
    "no cell": tiff(np.zeros((64, 56), np.uint16)),
}
BAD_IMAGES: dict[str, bytes] = {
    "nan": tiff(np.full((64, 56), np.nan, np.float32)),
    "infinite": tiff(np.full((64, 56), np.inf, np.float32)),
}
ODD_IMAGES: dict[str, bytes] = {
    "minus infinite": tiff(np.where(np.eye(64, 56) > 0, -np.inf, 1.0)),
    "one nan": tiff(np.where(np.eye(64, 56) > 0, np.nan, 1.0).astype(np.float32)),
    "constant": tiff(np.full((64, 56), 9, np.uint16)),
    "enormous values": tiff(np.full((64, 56), 3e38, np.float32) * np.eye(64, 56, dtype=np.float32)),
    "negative": tiff(FRAME.astype(np.int16) - 500),
    "bool image": tiff(FRAME > 0, photometric="minisblack"),
    "64 bit": tiff(FRAME.astype(np.int64) << 60),
}


def put(name: str, content: bytes) -> Callable[[Path], object]:
    return lambda folder: (folder / name).write_bytes(content)


def replaced(name: str, make: Callable[[Path], object]) -> Callable[[Path], object]:
    """Break a folder by putting something else in the place of a file."""

    def breaks(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return breaks


def emptied(make: Callable[[Path], object]) -> Callable[[Path], object]:
    def breaks(folder: Path) -> None:
        shutil.rmtree(folder)
        folder.mkdir()
        make(folder)

    return breaks


def nothing(_: Path) -> None:
    """Leave a folder empty."""


def folder_cases(prefix: str) -> list[Case]:
    """What can be wrong with a folder of frames."""
    frame = f"{prefix}002.tif"
    return [
        Case("missing", shutil.rmtree),
        Case("empty folder", emptied(nothing)),
        Case("file in place of the folder", lambda f: (shutil.rmtree(f), f.write_text("no folder"))),
        Case("only folders", emptied(lambda f: (f / "a" / "b").mkdir(parents=True))),
        Case("only hidden files", emptied(put(".mask000.tif", GOOD))),
        Case("no numbers", emptied(put("cells.tif", GOOD)), must=False),  # one image is a movie of one frame
        Case("two kinds", emptied(lambda f: (put("left0.tif", GOOD)(f), put("right0.tif", GOOD)(f)))),
        Case("two files of one number", put(f"{prefix}02.tif", GOOD)),
        Case("only text files", emptied(put("000.txt", b"1 2 3"))),
        Case("a folder named like a frame", replaced(frame, Path.mkdir), must=False),
        Case("broken link", replaced(frame, lambda p: p.symlink_to("nowhere.tif")), must=False),
        Case("link to itself", replaced(frame, lambda p: p.symlink_to(p.name)), must=False),
        Case("folder that links to itself", lambda f: (shutil.rmtree(f), f.symlink_to(f.name))),
        Case("missing frame", lambda f: (f / frame).unlink(), must=False),
        Case("one frame", lambda f: [p.unlink() for p in sorted(f.glob("*.tif"))[1:]], must=False),
        Case("number beyond all bounds", lambda f: (f / frame).rename(f / f"{prefix}{10**14}.tif")),
        Case("unicode and spaces", lambda f: (f / "Übersicht μ.txt").write_text("fine"), must=False),
    ]


IMAGE_CASES = [
    *(Case(name, put("t002.tif", content)) for name, content in (BAD_FRAMES | BAD_IMAGES).items()),
    *(
        Case(name, put("t002.tif", content), must=False)
        for name, content in (ODD_IMAGES | ODD_SHAPES | HURT_FRAMES).items()
    ),
    *folder_cases("t"),
]
MASK_CASES = [
    *(Case(name, put("mask002.tif", content)) for name, content in (BAD_FRAMES | ODD_SHAPES | BAD_MASKS).items()),
    *(Case(name, put("mask002.tif", content), must=False) for name, content in (ODD_MASKS | HURT_FRAMES).items()),
    *folder_cases("mask"),
]


def by_name(cases: list[Case]) -> pytest.MarkDecorator:
    """One test per case; only every fifth is run by ``make test``, all of them by ``make test-all``."""
    marked = [
        pytest.param(case, id=case.name, marks=[] if i % 5 == 0 else pytest.mark.slow) for i, case in enumerate(cases)
    ]
    return pytest.mark.parametrize("case", marked)


@by_name(IMAGE_CASES)
def test_images(case: Case, place: Path, try_commands: Callable) -> None:
    images = place / "01"
    case.breaks(images)
    try_commands(
        [
            ["segment", images, "--model", "sim-fluo", "--out", "OUT"],
            ["render", place / "01_RES", "--images", images, "--out", "OUT"],
            ["measure", place / "01_RES", "--images", images, "--out", "OUT.csv"],
            ["train", place, "--sequence", "01", "--truth", "GT", "--steps", "1", "--out", "OUT.safetensors"],
        ],
        case.must,
    )
    try_commands(
        [
            ["check", images],
            ["track", place / "01_RES", "--images", images, "--out", "OUT"],
        ],
        False,
    )


@by_name(MASK_CASES)
def test_masks(case: Case, place: Path, try_commands: Callable) -> None:
    masks = place / "01_RES"
    case.breaks(masks)
    (place / "01_RES" / "res_track.txt").unlink(missing_ok=True) if masks.is_dir() else None
    try_commands([["track", masks, "--out", "OUT"]], case.must)
    try_commands(
        [
            ["check", masks],
            ["evaluate", place / "01_GT", masks],
            ["convert", masks, "OUT.csv"],
            ["render", masks, "--out", "OUT"],
        ],
        False,
    )


def in_truth(case: Case) -> Case:
    """The same, with the names of the truth."""

    def breaks(folder: Path) -> None:
        case.breaks(folder)
        for path in folder.glob("mask*") if folder.is_dir() else ():
            path.rename(folder / path.name.replace("mask", "man_track"))

    return Case(case.name, breaks, must=False)


def judges(place: Path) -> list[list[object]]:
    """The commands that judge by the truth, or learn costs from it."""
    return [
        ["evaluate", place / "01_GT", place / "01_RES"],
        ["compare", place, f"a={place / '01_RES'}", f"b={place / '01_RES'}", "--draws", "100", "--out", "OUT"],
        ["fit", place, "--out", "OUT.json"],
    ]


def break_truth(case: Case, place: Path) -> None:
    """Break the truth, markers and full masks alike."""
    tra, seg = place / "01_GT" / "TRA", place / "01_GT" / "SEG"
    for path in tra.glob("man_track*.tif"):
        path.rename(tra / path.name.replace("man_track", "mask"))
    case.breaks(tra)
    if (tra / "man_track002.tif").is_file():
        for path in seg.glob("man_seg002*"):
            shutil.copy(tra / "man_track002.tif", path)


@by_name([in_truth(case) for case in MASK_CASES])
def test_truth(case: Case, place: Path, try_commands: Callable) -> None:
    break_truth(case, place)
    try_commands(judges(place), False)


@pytest.mark.slow
@by_name([in_truth(case) for case in MASK_CASES])
def test_truth_that_is_learned_from(case: Case, place: Path, try_commands: Callable) -> None:
    break_truth(case, place)
    try_commands(
        [
            ["tune", "tracking", place, "--trials", "1", "--out", "OUT.toml"],
            ["train", place, "--sequence", "01", "--truth", "GT", "--steps", "1", "--out", "OUT.safetensors"],
        ],
        False,
    )


# --- track files ----------------------------------------------------------------------------------

LABEL, BEGIN, END, PARENT = MOVIE.tracks.rows().tolist()[0]
BAD_TRACKS: dict[str, bytes] = {
    "five columns": TRACKS.replace("\n", " 0\n").encode(),
    "three columns": b"1 0 4\n",
    "words": b"label begin end parent\n" + TRACKS.encode(),
    "commas": TRACKS.replace(" ", ",").encode(),
    "fractions": TRACKS.replace(" 0\n", " 0.0\n").encode(),
    "binary": bytes(range(128, 256)),
    "utf-16": TRACKS.encode("utf-16"),
    "null bytes": TRACKS.encode() + b"\0" * 20,
    "label 0": f"0 0 4 0\n{TRACKS}".encode(),
    "negative label": f"-3 0 4 0\n{TRACKS}".encode(),
    "label twice": (TRACKS + TRACKS.splitlines()[0]).encode(),
    "negative frame": f"900 -4 2 0\n{TRACKS}".encode(),
    "end before begin": f"900 4 2 0\n{TRACKS}".encode(),
    "own parent": f"900 0 2 900\n{TRACKS}".encode(),
    "unknown parent": f"900 3 4 899\n{TRACKS}".encode(),
    "parent too late": f"900 0 4 {LABEL}\n{TRACKS}".encode(),
    "cycle": b"1 0 1 3\n2 2 3 1\n3 4 4 2\n",
    "label not in the masks": f"900 0 4 0\n{TRACKS}".encode(),
    "track not listed": "".join(TRACKS.splitlines(keepends=True)[1:]).encode(),
    "beyond the movie": f"{LABEL} {BEGIN} 99999999999 0\n".encode(),
    "20 digits": f"{10**20} 0 4 0\n".encode(),
    "10,000 digits": b"9" * 10_000 + b" 0 4 0\n",
    "empty": b"",
}
FINE_TRACKS: dict[str, bytes] = {
    "windows line ends": TRACKS.replace("\n", "\r\n").encode(),
    "old mac line ends": TRACKS.replace("\n", "\r").encode(),
    "tabs": TRACKS.replace(" ", "\t").encode(),
    "byte-order mark": b"\xef\xbb\xbf" + TRACKS.encode(),
    "empty lines": TRACKS.replace("\n", "\n\n").encode(),
    "no last line end": TRACKS.rstrip().encode(),
}
TRACK_CASES = [
    *(Case(name, put("res_track.txt", content)) for name, content in BAD_TRACKS.items()),
    Case("a folder", replaced("res_track.txt", Path.mkdir)),
]


def test_a_missing_track_file(place: Path, try_commands: Callable) -> None:
    """The labels may be tracks of themselves: ``convert`` says that it takes them for that; nobody else does."""
    result = place / "01_RES"
    (result / "res_track.txt").unlink()
    try_commands([["render", result, "--out", "OUT"], ["measure", result, "--out", "OUT.csv"]], True)
    try_commands([["convert", result, "OUT.csv"], ["check", result], ["evaluate", place / "01_GT", result]], False)


@by_name(TRACK_CASES)
def test_track_files(case: Case, place: Path, try_commands: Callable) -> None:
    result = place / "01_RES"
    case.breaks(result)
    try_commands(
        [["convert", result, "OUT.csv"], ["render", result, "--out", "OUT"], ["measure", result, "--out", "OUT.csv"]],
        True,
    )
    try_commands([["check", result], ["evaluate", place / "01_GT", result]], False)
    from celltrail.data.formats.napari_reader import find_reader, read_layers

    if find_reader(str(result)) is not None:
        with pytest.raises(InputError):
            read_layers(str(result))


@by_name([Case(name, put("man_track.txt", content), must=False) for name, content in BAD_TRACKS.items()])
def test_track_files_of_the_truth(case: Case, place: Path, try_commands: Callable) -> None:
    case.breaks(place / "01_GT" / "TRA")
    try_commands(judges(place), False)


@by_name([Case(name, put("res_track.txt", content), must=False) for name, content in FINE_TRACKS.items()])
def test_track_files_that_editors_have_touched(case: Case, place: Path, tmp_path: Path) -> None:
    from celltrail.cli import app

    case.breaks(place / "01_RES")
    assert console.run(app, ["check", str(place / "01_RES")]) == 0
    assert console.run(app, ["convert", str(place / "01_RES"), str(tmp_path / "a.csv")]) == 0


# --- tables, XML, GEFF, Zarr ----------------------------------------------------------------------

HEAD = "track_id,t,z,y,x,parent_track_id\n"
READ = {"semicolons"}  # odd, but understood
TABLES: dict[str, bytes] = {
    "empty": b"",
    "only a line end": b"\n",
    "binary": bytes(range(256)) * 4,
    "utf-16": (HEAD + "1,0,0,5,5,-1\n").encode("utf-16"),
    "other columns": b"a,b\n1,2\n",
    "words": (HEAD + "one,0,0,5,5,-1\n").encode(),
    "a hole": (HEAD + "1,0,,5,5,-1\n").encode(),
    "nan": (HEAD + "1,0,0,nan,5,-1\n").encode(),
    "infinite": (HEAD + "1,0,0,inf,5,-1\n").encode(),
    "half frames": (HEAD + "1,0.5,0,5,5,-1\n").encode(),
    "negative frames": (HEAD + "1,-1,0,5,5,-1\n").encode(),
    "huge track": (HEAD + f"{10**30},0,0,5,5,-1\n").encode(),
    "two points": (HEAD + "1,0,0,5,5,-1\n1,0,0,6,6,-1\n").encode(),
    "unknown parent": (HEAD + "1,0,0,5,5,44\n").encode(),
    "cycle of parents": (HEAD + "1,0,0,5,5,2\n2,0,0,6,6,1\n").encode(),
    "semicolons": (HEAD + "1,0,0,5,5,-1\n").replace(",", ";").encode(),
    "ragged": (HEAD + "1,0,0,5,5,-1,7,7,7\n1,2\n").encode(),
    "open quote": (HEAD + '"1,0,0,5,5,-1\n').encode(),
    "300,000 columns": b"a," * 300_000 + b"\n",
    "null byte": (HEAD + "1,0,0,\0,5,-1\n").encode(),
    "a place beyond all measure": (HEAD + "1,0,0,1e200,5,-1\n").encode(),
    "a formula": (HEAD + "=cmd(),0,0,5,5,-1\n").encode(),
    "digits of another script": (HEAD + "١,٠,0,5,5,-1\n").encode(),
    "a million digits": (HEAD + f"1,0,0,{'9' * 1_000_000},5,-1\n").encode(),
    "trackmate without ids": b"POSITION_X,FRAME\n1,2\n",
    "trackmate in inches": b"ID,TRACK_ID,POSITION_X,POSITION_Y,POSITION_Z,FRAME\na,a,(inch),(inch),(inch),\n1,0,1,1,0,0\n",
}
XMLS: dict[str, bytes] = {
    "empty": b"",
    "text": b"not xml",
    "other root": b"<Fiji/>",
    "no model": b"<TrackMate version='7'/>",
    "cut": b"<TrackMate version='7'><Model><AllSpots>",
    "entities": b"<!DOCTYPE a [<!ENTITY b 'c'>]><TrackMate/>",
    "unknown encoding": b"<?xml version='1.0' encoding='klingon'?><TrackMate/>",
    "no spots": b"<TrackMate><Model><AllTracks/></Model></TrackMate>",
    "edge to nothing": b"<TrackMate><Model><AllSpots/><AllTracks><Track TRACK_ID='0'>"
    b"<Edge SPOT_SOURCE_ID='1' SPOT_TARGET_ID='2'/></Track></AllTracks></Model></TrackMate>",
    "edge without target": b"<TrackMate><Model><AllSpots/><AllTracks><Track TRACK_ID='0'>"
    b"<Edge SPOT_SOURCE_ID='1'/></Track></AllTracks></Model></TrackMate>",
    "very deep": b"<a>" * 5000,
    "an endless attribute": b"<TrackMate a='" + b"x" * 20_000_000,
}


@by_name(
    [Case(f"{name}.csv", put("a.csv", content), must=name not in READ) for name, content in TABLES.items()]
    + [Case(f"{name}.xml", put("a.xml", content)) for name, content in XMLS.items()]
)
def test_tables_and_xml(case: Case, place: Path, try_commands: Callable) -> None:
    case.breaks(place)
    source = place / f"a{case.name[-4:]}"
    try_commands(
        [["convert", source, "OUT.csv"], ["convert", source, "OUT.geff"], ["convert", source, "OUT"]], case.must
    )


def edited(file: str, **values: object) -> Callable[[Path], object]:
    """Change entries of a JSON file of metadata."""

    def breaks(folder: Path) -> None:
        path = folder / file
        content = json.loads(path.read_text())
        inner = content.get("geff", content)
        inner.update(values)
        path.write_text(json.dumps(content))

    return breaks


GEFF_CASES = [
    Case("no metadata", lambda g: (g / ".zattrs").unlink()),
    Case("metadata cut", lambda g: (g / ".zattrs").write_text('{"geff": {')),
    Case("metadata a list", lambda g: (g / ".zattrs").write_text("[]")),
    Case("undirected", edited(".zattrs", directed=False)),
    Case("no axes, but properties with their names", edited(".zattrs", axes=None), must=False),
    Case("time alone", edited(".zattrs", axes=[{"name": "t", "type": "time"}])),
    Case("axes without type", edited(".zattrs", axes=[{"name": "t"}, {"name": "y"}, {"name": "x"}]), must=False),
    Case("axis that is not there", edited(".zattrs", axes=[{"name": "q", "type": "time"}])),
    Case("future version", edited(".zattrs", geff_version="99.0"), must=False),
    Case("no nodes", lambda g: shutil.rmtree(g / "nodes" / "ids")),
    Case("no edges", lambda g: shutil.rmtree(g / "edges")),
    Case("fewer values than nodes", edited("nodes/props/t/values/.zarray", shape=[1], chunks=[1])),
    Case("pickles", edited("nodes/props/t/values/.zarray", filters=[{"id": "pickle", "protocol": 4}])),
    Case("damaged chunk", lambda g: (g / "nodes" / "props" / "t" / "values" / "0").write_bytes(b"nonsense")),
    Case("unknown type", edited("nodes/ids/.zarray", dtype="|O")),
]


@by_name(GEFF_CASES)
def test_geff(case: Case, place: Path, try_commands: Callable) -> None:
    pytest.importorskip("geff")
    from celltrail.data.formats.convert import convert_movie

    convert_movie(place / "01_RES", place / "a.geff")
    case.breaks(place / "a.geff")
    try_commands([["convert", place / "a.geff", "OUT.csv"], ["convert", place / "a.geff", "OUT"]], case.must)


ZARR_CASES = [
    Case("no metadata", lambda z: (z / ".zarray").unlink()),
    Case("metadata cut", lambda z: (z / ".zarray").write_text('{"shape": [')),
    Case("bomb", edited(".zarray", shape=[5, 300_000, 300_000], chunks=[1, 300_000, 300_000])),
    Case("more frames than can be", edited(".zarray", shape=[2**62, 64, 56])),
    Case("negative shape", edited(".zarray", shape=[5, -64, 56])),
    Case("unknown codec", edited(".zarray", compressor={"id": "klingon"})),
    Case("pickles", edited(".zarray", filters=[{"id": "pickle", "protocol": 4}])),
    Case("damaged chunk", lambda z: (z / "2.0.0").write_bytes(b"nonsense")),
    Case("float", edited(".zarray", dtype="<f4")),
    Case("objects", edited(".zarray", dtype="|O")),
    Case("seven axes", edited(".zarray", shape=[5, 1, 1, 1, 1, 64, 56], chunks=[1, 1, 1, 1, 1, 64, 56])),
]


@by_name(ZARR_CASES)
def test_zarr(case: Case, place: Path, try_commands: Callable) -> None:
    zarr = pytest.importorskip("zarr")
    array = zarr.open_array(
        str(place / "a.zarr"), mode="w", shape=(5, 64, 56), chunks=(1, 64, 56), dtype="u2", zarr_format=2
    )
    array[...] = np.stack([MOVIE.masks[frame] for frame in range(5)])
    case.breaks(place / "a.zarr")
    try_commands([["track", place / "a.zarr", "--out", "OUT"]], True)
    try_commands([["check", place / "a.zarr"]], True)


# --- configuration, models, costs -----------------------------------------------------------------

CONFIGS: dict[str, bytes] = {
    "unknown key": b"max_gpa = 2\n",
    "not toml": b"max_gap: 2\n",
    "open string": b'costs = "learned\n',
    "word for a number": b'max_gap = "many"\n',
    "negative": b"max_gap = -2\n",
    "unknown choice": b'method = "magic"\n',
    "binary": bytes(range(128, 256)),
    "key twice": b"max_gap = 1\nmax_gap = 2\n",
    "a table": b"[max_gap]\na = 1\n",
}


@by_name(
    [Case(name, put("run.toml", content)) for name, content in CONFIGS.items()]
    + [Case("missing", nothing), Case("a folder", lambda f: (f / "run.toml").mkdir())]
)
def test_configurations(case: Case, place: Path, try_commands: Callable) -> None:
    case.breaks(place)
    try_commands([["track", place / "01_RES", "--out", "OUT", "--config", place / "run.toml"]], True)


class Marker:
    """Unpickling this would leave a file behind."""

    def __reduce__(self) -> tuple:
        return (os.mkdir, ("/tmp/celltrail-was-fooled",))


MODELS: dict[str, bytes] = {
    "empty": b"",
    "text": b"weights",
    "pickle": pickle.dumps(Marker()),
    "header too long": struct.pack("<Q", 2**60) + b"{}",
    "header no json": struct.pack("<Q", 8) + b"notjson!",
    "header a list": struct.pack("<Q", 2) + b"[]",
    "no tensors": struct.pack("<Q", 2) + b"{}",
    "no description": struct.pack("<Q", 60)
    + b'{"a": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}'[:60].ljust(60)
    + bytes(4),
    "tensor outside": struct.pack("<Q", 70)
    + b'{"a": {"dtype": "F32", "shape": [9999], "data_offsets": [0, 39996]}}'.ljust(70),
}


@by_name(
    [Case(name, put("a.safetensors", content)) for name, content in MODELS.items()]
    + [Case("missing", nothing), Case("a folder", lambda f: (f / "a.safetensors").mkdir())]
)
def test_models(case: Case, place: Path, try_commands: Callable) -> None:
    pytest.importorskip("torch")
    case.breaks(place)
    try_commands([["segment", place / "01", "--model", place / "a.safetensors", "--out", "OUT"]], True)
    assert not Path("/tmp/celltrail-was-fooled").exists()


COSTS: dict[str, bytes] = {
    "empty": b"",
    "text": b"cheap",
    "list": b"[]",
    "empty object": b"{}",
    "cut": b'{"schema": "celltrail.costs/1", ',
    "future schema": b'{"schema": "celltrail.costs/99"}',
    "nan": b'{"schema": "celltrail.costs/1", "coefficients": NaN}',
    "binary": bytes(range(128, 256)),
}


@by_name(
    [Case(name, put("costs.json", content)) for name, content in COSTS.items()]
    + [Case("missing", nothing), Case("a folder", lambda f: (f / "costs.json").mkdir())]
)
def test_costs(case: Case, place: Path, try_commands: Callable) -> None:
    case.breaks(place)
    try_commands([["track", place / "01_RES", "--out", "OUT", "--costs", place / "costs.json"]], True)


# --- options --------------------------------------------------------------------------------------

OPTIONS: dict[str, list[str]] = {
    "frames no range": ["track", "RES", "--out", "OUT", "--frames", "5"],
    "frames backwards": ["track", "RES", "--out", "OUT", "--frames", "4:1"],
    "frames beyond": ["track", "RES", "--out", "OUT", "--frames", "50:60"],
    "negative gap": ["track", "RES", "--out", "OUT", "--max-gap", "-1"],
    "unknown method": ["track", "RES", "--out", "OUT", "--method", "magic"],
    "unknown solver": ["track", "RES", "--out", "OUT", "--solver", "magic"],
    "unknown solver of pulp": ["track", "RES", "--out", "OUT", "--solver", "pulp:MAGIC"],
    "unknown costs": ["track", "RES", "--out", "OUT", "--costs", "magic"],
    "voxel of nothing": ["track", "RES", "--out", "OUT", "--voxel", "0", "0"],
    "output is the input": ["track", "RES", "--out", "RES", "--overwrite"],
    "output is the place where one works": ["track", "RES", "--out", "."],
    "output is nothing": ["track", "RES", "--out", ""],
    "output is the root": ["track", "RES", "--out", "/", "--overwrite"],
    "output with a null byte": ["track", "RES", "--out", "OUT\0"],
    "pins with a null byte": ["track", "RES", "--pins", "SET/a\0b", "--out", "OUT"],
    "output is the input by another name": ["track", "SET/01", "--out", "SET/01_GT/../01/", "--overwrite"],
    "output inside a device": ["track", "RES", "--out", "/dev/null"],
    "output holds the input": ["track", "RES", "--out", "SET", "--overwrite"],
    "output inside a file": ["track", "RES", "--out", "SET/01/t000.tif/OUT"],
    "segment frames beyond": ["segment", "SET/01", "--model", "sim-fluo", "--out", "OUT", "--frames", "50:60"],
    "segment channel": ["segment", "SET/01", "--model", "sim-fluo", "--out", "OUT", "--channel", "3"],
    "segment onto the images": ["segment", "SET/01", "--model", "sim-fluo", "--out", "SET/01", "--overwrite"],
    "unknown model": ["segment", "SET/01", "--model", "magic", "--out", "OUT"],
    "evaluate nothing": ["evaluate", "SET/nowhere"],
    "evaluate without result": ["evaluate", "SET/01_GT", "SET/nowhere"],
    "simulate no frames": ["simulate", "OUT", "--frames", "0"],
    "simulate too many cells": ["simulate", "OUT", "--cells", "90000"],
    "simulate one axis": ["simulate", "OUT", "--size", "64"],
    "fit nothing": ["fit", "SET/nowhere", "--out", "OUT.json"],
    "train without truth": [
        "train",
        "SET",
        "--sequence",
        "01",
        "--truth",
        "ST",
        "--steps",
        "1",
        "--out",
        "OUT.safetensors",
    ],
    "train unknown sequence": [
        "train",
        "SET",
        "--sequence",
        "07",
        "--truth",
        "GT",
        "--steps",
        "1",
        "--out",
        "OUT.safetensors",
    ],
    "settings of no run": ["track", "--from", "SET/nowhere.json", "--out", "OUT"],
    "settings of a mask": ["track", "--from", "SET/01_RES/mask000.tif", "--out", "OUT"],
    "dask nowhere": ["track", "RES", "--out", "OUT", "--dask", "no address"],
    "no time": ["track", "RES", "--out", "OUT", "--time-limit", "-1"],
    "image axes of nothing": ["track", "RES", "--images", "SET/01", "--image-axes", "QQ", "--out", "OUT"],
    "pins nowhere": ["track", "RES", "--pins", "SET/nowhere.csv", "--out", "OUT"],
    "hypotheses that are not there": ["track", "RES", "--hypotheses", "--out", "OUT"],
    "negative field of interest": ["track", "RES", "--foi", "-1", "--out", "OUT"],
    "no workers": ["track", "RES", "--jobs", "0", "--out", "OUT"],
    "solve nothing": ["solve", "SET/nowhere.npz", "--out", "OUT"],
    "solve a table": ["solve", "SET/01_RES/res_track.txt", "--out", "OUT"],
    "why without a graph": ["why", "RES", "0", "1"],
    "why nothing": ["why", "SET/nowhere", "0", "1"],
    "compare without names": ["compare", "SET", "RES", "--out", "OUT"],
    "compare a name twice": ["compare", "SET", "a=RES", "a=RES", "--out", "OUT"],
    "compare nothing": ["compare", "SET", "a=SET/nowhere", "b=RES", "--out", "OUT"],
    "compare onto the data set": ["compare", "SET", "a=RES", "b=RES", "--out", "SET", "--overwrite"],
    "compare onto a result": ["compare", "SET", "a=RES", "b=RES", "--out", "RES", "--overwrite"],
    "fit onto the truth": ["fit", "SET", "--out", "SET/01_GT/TRA/man_track.txt", "--overwrite"],
    "compare with an unknown one": ["compare", "SET", "a=RES", "b=RES", "--baseline", "c", "--out", "OUT"],
    "compare beyond": ["compare", "SET", "a=RES", "b=RES", "--frames", "50:60", "--out", "OUT"],
    "measure frames beyond": ["measure", "RES", "--frames", "50:60", "--out", "OUT.csv"],
    "measure frames backwards": ["measure", "RES", "--frames", "4:1", "--out", "OUT.csv"],
    "measure no table": ["measure", "RES", "--out", "OUT.txt"],
    "measure images of another movie": ["measure", "RES", "--images", "SET/nowhere", "--out", "OUT.csv"],
    "measure channel": ["measure", "RES", "--images", "SET/01", "--channel", "3", "--out", "OUT.csv"],
    "render an ending": ["render", "RES", "--out", "OUT.xyz"],
    "render beyond": ["render", "RES", "--frames", "50:60", "--out", "OUT.gif"],
    "convert an ending": ["convert", "RES", "OUT.xyz"],
    "convert by unknown columns": ["convert", "RES", "OUT.csv", "--columns", "magic"],
    "convert nothing": ["convert", "SET/nowhere", "OUT.csv"],
    "convert images": ["convert", "SET/01", "OUT.csv"],
    "package of nothing": ["ctc-package", "SET/nowhere", "--model", "sim-fluo", "--out", "OUT"],
    "package of one movie": ["ctc-package", "SET/01", "--model", "sim-fluo", "--out", "OUT"],
    "package with no model": ["ctc-package", "SET", "--model", "magic", "--out", "OUT"],
    "package of an unknown sequence": ["ctc-package", "SET", "--model", "sim-fluo", "--sequence", "07", "--out", "OUT"],
    "package with no costs": [
        "ctc-package",
        "SET",
        "--model",
        "sim-fluo",
        "--costs",
        "SET/01/t000.tif",
        "--out",
        "OUT",
    ],
    "preview nothing": ["preview", "weights", "SET/nowhere", "--sequence", "01", "--out", "OUT.png"],
    "preview with no model": ["preview", "prediction", "SET/01", "--model", "magic", "--out", "OUT.png"],
    "segment with no cluster": ["segment", "SET/01", "--model", "sim-fluo", "--out", "OUT", "--dask", "no address"],
    "evaluate with no cluster": ["evaluate", "SET/01_GT", "RES", "--dask", "no address"],
    "train resumed from nothing": ["train", "SET", "--sequence", "01", "--resume", "--out", "OUT.safetensors"],
    "train a preset": ["train", "SET", "--sequence", "01", "--preset", "magic", "--out", "OUT.safetensors"],
    "train no epoch": ["train", "SET", "--sequence", "01", "--epoch", "0", "--out", "OUT.safetensors"],
    "train on a device": ["train", "SET", "--sequence", "01", "--device", "magic", "--out", "OUT.safetensors"],
    "train onto no model": ["train", "SET", "--sequence", "01", "--out", "OUT.txt"],
    "search without truth": ["tune", "segmentation", "SET/nowhere", "--sequence", "01", "--out", "OUT.safetensors"],
    "unknown option": ["track", "RES", "--out", "OUT", "--magic"],
    "unknown command": ["magic"],
    "no output": ["track", "RES"],
}


@by_name([Case(name, nothing) for name in OPTIONS])
def test_options(case: Case, place: Path, try_commands: Callable) -> None:
    words = [word.replace("SET", str(place)).replace("RES", str(place / "01_RES")) for word in OPTIONS[case.name]]
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    try_commands([words], True)
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before


def test_there_are_enough_of_them() -> None:
    inputs = [
        IMAGE_CASES,
        MASK_CASES,
        TRACK_CASES,
        TABLES,
        XMLS,
        GEFF_CASES,
        ZARR_CASES,
        CONFIGS,
        MODELS,
        COSTS,
        OPTIONS,
    ]
    assert sum(map(len, inputs)) > 300


def test_output_on_a_full_disk(place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A write that fails half way leaves nothing but a log, and the command says that the work failed."""
    from celltrail.cli import app

    written = []

    def full(path: Path, array: np.ndarray, **_: object) -> None:
        if len(written) == 3:
            raise OSError(28, "No space left on device")
        written.append(path)
        write_array(path, array)

    monkeypatch.setattr("celltrail.data.files.arrays.tiff.write_array", full)
    assert console.run(app, ["track", str(place / "01_RES"), "--out", str(tmp_path / "out")]) == 1
    assert written
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out.failed.log", "set"]
