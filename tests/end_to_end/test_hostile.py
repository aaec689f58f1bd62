"""More than 200 hostile inputs, generated: special files, evil names, numbers that are none, broken graphs, deep texts.

Whatever the input: no traceback, exit code 0 or 2, one sentence after a refusal, no escape code on the screen, and
nothing written. Every fifth is run by ``make test``, all by ``make test-all``.
"""

from __future__ import annotations

import io
import json
import os
import shutil
import struct
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.formats.convert import convert_movie
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie
from celltrail.segmentation.net.checkpoint import find_model
from celltrail.tracking import track, write_result

pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="this system has no named pipes")
PINS = "kind,action,frame,label,frame2,label2,frame3,label3\n"
COMMANDS: dict[str, list[str]] = {
    "track": ["track", "S/01_GT/TRA", "--out", "OUT"],
    "track images": ["track", "S/01_GT/TRA", "--images", "S/01", "--out", "OUT"],
    "pins": ["track", "S/01_GT/TRA", "--pins", "S/pins.csv", "--out", "OUT"],
    "costs": ["track", "S/01_GT/TRA", "--costs", "S/costs.json", "--out", "OUT"],
    "config": ["track", "S/01_GT/TRA", "--config", "S/run.toml", "--out", "OUT"],
    "from": ["track", "--from", "S/01_RES/run.json", "--out", "OUT"],
    "convert": ["convert", "S/01_RES", "OUT.csv"],
    "table": ["convert", "S/a.csv", "OUT.geff"],
    "xml": ["convert", "S/a.xml", "OUT.csv"],
    "geff": ["convert", "S/a.geff", "OUT.csv"],
    "zarr": ["check", "S/a.zarr/segmentation"],
    "check": ["check", "S/01_RES"],
    "measure": ["measure", "S/01_RES", "--out", "OUT.csv"],
    "render": ["render", "S/01_RES", "--images", "S/01", "--frames", "0:1", "--out", "OUT"],
    "evaluate": ["evaluate", "S/01_GT", "S/01_RES"],
    "solve": ["solve", "S/01_RES/graph.npz", "--out", "OUT.npz"],
    "why": ["why", "S/01_RES", "1", "1"],
    "review": ["review", "S/01_RES", "--out", "OUT.csv"],
    "segment": ["segment", "S/01", "--model", "sim-fluo", "--config", "S/segment.toml", "--out", "OUT"],
    "model": ["segment", "S/01", "--model", "S/a.safetensors", "--out", "OUT"],
    "train": [
        "train",
        "S/",
        "--sequence",
        "01",
        "--truth",
        "GT",
        "--config",
        "S/train.toml",
        "--out",
        "OUT.safetensors",
    ],
    "compare": ["compare", "S/", "a=S/01_RES", "b=S/01_RES", "--config", "S/compare.toml", "--out", "OUT"],
    "fit": ["fit", "S/", "--out", "OUT.json"],
    "fit pins": ["fit", "--pins", "S/pins.csv", "--masks", "S/01_GT/TRA", "--out", "OUT.json"],
    "tune": ["tune", "tracking", "S/", "--config", "S/tune.toml", "--out", "OUT.toml"],
}


@dataclass(frozen=True)
class Case:
    """``breaks(folder)`` changes a sound data set; ``command`` reads it."""

    name: str
    command: str
    breaks: Callable[[Path], object]
    must: bool = False


def put(name: str, text: str | bytes) -> Callable[[Path], object]:
    content = text if isinstance(text, bytes) else text.encode()
    return lambda folder: (folder / name).write_bytes(content)


# --- special files ---------------------------------------------------------------------------------

READ = [
    *(("track", "01_GT/TRA/man_track002.tif"), ("track images", "01/t002.tif"), ("pins", "pins.csv")),
    *(
        ("costs", "costs.json"),
        ("config", "run.toml"),
        ("from", "01_RES/run.json"),
        ("convert", "01_RES/res_track.txt"),
    ),
    *(("convert", "01_RES/mask001.tif"), ("table", "a.csv"), ("xml", "a.xml"), ("geff", "a.geff/nodes/ids/.zarray")),
    *(("geff", "a.geff/nodes/ids/0"), ("zarr", "a.zarr/segmentation/1.0.0"), ("zarr", "a.zarr/segmentation/.zarray")),
    *(("check", "01_RES/mask003.tif"), ("measure", "01_RES/mask003.tif"), ("render", "01/t001.tif")),
    *(("evaluate", "01_GT/TRA/man_track.txt"), ("evaluate", "01_RES/mask000.tif"), ("solve", "01_RES/graph.npz")),
    *(("why", "01_RES/graph.npz"), ("review", "01_RES/graph.npz"), ("measure", "01_RES/res_track.txt")),
    *(("segment", "01/t002.tif"), ("segment", "segment.toml"), ("model", "a.safetensors"), ("train", "01/t001.tif")),
    *(("train", "01_GT/SEG/man_seg002.tif"), ("train", "train.toml"), ("compare", "01_GT/TRA/man_track.txt")),
    *(("compare", "01_RES/mask002.tif"), ("compare", "01_GT/SEG/man_seg001.tif"), ("compare", "compare.toml")),
    *(("fit", "01_GT/TRA/man_track002.tif"), ("fit", "01_GT/TRA/man_track.txt"), ("fit pins", "pins.csv")),
    *(("fit pins", "01_GT/TRA/man_track003.tif"), ("tune", "tune.toml"), ("tune", "01_GT/TRA/man_track.txt")),
]


