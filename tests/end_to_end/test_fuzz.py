"""Readers against damaged files: whatever the bytes, a value or an ``InputError``, and no wasted memory.

Each reader gets sound files with random damage (bits flipped, parts cut, doubled, moved, replaced by
numbers at the edge of their types), and, for text, arbitrary text. ``make test-all`` looks much longer.
"""

from __future__ import annotations

import contextlib
import json
import resource
import shutil
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError

EDGES = [
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\xff\xff\xff\x7f",
    b"\0\0\0\x80",
    b"nan",
    b"-1",
    b"99999999999999999999",
    b"1e999",
    b"{}",
    b"[]",
    b"null",
    b'"',
    b"\n",
    b"\r",
    b"\xef\xbb\xbf",
    b"\xfe\xff",
    b",",
]


@dataclass(frozen=True)
class Reader:
    """A function that reads a file, and a function that writes a sound one."""

    name: str
    suffix: str
    write: Callable[[Path], object]
    read: Callable[[Path], object]


def track_file(path: Path) -> None:
    path.write_text("1 0 4 0\n2 5 9 1\n3 5 7 1\n4 8 9 3\n")


def tracks(path: Path) -> None:
    from celltrail.data.files.tracks import format_tracks, read_tracks

    table = read_tracks(path)
    table.roots(), table.problems(), format_tracks(table)


def tiff(**options: Any) -> Callable[[Path], object]:
    stack = (np.arange(3 * 24 * 20) % 7).astype(np.uint16).reshape(3, 24, 20)
    return lambda path: tifffile.imwrite(path, stack, photometric="minisblack", **options)


def frames(path: Path) -> None:
    from celltrail.data.files.opening import open_frames

    for kind in ("labels", "image"):
        movie = open_frames(path, kind)  # type: ignore[arg-type]
        for number in list(movie)[:3]:
            assert movie[number].shape == movie.shape


def problem_file(path: Path) -> None:
    from celltrail.data.graph.candidates import Candidates, Detections, Divisions, Links, save_graph

    ones = np.ones(3, dtype=np.int64)
    frame, label, first = np.array([0, 1, 1]), np.array([1, 1, 2]), np.zeros(1, dtype=np.int64)
    detections = Detections(frame, label, np.zeros((3, 3)), ones, ones * 0.5, ones, ones, ones, ones > 0, -ones, -ones)
    links = Links(first, first + 1, ones[:1], -ones[:1], {"distance": np.ones(1)})
    save_graph(path, Candidates(detections, links, Divisions(first, first + 1, first + 2, ones[:1], -ones[:1])))


def graph(path: Path) -> None:
    from celltrail.data.graph.candidates import load_graph

    load_graph(path)


def hypotheses_file(path: Path) -> None:
    from celltrail.data.files.hypotheses import from_labels, write_hypotheses

    labels = np.zeros((12, 12), np.uint16)
    labels[2:5, 2:6], labels[7:11, 3:9] = 1, 2
    write_hypotheses(path, from_labels(labels))


def hypotheses(path: Path) -> None:
    from celltrail.data.files.hypotheses import find_cliques, paint, read_hypotheses

    found = read_hypotheses(path)
    find_cliques(found), paint(found, range(len(found.score)))


def pin_file(path: Path) -> None:
    path.write_text(
        "kind,action,frame,label,frame2,label2,frame3,label3\nlink,keep,0,1,1,2,,\ndivision,forbid,3,1,4,2,4,3\n"
    )


def pins(path: Path) -> None:
    from celltrail.data.files.pins import read_pins

    [str(pin) for pin in read_pins(path)]


def cost_file(path: Path) -> None:
    import celltrail.tracking.costs.learned

    shutil.copy(Path(celltrail.tracking.costs.learned.__file__).with_name("learned.json"), path)


def costs(path: Path) -> None:
    from celltrail.tracking.costs.learned import load_costs

    load_costs(path)


def config(path: Path) -> None:
    import typer

    from celltrail.data.running import console

    app = typer.Typer()

    @app.command(cls=console.Command)
    def go(number: int = 1, text: str = "", size: str = "", yes: bool = False) -> None:
        """Take some options."""

    status = console.run(app, ["--config", str(path)])
    if status != 0:
        assert status == 2
        raise InputError("refused")


