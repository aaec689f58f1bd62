"""Every format into every other and back, and what each of them refuses."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from celltrail.data.errors import InputError
from celltrail.data.files.check import find_problems
from celltrail.data.files.ctc import write_masks, write_track_file
from celltrail.data.files.opening import open_labels
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.formats.convert import convert_movie, draw_discs, label_at, read_points
from celltrail.data.formats.points import Points, joined_tracks, links_of, points_from_links, read_result
from celltrail.data.formats.tables import read_table, write_table
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie

#  frame 0   1   2   3   4   5   6
#        1───1─┬─2───2
#              └─3       4───4         4 continues 3 after a gap; it is its only child
#            5───5
ROWS = [(1, 0, 1, 0), (2, 2, 3, 1), (3, 2, 2, 1), (4, 4, 5, 3), (5, 1, 2, 0)]


def small_points(ndim: int = 2) -> Points:
    frame, label = [], []
    for name, begin, end, _ in ROWS:
        frame += range(begin, end + 1)
        label += [name] * (end - begin + 1)
    rows = np.lexsort((label, frame))
    frames, labels = np.array(frame)[rows], np.array(label)[rows]
    position = np.stack([labels * 2.5 * (ndim == 3), 10.0 * labels + 0.125, 7.25 + 10.0 * frames], axis=1)
    return Points(frames, labels, position, 20.0 + labels, Tracks.from_rows(ROWS), ndim)


def assert_same(a: Points, b: Points, *, labels: bool = True) -> None:
    assert (a.ndim, a.voxel, a.interval) == (b.ndim, b.voxel, b.interval)
    if not labels:  # The same lineages under other names: compare by what each point descends from.
        assert graph_of(a) == graph_of(b)
        return
    np.testing.assert_array_equal(a.frame, b.frame)
    np.testing.assert_array_equal(a.label, b.label)
    np.testing.assert_allclose(a.position, b.position, rtol=0, atol=1e-9)
    np.testing.assert_allclose(a.area, b.area)
    assert sorted(a.tracks.rows().tolist()) == sorted(b.tracks.rows().tolist())


def graph_of(points: Points) -> tuple[set, set]:
    names = [(f, *np.round(p, 6)) for f, p in zip(points.frame.tolist(), points.position.tolist(), strict=True)]
    return set(names), {(names[a], names[b]) for a, b in links_of(points).tolist()}


@pytest.fixture
def result(tmp_path: Path) -> Path:
    movie = simulate_movie(frames=10, cells=8, size=(80, 72), cycle=12, seed=11)
    assert movie.tracks.divisions()
    folder = tmp_path / "01_RES"
    folder.mkdir()
    write_masks(folder, movie.masks.items())
    write_track_file(folder / "res_track.txt", movie.tracks)
    return folder


def test_points_of_a_result(result: Path) -> None:
    points = read_result(result)
    row = 5
    mask = open_labels(result)[int(points.frame[row])] == points.label[row]
    assert points.area[row] == mask.sum()
    np.testing.assert_allclose(points.position[row], [0, *np.argwhere(mask).mean(axis=0)])
    links = links_of(points)
    tracks = points.tracks
    assert len(links) == len(points) - (tracks.parent == 0).sum()
    assert (points.frame[links[:, 1]] > points.frame[links[:, 0]]).all()


def test_a_result_that_contradicts_itself_is_refused(result: Path) -> None:
    text = (result / "res_track.txt").read_text()
    (result / "res_track.txt").write_text(text + "900 3 4 0\n")
    with pytest.raises(InputError, match="label 900 is missing from the masks in frame 3"):
        read_result(result)
    (result / "res_track.txt").write_text("\n".join(text.splitlines()[1:]))
    with pytest.raises(InputError, match="has no track"):
        read_result(result)
    (result / "res_track.txt").unlink()
    with pytest.raises(InputError, match="holds no track file"):
        read_result(result)


@pytest.mark.parametrize("ndim", [2, 3])
def test_a_graph_becomes_tracks_and_back(ndim: int) -> None:
    points = small_points(ndim)
    again = points_from_links(
        points.frame, points.position, links_of(points), area=points.area, names=[points.label], ndim=ndim
    )
    assert_same(points, again)
    bare = points_from_links(points.frame, points.position, links_of(points), ndim=ndim)
    assert_same(replace(points, area=bare.area), bare, labels=False)
    assert bare.tracks.label.tolist() == [1, 2, 3, 4, 5]
    assert bare.tracks.problems() == []


def test_only_children_are_joined_to_their_parents() -> None:
    assert joined_tracks(Tracks.from_rows(ROWS)) == {1: 1, 2: 2, 3: 3, 4: 3, 5: 5}


@settings(deadline=None)
@given(st.data())
def test_any_forest_of_links_is_a_valid_table(data: st.DataObject) -> None:
    frame = np.array(data.draw(st.lists(st.integers(0, 6), min_size=1, max_size=20)))
    links = []
    for target in range(len(frame)):
        earlier = np.flatnonzero(frame < frame[target]).tolist()
        source = data.draw(st.sampled_from([None, *earlier]))
        if source is not None:
            links.append((source, target))
    position = np.stack([np.zeros(len(frame)), np.arange(len(frame)), frame], axis=1)
    points = points_from_links(frame, position, links or np.zeros((0, 2)), ndim=2)
    assert points.tracks.problems() == []
    place = {tuple(p): i for i, p in enumerate(position.tolist())}
    rows = [place[tuple(p)] for p in points.position.tolist()]
    assert sorted((rows[a], rows[b]) for a, b in links_of(points).tolist()) == sorted(links)


@pytest.mark.parametrize(
    ("links", "message"),
    [([(0, 1)], "links two cells of frame 0"), ([(0, 2), (1, 2)], "lets cells merge, first in frame 1")],
)
def test_what_is_no_lineage(links: list[tuple[int, int]], message: str) -> None:
    with pytest.raises(InputError, match=message):
        points_from_links(np.array([0, 0, 1]), np.eye(3), links, ndim=2)


# --- tables ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("ndim", [2, 3])
@pytest.mark.parametrize("dialect", ["intracktive", "btrack"])
def test_a_table_is_read_back_as_it_was(tmp_path: Path, dialect: str, ndim: int) -> None:
    points = small_points(ndim)
    write_table(points, tmp_path / "a.csv", dialect)
    assert_same(points, read_table(tmp_path / "a.csv"))


def test_columns_are_those_of_the_programs(tmp_path: Path) -> None:
    points = small_points()
    for dialect in ("intracktive", "napari", "btrack", "trackmate"):
        write_table(points, tmp_path / f"{dialect}.csv", dialect)
    table = pd.read_csv(tmp_path / "intracktive.csv")
    assert {"track_id", "t", "z", "y", "x", "parent_track_id"} <= set(table.columns)
    assert table.groupby("track_id")["parent_track_id"].first().to_dict() == {1: -1, 2: 1, 3: 1, 5: -1}
    assert table.loc[table.track_id == 3, "t"].tolist() == [2, 4, 5]
    assert list(pd.read_csv(tmp_path / "napari.csv").columns) == ["track_id", "t", "y", "x"]
    table = pd.read_csv(tmp_path / "btrack.csv")
    assert table.groupby("ID")[["parent", "root", "generation"]].first().to_numpy().tolist() == [
        [1, 1, 0],
        [1, 1, 1],
        [1, 1, 1],
        [5, 5, 0],
    ]
    spots = (tmp_path / "trackmate.csv").read_text().splitlines()
    assert spots[0] == "LABEL,ID,TRACK_ID,QUALITY,POSITION_X,POSITION_Y,POSITION_Z,POSITION_T,FRAME,RADIUS,VISIBILITY"
    assert "(pixel)" in spots[3]
    edges = pd.read_csv(tmp_path / "trackmate-edges.csv", skiprows=[1, 2, 3])
    assert edges[["SPOT_SOURCE_ID", "SPOT_TARGET_ID"]].to_numpy().tolist() == links_of(points).tolist()


@pytest.mark.parametrize("ndim", [2, 3])
def test_trackmate_tables_keep_lineages_and_scale(tmp_path: Path, ndim: int) -> None:
    points = replace(small_points(ndim), voxel=(2.0, 0.5, 0.5), interval=60.0)
    write_table(points, tmp_path / "a.csv", "trackmate")
    table = pd.read_csv(tmp_path / "a.csv", skiprows=[1, 2, 3])
    assert table["POSITION_X"].iloc[0] == points.position[0, 2] * 0.5
    assert table["POSITION_T"].max() == 300
    again = read_table(tmp_path / "a.csv", voxel=points.voxel, interval=60.0)
    assert_same(points, again, labels=False)
    assert sorted(again.area) == pytest.approx(sorted(points.area))
    with pytest.raises(InputError, match="say how large a pixel is with --voxel"):
        read_table(tmp_path / "a.csv")


def test_trackmates_own_names_of_its_two_tables(tmp_path: Path) -> None:
    write_table(small_points(), tmp_path / "a.csv", "trackmate")
    (tmp_path / "a.csv").rename(tmp_path / "movie_spots.csv")
    (tmp_path / "a-edges.csv").rename(tmp_path / "movie_edges.csv")
    assert_same(replace(small_points()), read_table(tmp_path / "movie_spots.csv"), labels=False)
    (tmp_path / "movie_edges.csv").unlink()
    with pytest.raises(InputError, match="has two spots in frame 2, so it divides"):
        read_table(tmp_path / "movie_spots.csv")


def test_spots_without_track_are_tracks_of_one_frame_and_chains_need_no_edges(tmp_path: Path) -> None:
    (tmp_path / "spots.csv").write_text(
        "ID,TRACK_ID,POSITION_X,POSITION_Y,POSITION_Z,FRAME\n7,0,1.5,2,0,0\n8,0,2.5,2,0,1\n9,,9,9,0,1\n"
    )
    points = read_table(tmp_path / "spots.csv")
    assert points.tracks.rows().tolist() == [[1, 0, 1, 0], [2, 1, 1, 0]]
    assert points.position.tolist() == [[0, 2, 1.5], [0, 2, 2.5], [0, 9, 9]]
    assert points.notes == (f"{tmp_path / 'spots.csv'}: 1 spot without a link is a track of one frame.",)
    assert np.isnan(points.area).all()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is not a table"),
        ("a,b\n1,2\n", "has the columns a, b, which are not known"),
        ("track_id,t,y,x\n1,0,5,oops\n", "line 2: x is 'oops', expected a number"),
        ("track_id,t,y,x\n1,0.5,5,5\n", "t is '0.5', expected a whole number"),
        ("track_id,t,y,x\n1,0,nan,5\n", "line 2: y is empty, expected a number"),
        ("track_id,t,y,x\n1,0,5,inf\n", "x is 'inf'"),
        ("track_id,t,y,x\n1,0,5,5\n1,0,6,6\n", "two points of track 1 in frame 0"),
        ("track_id,t,y,x,parent_track_id\n1,0,5,5,7\n", "names the parent 7, which has no points"),
        ("track_id,t,y,x,parent_track_id\n1,0,5,5,2\n2,0,5,5,1\n", "but its parent 2 has no point before it"),
        ("track_id,t,y,x\n1,-2,5,5\n", "frame numbers start at 0"),
        ("POSITION_X,FRAME\n1,2\n", "lacks the columns ID, TRACK_ID, POSITION_Y, POSITION_Z"),
    ],
)
def test_tables_that_are_wrong(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "a.csv")
    assert message in str(caught.value)


# --- GEFF -----------------------------------------------------------------------------------------


@pytest.fixture
def interop() -> None:
    pytest.importorskip("geff")


@pytest.mark.usefixtures("interop")
@pytest.mark.parametrize("ndim", [2, 3])
def test_geff_is_valid_and_read_back(tmp_path: Path, ndim: int) -> None:
    from geff.core_io import read_to_memory
    from geff.validate.graph import validate_no_repeated_edges, validate_no_self_edges, validate_nodes_for_edges
    from geff.validate.structure import validate_structure
    from geff.validate.tracks import validate_lineages, validate_tracklets

    from celltrail.data.formats.geff import read_geff, write_geff

    points = replace(small_points(ndim), voxel=(2.0, 0.5, 0.25), interval=90.0)
    write_geff(points, tmp_path / "a.geff")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        validate_structure(str(tmp_path / "a.geff"))
        graph = read_to_memory(str(tmp_path / "a.geff"))
    nodes, edges, props = graph["node_ids"], graph["edge_ids"], graph["node_props"]
    assert validate_nodes_for_edges(nodes, edges)[0]
    assert validate_no_self_edges(edges)[0]
    assert validate_no_repeated_edges(edges)[0]
    assert validate_tracklets(nodes, edges, props["track_id"]["values"]) == (True, [])
    assert validate_lineages(nodes, edges, props["lineage_id"]["values"]) == (True, [])
    axes = {axis.name: axis for axis in graph["metadata"].axes}
    assert list(axes) == ["t", *("z", "y", "x")[3 - ndim :]]
    assert (axes["y"].scale, axes["y"].scaled_unit, axes["t"].scale, axes["t"].scaled_unit) == (
        0.5,
        "micrometer",
        90.0,
        "second",
    )
    expected = points if ndim == 3 else replace(points, voxel=(1.0, 0.5, 0.25))
    assert_same(expected, read_geff(tmp_path / "a.geff"))


@pytest.mark.usefixtures("interop")
def test_traccuracy_reads_the_graph_and_its_masks(tmp_path: Path, result: Path) -> None:
    loaders = pytest.importorskip("traccuracy.loaders")
    assert convert_movie(result, tmp_path / "a.zarr") == []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        graph = loaders.load_geff_data(str(tmp_path / "a.zarr" / "tracks"), load_geff_seg=True)
    points = read_result(result)
    assert (graph.graph.number_of_nodes(), graph.graph.number_of_edges()) == (len(points), len(links_of(points)))
    masks = open_labels(result)
    np.testing.assert_array_equal(graph.segmentation[4], masks[4])


@pytest.mark.usefixtures("interop")
@pytest.mark.usefixtures("interop")
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_geff_without_axes_is_read_by_the_names_of_its_properties(tmp_path: Path) -> None:
    import geff
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    graph.add_node(4, frame=0, x=3.5, y=8.0)  # as laptrack writes it
    graph.add_node(7, frame=1, x=4.5, y=9.0)
    graph.add_edge(4, 7)
    geff.write(graph, tmp_path / "a.geff")
    points = read_points(tmp_path / "a.geff")
    assert points.frame.tolist() == [0, 1]
    assert points.position.tolist() == [[0, 8.0, 3.5], [0, 9.0, 4.5]]
    assert (points.ndim, len(points.tracks)) == (2, 1)
    for node in graph:
        del graph.nodes[node]["x"]
    geff.write(graph, tmp_path / "b.geff")
    with pytest.raises(InputError, match=r"b\.geff needs one axis of time and two or three of space"):
        read_points(tmp_path / "b.geff")


def test_a_geff_in_micrometres_and_without_labels(tmp_path: Path) -> None:
    import geff
    from geff.core_io import write_arrays
    from geff_spec import Axis

    from celltrail.data.formats.geff import read_geff

    axes = [
        Axis(name="time", type="time"),
        *(Axis(name=n, type="space", unit="micrometer") for n in ("pos_y", "pos_x")),
    ]
    columns = {"time": np.array([0.0, 1.0]), "pos_y": np.array([4.0, 5.0]), "pos_x": np.array([6.0, 7.0])}
    metadata = geff.GeffMetadata(directed=True, axes=axes, node_props_metadata={}, edge_props_metadata={})
    write_arrays(
        str(tmp_path / "a.geff"),
        np.array([5, 9], np.uint64),
        {name: {"values": values, "missing": None} for name, values in columns.items()},
        np.array([[5, 9]], np.uint64),
        {},
        metadata,
    )
    points = read_geff(tmp_path / "a.geff", voxel=(1.0, 0.5, 2.0))
    assert points.position.tolist() == [[0, 8, 3], [0, 10, 3.5]]
    assert points.tracks.rows().tolist() == [[1, 0, 1, 0]]


@pytest.mark.usefixtures("interop")
def test_a_damaged_geff_is_refused(tmp_path: Path) -> None:
    from celltrail.data.formats.geff import read_geff, write_geff

    write_geff(small_points(), tmp_path / "a.geff")
    (tmp_path / "a.geff" / ".zattrs").write_text('{"geff": {"geff_version": "1.2"}}')
    with pytest.raises(InputError, match="is not a valid GEFF"):
        read_geff(tmp_path / "a.geff")
    (tmp_path / "b.geff").mkdir()
    with pytest.raises(InputError, match="is not a GEFF"):
        read_geff(tmp_path / "b.geff")


# --- TrackMate XML --------------------------------------------------------------------------------

TRACKMATE = """<?xml version="1.0" encoding="UTF-8"?>
<TrackMate version="7.11.1">
  <Model spatialunits="{unit}" timeunits="sec">
    <AllSpots nspots="5">
      <SpotsInFrame frame="0">
        <Spot ID="40" name="ID40" FRAME="0" POSITION_X="5.0" POSITION_Y="10.0" POSITION_Z="0.0" POSITION_T="0.0" RADIUS="2.0" QUALITY="1.0" VISIBILITY="1" />
        <Spot ID="99" name="alone" FRAME="0" POSITION_X="1.0" POSITION_Y="1.0" POSITION_Z="0.0" POSITION_T="0.0" RADIUS="2.0" QUALITY="1.0" VISIBILITY="1" />
      </SpotsInFrame>
      <SpotsInFrame frame="1">
        <Spot ID="41" name="ID41" FRAME="1" POSITION_X="4.0" POSITION_Y="9.0" POSITION_Z="0.0" POSITION_T="30.0" RADIUS="1.0" QUALITY="1.0" VISIBILITY="1" />
        <Spot ID="42" name="ID42" FRAME="1" POSITION_X="6.0" POSITION_Y="11.0" POSITION_Z="0.0" POSITION_T="30.0" RADIUS="1.0" QUALITY="1.0" VISIBILITY="1" />
        <Spot ID="43" name="ID43" FRAME="1" POSITION_X="60.0" POSITION_Y="11.0" POSITION_Z="0.0" POSITION_T="30.0" RADIUS="1.0" QUALITY="1.0" VISIBILITY="1" />
      </SpotsInFrame>
      <SpotsInFrame frame="2">
        <Spot ID="44" name="ID44" FRAME="2" POSITION_X="61.0" POSITION_Y="11.0" POSITION_Z="0.0" POSITION_T="60.0" RADIUS="1.0" QUALITY="1.0" VISIBILITY="1" />
      </SpotsInFrame>
    </AllSpots>
    <AllTracks>
      <Track name="Track_0" TRACK_ID="0">
        <Edge SPOT_SOURCE_ID="40" SPOT_TARGET_ID="41" LINK_COST="1.0" />
        <Edge SPOT_SOURCE_ID="42" SPOT_TARGET_ID="40" LINK_COST="1.0" />
      </Track>
      <Track name="Track_1" TRACK_ID="1">
        <Edge SPOT_SOURCE_ID="43" SPOT_TARGET_ID="44" LINK_COST="1.0" />
      </Track>
    </AllTracks>
    <FilteredTracks><TrackID TRACK_ID="0" /></FilteredTracks>
  </Model>
  <Settings>
    <ImageData filename="a.tif" folder="" width="64" height="64" nslices="1" nframes="3" pixelwidth="0.5" pixelheight="0.5" voxeldepth="1.0" timeinterval="30.0" />
  </Settings>