def special(name: str, kind: str) -> Callable[[Path], object]:
    def breaks(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name) if kind == "pipe" else (folder / name).symlink_to(f"/dev/{kind}")

    return breaks


CASES = [
    Case(
        f"{kind} as {name} for {command}", command, special(name, kind), must=name.endswith(("2.tif", "s.csv", "toml"))
    )
    for command, name in READ
    for kind in ("pipe", "zero", "tty")
]

# --- numbers ---------------------------------------------------------------------------------------

NUMBERS = ("nan", "inf", "-inf", "1e300", "1e-320", "-1", "9" * 30, "9" * 5000)
CASES += [
    Case(f"{number[:9]} of {len(number)} in a {where}", command, put(file, text.replace("N", number)))
    for number in NUMBERS
    for where, command, file, text in [
        ("label of tracks", "convert", "01_RES/res_track.txt", "N 0 4 0\n"),
        ("frame of tracks", "measure", "01_RES/res_track.txt", "1 0 N 0\n"),
        ("parent of tracks", "evaluate", "01_RES/res_track.txt", "1 0 4 N\n"),
        ("frame of pins", "pins", "pins.csv", PINS + "detection,keep,N,1,,,,\n"),
        ("label of pins", "pins", "pins.csv", PINS + "link,forbid,0,N,1,1,,\n"),
        ("time of a table", "table", "a.csv", "track_id,t,y,x\n1,N,1,1\n"),
        ("place of a table", "table", "a.csv", "track_id,t,y,x\n1,0,N,1\n"),
        ("option of a file", "config", "run.toml", "appear = N\n"),
        ("text of a file", "config", "run.toml", 'voxel = "N N"\n'),
        ("cost file", "costs", "costs.json", '{"schema": "celltrail.costs/1", "links": {"intercept": N}}'),
        ("label of truth", "fit", "01_GT/TRA/man_track.txt", "N 0 4 0\n"),
        ("frame of truth", "compare", "01_GT/TRA/man_track.txt", "1 0 N 0\n"),
        ("label of a result", "compare", "01_RES/res_track.txt", "N 0 4 0\n"),
        ("corrections", "fit pins", "pins.csv", PINS + "link,keep,0,N,1,1,,\n"),
        ("training", "train", "train.toml", "steps = 1\nlearning-rate = N\n"),
        ("diameter", "segment", "segment.toml", "diameter = N\n"),
        ("search", "tune", "tune.toml", "trials = N\n"),
        ("run file", "from", "01_RES/run.json", '{"config": {"foi": N}, "inputs": {}, "versions": {}}'),
    ]
]

# --- graphs ----------------------------------------------------------------------------------------


def graph(key: str, change: Callable[[np.ndarray], object]) -> Callable[[Path], object]:
    def breaks(folder: Path) -> None:
        path = folder / "01_RES" / "graph.npz"
        with np.load(path) as stored:
            arrays = dict(stored)
        changed = change(arrays[key])
        arrays = {name: value for name, value in arrays.items() if name != key}
        if changed is not None:
            arrays[key] = np.asarray(changed)
        np.savez_compressed(path, **arrays)

    return breaks


def first(value: float) -> Callable[[np.ndarray], object]:
    def change(array: np.ndarray) -> np.ndarray:
        new = array.astype(np.float64) if not np.isfinite(value) else array.copy()
        new.ravel()[:1] = value
        return new

    return change