def table_file(path: Path) -> None:
    path.write_text(
        "track_id,t,z,y,x,parent_track_id,area\n1,0,0,5.5,6,-1,9\n1,1,0,6,7,-1,9\n2,2,0,6,7,1,9\n3,2,0,9,9,1,9\n"
    )


def spots_file(path: Path) -> None:
    path.write_text("ID,TRACK_ID,POSITION_X,POSITION_Y,POSITION_Z,FRAME,RADIUS\n7,0,1.5,2,0,0,3\n8,0,2.5,2,0,1,3\n")


def table(path: Path) -> None:
    from celltrail.data.formats.points import links_of
    from celltrail.data.formats.tables import read_table

    points = read_table(path)
    assert points.tracks.problems() == []
    links_of(points)


def xml_file(path: Path) -> None:
    path.write_text(
        '<TrackMate><Model spatialunits="micron" timeunits="sec"><AllSpots><SpotsInFrame frame="0">'
        '<Spot ID="1" FRAME="0" POSITION_X="1" POSITION_Y="2" POSITION_Z="0" RADIUS="2"/>'
        '<Spot ID="2" FRAME="1" POSITION_X="1" POSITION_Y="2" POSITION_Z="0" RADIUS="2"/></SpotsInFrame></AllSpots>'
        '<AllTracks><Track TRACK_ID="0"><Edge SPOT_SOURCE_ID="1" SPOT_TARGET_ID="2"/></Track></AllTracks></Model>'
        '<Settings><ImageData pixelwidth="0.5" pixelheight="0.5" voxeldepth="1" timeinterval="3"/></Settings></TrackMate>'
    )


def xml(path: Path) -> None:
    from celltrail.data.formats.trackmate.reading import read_trackmate

    read_trackmate(path)


def model_file(path: Path) -> None:
    torch = pytest.importorskip("torch")
    from celltrail.segmentation.net.checkpoint import save_tensors

    save_tensors(path, {"a": torch.zeros(4, 3), "b": torch.ones(2)}, {"schema": "celltrail.test/1"}, overwrite=True)


def model(path: Path) -> None:
    from celltrail.segmentation.net.checkpoint import load_tensors

    load_tensors(path, "celltrail.test/1")


READERS = [
    Reader("track file", ".txt", track_file, tracks),
    Reader("tiff", ".tif", tiff(), frames),
    Reader("tiff with zlib", ".tif", tiff(compression="zlib"), frames),
    Reader("tiff with lzw", ".tif", tiff(compression="lzw", tile=(16, 16)), frames),
    Reader("bigtiff", ".tif", tiff(bigtiff=True), frames),
    Reader("imagej", ".tif", tiff(imagej=True, metadata={"axes": "TYX"}), frames),
    Reader("ome-tiff", ".ome.tif", tiff(metadata={"axes": "TYX", "PhysicalSizeX": 0.5}), frames),
    Reader("graph", ".npz", problem_file, graph),
    Reader("hypotheses", ".npz", hypotheses_file, hypotheses),
    Reader("pins", ".csv", pin_file, pins),
    Reader("costs", ".json", cost_file, costs),
    Reader(
        "configuration", ".toml", lambda p: p.write_text('number = 3\ntext = "a"\nsize = [2, 3]\nyes = true\n'), config
    ),
    Reader("table", ".csv", table_file, table),
    Reader("spots", ".csv", spots_file, table),
    Reader("trackmate", ".xml", xml_file, xml),
    Reader("model", ".safetensors", model_file, model),
]


@st.composite
def damage(draw: st.DrawFn) -> Callable[[bytes], bytes]:
    """A few changes, at places given as shares of the length."""
    share = st.floats(0, 1, exclude_max=True)
    kinds = st.sampled_from(["flip", "byte", "cut", "drop", "double", "edge"])
    steps = draw(st.lists(st.tuples(kinds, share, share, st.integers(0, 255)), min_size=1, max_size=4))

    def apply(content: bytes) -> bytes:
        for kind, first, second, number in steps:
            a, b = sorted((int(first * len(content)), int(second * len(content))))
            if kind == "flip" and content:
                content = content[:a] + bytes([content[a] ^ (1 << number % 8)]) + content[a + 1 :]
            elif kind == "byte":
                content = content[:a] + bytes([number]) + content[a + 1 :]
            elif kind == "cut":
                content = content[:b]
            elif kind == "drop":
                content = content[:a] + content[b:]
            elif kind == "double":
                content = content[:b] + content[a:b] + content[b:]
            else:
                edge = EDGES[number % len(EDGES)]
                content = content[:a] + edge + content[a + len(edge) :]
        return content

    return apply