</TrackMate>
"""


def test_trackmate_xml(tmp_path: Path) -> None:
    (tmp_path / "a.xml").write_text(TRACKMATE.format(unit="micron"))
    points = read_points(tmp_path / "a.xml")
    assert points.tracks.rows().tolist() == [[1, 0, 0, 0], [2, 0, 0, 0], [3, 1, 1, 2], [4, 1, 1, 2]]
    assert points.position.tolist() == [[0, 2, 2], [0, 20, 10], [0, 18, 8], [0, 22, 12]]
    assert points.area == pytest.approx(np.pi * np.array([16, 16, 4, 4]))
    assert [note.split(": ")[1] for note in points.notes] == [
        "2 spots and 1 track are left out, because TrackMate's filters hide them.",
        "1 spot without a link is a track of one frame.",
    ]
    assert (points.ndim, points.voxel, points.interval) == (2, (1.0, 0.5, 0.5), 30.0)
    (tmp_path / "b.xml").write_text(TRACKMATE.format(unit="pixel").replace("0.5", "1"))
    assert (read_points(tmp_path / "b.xml").voxel, read_points(tmp_path / "b.xml").position[1, 2]) == (None, 5.0)


@pytest.mark.parametrize("rows", ["1,0,5,5\n", "1,0,5,5\n2,0,9,9\n3,4,9,9\n", ""])
def test_cells_without_a_link_are_written_as_trackmate_xml(rows: str, tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("track_id,t,y,x\n" + rows)
    convert_movie(tmp_path / "a.csv", tmp_path / "a.xml")
    assert (tmp_path / "a.xml").read_text().count("<Spot ") == len(rows.splitlines())
    if rows:
        assert_same(read_points(tmp_path / "a.xml"), read_points(tmp_path / "a.csv"), labels=False)


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda t: t[: len(t) // 2], "is not readable XML"),
        (lambda t: t.replace("TrackMate", "Track"), "is not a TrackMate file"),
        (lambda t: t.replace('POSITION_X="5.0"', 'POSITION_X="far"'), "a Spot has the POSITION_X 'far'"),
        (lambda t: t.replace('SPOT_SOURCE_ID="42"', 'SPOT_SOURCE_ID="777"'), "links the cell 777, which is not listed"),
        (lambda t: t.replace("<TrackMate", '<!DOCTYPE a [<!ENTITY b "c">]><TrackMate', 1), "declares entities"),
    ],
)
def test_trackmate_xml_that_is_wrong(tmp_path: Path, edit: Callable[[str], str], message: str) -> None:
    (tmp_path / "a.xml").write_text(edit(TRACKMATE.format(unit="micron")))
    with pytest.raises(InputError) as caught:
        read_points(tmp_path / "a.xml")
    assert message in str(caught.value)


# --- convert --------------------------------------------------------------------------------------


@pytest.mark.usefixtures("interop")
@pytest.mark.parametrize("middle", ["a.csv", "a.geff", "a.zarr", "a"])
def test_there_and_back(tmp_path: Path, result: Path, middle: str) -> None:
    convert_movie(result, tmp_path / middle)
    assert_same(read_result(result), read_points(tmp_path / middle))
    notes = convert_movie(tmp_path / middle, tmp_path / "back", masks=result)
    assert notes == []
    assert find_problems(tmp_path / "back") == []
    for file in sorted(result.iterdir()):
        assert (tmp_path / "back" / file.name).read_bytes() == file.read_bytes()


def test_without_masks_discs_are_drawn_and_said(tmp_path: Path, result: Path) -> None:
    notes = convert_movie(result, tmp_path / "a.csv")
    assert "holds no masks" in notes[0]
    notes = convert_movie(tmp_path / "a.csv", tmp_path / "back")
    assert "every cell is a disc" in notes[0]
    assert find_problems(tmp_path / "back") == []
    assert read_tracks(tmp_path / "back" / "res_track.txt") == read_tracks(result / "res_track.txt")
    np.testing.assert_allclose(read_result(tmp_path / "back").area, read_result(result).area, rtol=0.5)


def test_discs_do_not_swallow_each_other() -> None:
    position = np.array([[0, 10, 10], [0, 10, 11.2], [0, 30, 5.0]])
    points = points_from_links(np.zeros(3, int), position, np.zeros((0, 2)), ndim=2)
    discs = draw_discs(points, radius=4)[0]
    assert set(np.unique(discs)) == {0, 1, 2, 3}
    assert (discs[10, 10], discs[10, 11], discs[10, 7], discs[10, 14]) == (1, 2, 1, 2)
    assert (discs == 3).sum() == pytest.approx(np.pi * 16, rel=0.1)


@pytest.mark.parametrize(
    ("position", "message"),
    [
        ([[0, 5, 5], [0, 5.1, 5.1]], "holds two cells at once"),
        ([[0, -5, 5], [0, 5, 5]], "outside the image"),
        ([[0, 1e8, 5], [0, 5, 5]], "are the positions in pixels"),
    ],
)
def test_discs_that_cannot_be_drawn(position: list, message: str) -> None:
    points = points_from_links(np.zeros(2, int), np.array(position), np.zeros((0, 2)), ndim=2)
    with pytest.raises(InputError, match=message):
        draw_discs(points)


def test_a_point_finds_its_mask_even_beside_it() -> None:
    mask = np.zeros((20, 20), np.uint8)
    mask[5:8, 5:8] = 3
    assert label_at(mask, np.array([0, 6.0, 6.0])) == 3
    assert label_at(mask, np.array([0, 10.0, 6.0])) == 3
    assert label_at(mask, np.array([0, 13.0, 6.0])) == 0
    assert label_at(mask, np.array([0, 900.0, -900.0])) == 0


def test_masks_that_do_not_fit_the_points(tmp_path: Path, result: Path) -> None:
    convert_movie(result, tmp_path / "a.csv")
    other = tmp_path / "other"
    other.mkdir()
    write_masks(other, [(frame, np.zeros((80, 72), np.uint8)) for frame in range(9)])
    with pytest.raises(InputError, match="has no frame 9"):
        convert_movie(tmp_path / "a.csv", tmp_path / "back", masks=other)
    write_masks(other, [(9, np.zeros((80, 72), np.uint8))])
    with pytest.raises(InputError, match="has no mask at cell") as caught:
        convert_movie(tmp_path / "a.csv", tmp_path / "back", masks=other)
    assert len(caught.value.problems) > 3
    write_masks(other, [(frame, np.ones((80, 72), np.uint8)) for frame in range(10)])
    with pytest.raises(InputError, match="lie on one mask in frame 0"):
        convert_movie(tmp_path / "a.csv", tmp_path / "back", masks=other)
    assert not (tmp_path / "back").exists()


def test_the_command_and_its_refusals(tmp_path: Path, result: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import typer

    import celltrail.data.cli

    app = typer.Typer()
    celltrail.data.cli.add_commands(app)

    def run(*words: str) -> int:
        return console.run(app, ["convert", *words])

    out = str(tmp_path / "a.csv")
    assert run(str(result), out, "--columns", "trackmate", "--voxel", "0.5", "0.5", "--interval", "60") == 0
    assert "a.csv written" in capsys.readouterr().out
    assert run(out, str(tmp_path / "b.csv"), "--voxel", "0.5", "0.5") == 0
    for words, message in {
        (str(result), out): "exists already",
        (str(tmp_path / "nowhere"), str(tmp_path / "c.csv")): "does not exist",
        (str(result), str(tmp_path / "c.xlsx")): "the ending .xlsx, which is not written here",
        (str(result), str(result), "--overwrite"): "must not be replaced",
        (str(result / "res_track.txt"), str(tmp_path / "c.csv")): "the columns 1, 0, 8, 0.1, which are not known",
        (str(result), str(tmp_path / "c.csv"), "--voxel", "0", "1"): "--voxel 0 1",
    }.items():
        assert run(*words) == 2
        captured = capsys.readouterr()
        assert message in captured.err
        assert "Traceback" not in captured.err
    assert not (tmp_path / "c.csv").exists()
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith(".")) == []


@pytest.mark.usefixtures("interop")
def test_a_store_gives_its_masks_back(tmp_path: Path, result: Path) -> None:
    convert_movie(result, tmp_path / "a.zarr")
    assert convert_movie(tmp_path / "a.zarr", tmp_path / "back") == []
    for file in sorted(result.iterdir()):
        assert (tmp_path / "back" / file.name).read_bytes() == file.read_bytes()