KEYS = (
    "detection.frame",
    "detection.label",
    "detection.position",
    "link.source",
    "link.cost",
    "detection_track",
    "confidence.link",
    "confidence.used",
)
CHANGES: dict[str, Callable[[np.ndarray], object]] = {
    "gone": lambda array: None,
    "short": lambda array: array[:-1],
    "square": lambda array: np.stack([array, array]),
    "text": lambda array: array.astype("U9"),
    "nan": first(np.nan),
    "infinite": first(np.inf),
    "negative": first(-7),
    "far": first(2**30),
    "complex": lambda array: array * 1j,
}
CASES += [
    Case(f"{key} {name} for {command}", command, graph(key, change))
    for key in KEYS
    for name, change in CHANGES.items()
    for command in (("solve", "review") if len(name) % 2 else ("why",))
]

# --- archives and models ---------------------------------------------------------------------------


def in_archive(change: Callable[[bytearray], object]) -> Callable[[Path], object]:
    """Change the bytes of ``graph.npz``."""

    def breaks(folder: Path) -> None:
        path = folder / "01_RES" / "graph.npz"
        content = bytearray(path.read_bytes())
        change(content)
        path.write_bytes(content)

    return breaks


def flag(offset: int, value: int) -> Callable[[bytearray], None]:
    """Set a byte in both headers of the first member of a ZIP."""

    def change(content: bytearray) -> None:
        content[content.find(b"PK\x01\x02") + offset + 2] = value
        content[content.find(b"PK\x03\x04") + offset] = value

    return change


def with_header(text: str) -> Callable[[Path], object]:
    """A graph whose first array has this header."""
    line = text.encode("latin1") + b"\n"

    def breaks(folder: Path) -> None:
        with zipfile.ZipFile(folder / "01_RES" / "graph.npz", "w") as archive:
            archive.writestr("schema.npy", b"\x93NUMPY\x01\x00" + struct.pack("<H", len(line)) + line + bytes(64))

    return breaks


def with_member(name: str) -> Callable[[Path], object]:
    """A graph with one more member: an array of three numbers."""

    def breaks(folder: Path) -> None:
        stream = io.BytesIO()
        np.save(stream, np.arange(3))
        with warnings.catch_warnings(), zipfile.ZipFile(folder / "01_RES" / "graph.npz", "a") as archive:
            warnings.simplefilter("ignore")
            archive.writestr(name, stream.getvalue())

    return breaks