@pytest.fixture(autouse=True)
def little_memory() -> Any:
    """No reader may need more than 3 GB more than is already taken, whatever a file claims."""
    old = resource.getrlimit(resource.RLIMIT_AS)
    taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + 3 * 2**30, old[1]))
    yield
    resource.setrlimit(resource.RLIMIT_AS, old)


def try_reader(reader: Reader, folder: Path, content: bytes) -> None:
    path = folder / f"damaged0{reader.suffix}"
    path.write_bytes(content)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with contextlib.suppress(InputError):
            reader.read(path)


def look(reader: Reader, folder: Path, examples: int) -> None:
    sound = folder / f"sound0{reader.suffix}"
    reader.write(sound)
    reader.read(sound)
    original = sound.read_bytes()

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
    @given(st.one_of(damage(), damage(), st.text(max_size=60), st.binary(max_size=60)))
    def one(change: Any) -> None:
        content = change.encode("utf-8", "surrogatepass") if isinstance(change, str) else change
        try_reader(reader, folder, content if isinstance(content, bytes) else change(original))

    one()


@pytest.mark.parametrize("reader", [pytest.param(reader, id=reader.name) for reader in READERS])
def test_damaged_files(reader: Reader, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    look(reader, tmp_path, 60)
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize("reader", [pytest.param(reader, id=reader.name) for reader in READERS])
def test_damaged_files_for_long(reader: Reader, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    look(reader, tmp_path, 400)
    assert "Traceback" not in capfd.readouterr().err


# --- JSON metadata of Zarr stores -----------------------------------------------------------------

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-(2**70), 2**70), st.floats(), st.text(max_size=8)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=5), inner, max_size=3)),
    max_leaves=6,
)


def places(value: Any, path: tuple = ()) -> list[tuple]:
    """The path to every entry of a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path] * bool(path) + [found for key, item in items for found in places(item, (*path, key))]


def check_store(folder: Path, files: list[str], read: Callable[[Path], object], examples: int) -> None:
    originals = {name: json.loads((folder / name).read_text()) for name in files}
    spots = [(name, path) for name, content in originals.items() for path in places(content)]

    @settings(
        max_examples=examples,
        deadline=None,
        database=None,
        derandomize=True,
        suppress_health_check=[HealthCheck.too_slow],
    )
    @given(st.sampled_from(spots), VALUES)
    def one(spot: tuple, value: Any) -> None:
        name, path = spot
        content = json.loads(json.dumps(originals[name]))
        inner = content
        for key in path[:-1]:
            inner = inner[key]
        inner[path[-1]] = value
        (folder / name).write_text(json.dumps(content))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with contextlib.suppress(InputError):
                read(folder)
        (folder / name).write_text(json.dumps(originals[name]))

    one()


@pytest.mark.parametrize("examples", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_metadata_of_geff(tmp_path: Path, examples: int) -> None:
    pytest.importorskip("geff")
    from celltrail.data.formats.geff import read_geff, write_geff
    from celltrail.data.formats.tables import read_table

    table_file(tmp_path / "a.csv")
    write_geff(read_table(tmp_path / "a.csv"), tmp_path / "a.geff")
    folder = tmp_path / "a.geff"
    check_store(
        folder,
        [".zattrs", "nodes/ids/.zarray", "nodes/props/t/values/.zarray", "edges/ids/.zarray"],
        read_geff,
        examples,
    )


@pytest.mark.parametrize("examples", [40, pytest.param(300, marks=pytest.mark.slow)])
def test_metadata_of_ome_zarr(tmp_path: Path, examples: int) -> None:
    zarr = pytest.importorskip("zarr")
    group = zarr.open_group(str(tmp_path / "a.zarr"), mode="w", zarr_format=2)
    scale = [{"type": "scale", "scale": [1.0, 0.5, 0.5]}]
    axes = [{"name": "t", "type": "time", "unit": "second"}, *({"name": a, "type": "space"} for a in "yx")]
    group.attrs.update(
        {"multiscales": [{"axes": axes, "datasets": [{"path": "0", "coordinateTransformations": scale}]}]}
    )
    group.create_array("0", shape=(2, 8, 9), chunks=(1, 8, 9), dtype="u2")[...] = 1
    check_store(tmp_path / "a.zarr", [".zattrs", "0/.zarray"], frames, examples)
