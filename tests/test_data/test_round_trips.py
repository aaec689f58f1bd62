"""Every format into every other and back into the first: the same lineages, or exactly what the other cannot hold.

frame 0   1   2   3   4   5
      1───1─┬─2───2
            └─3       4───4        4 continues 3 after a gap, as its only child
          5───5
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.convert import convert_movie, read_points
from celltrail.data.formats.points import Points, joined_tracks, links_of, points_from_links, read_result

pytest.importorskip("geff")

ROWS = [(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 2, 1), (4, 4, 5, 3), (5, 1, 2, 0)]
VOXEL, INTERVAL = (2.0, 0.5, 0.25), 30.0


@dataclass(frozen=True)
class Format:
    """A name of a file, how ``convert`` is asked for it, and whether it keeps divisions and the scale."""

    file: str
    dialect: str = "intracktive"
    divisions: bool = True
    scale: bool = False


FORMATS = {
    "CTC": Format("RES"),
    "GEFF": Format("a.geff", scale=True),
    "GEFF with masks": Format("a.zarr", scale=True),
    "inTRACKtive": Format("intracktive.csv"),
    "btrack": Format("btrack.csv", "btrack"),
    "TrackMate tables": Format("trackmate.csv", "trackmate"),
    "napari": Format("napari.csv", "napari", divisions=False),
}


def write_ctc(folder: Path, ndim: int) -> Path:
    """The lineage of the drawing as masks: boxes of known places."""
    folder.mkdir(parents=True)
    frames = []
    for frame in range(6):
        labels = np.zeros((9, 40, 50)[3 - ndim :], np.uint16)
        for label, begin, end, _ in ROWS:
            if begin <= frame <= end:
                box = (slice(label, label + 3), slice(6 * label, 6 * label + 4), slice(5 * frame, 5 * frame + 7))
                labels[box[3 - ndim :]] = label
        frames.append((frame, labels))
    write_masks(folder, frames)
    write_track_file(folder / "res_track.txt", Tracks.from_rows(ROWS))
    return folder


def write_xml(path: Path, points: Points) -> Path:
    """The points as TrackMate saves them, in µm and seconds."""
    places = points.position * VOXEL
    spots = "".join(
        f'<SpotsInFrame frame="{frame}">'
        + "".join(
            f'<Spot ID="{row}" FRAME="{frame}" POSITION_X="{places[row, 2]}" POSITION_Y="{places[row, 1]}" '
            f'POSITION_Z="{places[row, 0]}" POSITION_T="{frame * INTERVAL}" RADIUS="1"/>'
            for row in np.flatnonzero(points.frame == frame)
        )
        + "</SpotsInFrame>"
        for frame in range(6)
    )
    joined = joined_tracks(points.tracks)
    roots = {label: points.tracks.roots()[label] for label in joined}
    edges: dict[int, str] = {}
    for source, target in links_of(points).tolist():
        root = roots[int(points.label[source])]
        edges[root] = edges.get(root, "") + f'<Edge SPOT_SOURCE_ID="{source}" SPOT_TARGET_ID="{target}"/>'
    tracks = "".join(f'<Track TRACK_ID="{root}">{text}</Track>' for root, text in edges.items())
    filtered = "".join(f'<TrackID TRACK_ID="{root}"/>' for root in edges)
    z, y, x = VOXEL
    path.write_text(
        f'<TrackMate version="7.11.1"><Model spatialunits="micron" timeunits="sec"><AllSpots>{spots}</AllSpots>'
        f"<AllTracks>{tracks}</AllTracks><FilteredTracks>{filtered}</FilteredTracks></Model><Settings>"
        f'<ImageData pixelwidth="{x}" pixelheight="{y}" voxeldepth="{z}" timeinterval="{INTERVAL}" nslices="9"/>'
        "</Settings></TrackMate>"
    )
    return path


def graph_of(points: Points, *, divisions: bool = True) -> tuple[set, set]:
    """Cells by frame and place, and the links between them; without divisions, those within a track."""
    if not divisions:
        joined = joined_tracks(points.tracks)
        of = np.array([joined[label] for label in points.label.tolist()])
        links = np.array([link for link in links_of(points).tolist() if of[link[0]] == of[link[1]]])
        points = points_from_links(points.frame, points.position, links, ndim=points.ndim)
    names = [(f, *np.round(p, 6)) for f, p in zip(points.frame.tolist(), points.position.tolist(), strict=True)]
    return set(names), {(names[a], names[b]) for a, b in links_of(points).tolist()}


@pytest.fixture(scope="module", params=[2, 3], ids=["2D", "3D"])
def written(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Points, Path]:
    """The points with their scale, and a folder that holds them in every format."""
    folder = tmp_path_factory.mktemp("formats")
    masks = write_ctc(folder / "RES", request.param)
    for form in FORMATS.values():
        if form.file != "RES":
            convert_movie(masks, folder / form.file, dialect=form.dialect, voxel=VOXEL, interval=INTERVAL)
    points = read_result(masks)
    write_xml(folder / "a.xml", points)
    size = VOXEL if request.param == 3 else (1.0, *VOXEL[1:])
    return replace(points, voxel=size, interval=INTERVAL), folder


@pytest.mark.parametrize(("first", "second"), list(itertools.product([*FORMATS, "TrackMate XML"], FORMATS)))
def test_there_and_back(written: tuple[Points, Path], first: str, second: str, tmp_path: Path) -> None:
    points, folder = written
    one, two = FORMATS.get(first, Format("a.xml", scale=True)), FORMATS[second]
    known = {"voxel": VOXEL, "interval": INTERVAL}  # what the user says where a format cannot
    masks = folder / "RES"
    convert_movie(folder / one.file, tmp_path / two.file, dialect=two.dialect, masks=masks, **known)
    there = read_points(tmp_path / two.file, **({} if two.scale else known))
    assert graph_of(there) == graph_of(points, divisions=one.divisions and two.divisions)
    assert (there.voxel, there.interval) in ((points.voxel, INTERVAL), (VOXEL, INTERVAL))
    if one.file != "a.xml":
        convert_movie(tmp_path / two.file, tmp_path / "back" / one.file, dialect=one.dialect, masks=masks, **known)
        back = read_points(tmp_path / "back" / one.file, **({} if one.scale else known))
        assert graph_of(back) == graph_of(points, divisions=one.divisions and two.divisions)


@pytest.mark.parametrize(("file", "dialect"), [(form.file, form.dialect) for form in FORMATS.values()])
def test_what_is_lost_is_said(file: str, dialect: str, tmp_path: Path) -> None:
    masks = write_ctc(tmp_path / "01_RES", 2)
    notes = " ".join(convert_movie(masks, tmp_path / file, dialect=dialect, voxel=VOXEL, interval=INTERVAL))
    assert ("masks" in notes) == (file not in ("RES", "a.zarr"))
    assert ("pixel" in notes) == (not file.startswith("a."))
    assert ("divisions" in notes) == (dialect == "napari")