HEADER = "{'descr': '<i8', 'fortran_order': False, 'shape': (%s,)}"
ARCHIVES = {
    "encrypted": in_archive(flag(6, 1)),
    "packed in an unknown way": in_archive(flag(8, 97)),
    "cut in two": in_archive(lambda content: content.__delitem__(slice(len(content) // 2, None))),
    "a name twice": with_member("link.cost.npy"),
    "a name that climbs": with_member("../../../../climbed.npy"),
    "an array of fewer than no items": with_header(HEADER % "-1"),
    "an array beyond all memory": with_header(HEADER % 2**70),
    "objects": with_header("{'descr': '|O', 'fortran_order': False, 'shape': (1,)}"),
    "code in place of a header": with_header("__import__('os').mkdir('ran')"),
}
CASES += [
    Case(f"archive with {name} for {command}", command, breaks, must="climbs" not in name)
    for name, breaks in ARCHIVES.items()
    for command in ("solve", "review")
]


def in_model(change: Callable[[dict[str, Any]], object]) -> Callable[[Path], object]:
    """Change the header of the model; bytes take its place."""

    def breaks(folder: Path) -> None:
        path = folder / "a.safetensors"
        content = path.read_bytes()
        length = struct.unpack("<Q", content[:8])[0]
        header = json.loads(content[8 : 8 + length])
        new = change(header)
        text = new if isinstance(new, bytes) else json.dumps(header).encode()
        path.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])

    return breaks


def tensor(key: str, value: object) -> Callable[[Path], object]:
    """Say something else of the first tensor."""
    return in_model(lambda header: next(one for name, one in header.items() if name[0] != "_").update({key: value}))


MODELS = {
    "an unknown type": tensor("dtype", "F99"),
    "backward offsets": tensor("data_offsets", [100, 0]),
    "far offsets": tensor("data_offsets", [0, 2**60]),
    "a negative shape": tensor("shape", [-1]),
    "a shape beyond all memory": tensor("shape", [2**40, 2**40]),
    "a shape of words": tensor("shape", ["a"]),
    "no description": in_model(lambda header: header.pop("__metadata__") and None),
    "a list as description": in_model(lambda header: header.update({"__metadata__": []})),
    "a text as description": in_model(lambda header: header.update({"__metadata__": {"celltrail": "\x1b[31m"}})),
    "a deep description": in_model(lambda header: header.update({"__metadata__": {"celltrail": "[" * 50_000}})),
    "a deep header": in_model(lambda header: b'{"a":' * 100_000),
    "zeros": in_model(lambda header: bytes(100)),
}
CASES += [Case(f"model with {name}", "model", breaks, must=True) for name, breaks in MODELS.items()]

# --- names -----------------------------------------------------------------------------------------

NAMES = {
    "newline": "a\nb",
    "escape code": "a\x1b[31mb\x1b]0;title\x07",
    "no UTF-8": os.fsdecode(b"a\xff\xfeb"),
    "200 letters": "a" * 200,
    "255 letters": "ä" * 127,
    "300 letters": "a" * 300,
    "markup": "[bold]a[red] :red[x]",
    "format": "%s{0}$HOME`x`",
    "right to left": "a\u202eb",
    "blanks": "  a  ",
    "dash": "-a",
}


def named(name: str, command: str) -> Case:
    return Case(f"name with {name} for {command}", f"{command}|{NAMES[name]}", lambda folder: None)


NAMED = ("track", "convert", "solve", "out", "missing", "segment", "train", "compare", "fit")
CASES += [named(name, command) for name in NAMES for command in NAMED]

# --- deep texts ------------------------------------------------------------------------------------

CASES += [
    Case(f"{kind} {depth} deep as {file}", command, put(file, text * depth), must=command != "check")
    for depth in (2_000, 200_000)
    for kind, text in (("lists", "["), ("objects", '{"a":'), ("tables", "a."))
    for command, file in (
        *(("config", "run.toml"), ("costs", "costs.json"), ("from", "01_RES/run.json")),
        *(("train", "train.toml"), ("segment", "segment.toml"), ("compare", "compare.toml"), ("tune", "tune.toml")),
    )
]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sound data set with a result, and the same in every format."""
    folder = tmp_path_factory.mktemp("sound") / "set"
    movie = simulate_movie(frames=5, cells=5, size=(64, 56), cycle=8, seed=1)
    write_movie(movie, folder)
    write_result(track(folder / "01_GT" / "TRA"), folder / "01_RES")
    for name in ("a.csv", "a.xml", "a.geff", "a.zarr"):
        convert_movie(folder / "01_RES", folder / name)
    (folder / "pins.csv").write_text(PINS)
    (folder / "run.toml").write_text("foi = 0\n")
    (folder / "train.toml").write_text("steps = 1\n")
    (folder / "segment.toml").write_text("threads = 1\n")
    (folder / "compare.toml").write_text("draws = 100\n")
    (folder / "tune.toml").write_text("trials = 1\n")
    shutil.copy(find_model("sim-fluo"), folder / "a.safetensors")
    shutil.copy(Path(celltrail.cli.__file__).parents[1] / "tracking" / "costs" / "learned.json", folder / "costs.json")
    return folder


def words_of(case: Case, place: Path, out: str) -> list[str]:
    """The command line; of an evil name, the data set or the result has it."""
    command, _, name = case.command.partition("|")
    if name and command != "out":
        new = place.with_name(name)
        if command != "missing" and len(os.fsencode(name)) < 256:
            place = place.rename(new)
        else:
            place = new
        command = "track" if command == "missing" else command
    elif name:
        command, out = "track", str(place.with_name(name))
    return [
        word.replace("S/", f"{place}/", 1) if "S/" in word[:4] else word.replace("OUT", out)
        for word in COMMANDS[command]
    ]


@pytest.mark.parametrize(
    "case",
    [pytest.param(case, id=case.name, marks=[] if i % 5 == 0 else pytest.mark.slow) for i, case in enumerate(CASES)],
)
def test_hostile(case: Case, sound: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    place = Path(shutil.copytree(sound, tmp_path / "set"))
    case.breaks(place)
    words = words_of(case, place, str(tmp_path / "out"))
    before = {path for path in tmp_path.iterdir()}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = console.run(celltrail.cli.app, words)
    printed, complaint = capfd.readouterr()
    told = f"{words}\n{printed}\n{complaint}"
    assert "Traceback" not in told, told
    assert "\x1b" not in told.partition("\n")[2].replace(repr(words), ""), told
    assert code == 2 if case.must else code in (0, 2), f"exit code {code}: {told}"
    new = {path for path in tmp_path.iterdir()} - before
    if code == 2:
        assert len((printed + complaint).strip()) > 20, told
        assert new == set(), told
    else:
        for path in new:
            for file in ("run.json", "run.log"):
                if (path / file).is_file():
                    (path / file).read_text(encoding="utf-8")
            if (path / "run.json").is_file():
                run = json.loads((path / "run.json").read_text(encoding="utf-8"))
                assert Path(
                    run["inputs"]["images" if words[0] == "segment" else "masks"]["path"]
                ).is_dir()  # the name came back, letter by letter


def test_there_are_enough_of_them() -> None:
    assert len({case.name for case in CASES}) == len(CASES) > 200
