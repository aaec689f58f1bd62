"""Lineages of other programs: nothing is lost, swapped, or taken for something else without a word.

frame 0   1   2   3
      a───a─┬─b───b        a divides; c is lost in frame 2 and found again
            └─d───d
      c───c───────c
"""

from __future__ import annotations

import itertools
import warnings
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from celltrail.data.errors import InputError
from celltrail.data.formats.convert import convert_movie, read_points
from celltrail.data.formats.points import Points, links_of

# node: frame, z, y, x, track; and the links
CELLS = {
    1: (0, 3.0, 10.0, 50.0, 1),
    2: (1, 3.0, 11.0, 52.0, 1),
    3: (2, 3.0, 8.0, 53.0, 2),
    4: (3, 3.0, 7.5, 54.0, 2),
    5: (2, 3.0, 15.0, 53.0, 4),
    6: (3, 3.0, 16.0, 54.0, 4),
    7: (0, 5.0, 30.0, 90.0, 3),
    8: (1, 5.0, 31.0, 91.0, 3),
    9: (3, 5.0, 33.0, 93.0, 3),
}
LINKS = {(1, 2), (2, 3), (3, 4), (2, 5), (5, 6), (7, 8), (8, 9)}
PARENT = {target: source for source, target in LINKS}


def lineage(points: Points, *, ndim: int = 2) -> set[tuple[object, object]]:
    """Links as pairs of (frame, place)."""
    place = [(f, *p[3 - ndim :]) for f, p in zip(points.frame.tolist(), points.position.round(6).tolist(), strict=True)]
    return {(place[a], place[b]) for a, b in links_of(points).tolist()}


def expected(*, ndim: int = 2) -> set[tuple[object, object]]:
    place = {node: (cell[0], *cell[1:4][3 - ndim :]) for node, cell in CELLS.items()}
    return {(place[a], place[b]) for a, b in LINKS}


# --- tables ---------------------------------------------------------------------------------------


def by_node(*, names: tuple[str, ...], none: str, with_track: bool) -> pd.DataFrame:
    rows = [
        (frame, y, x, node, PARENT.get(node, none), track) for node, (frame, _, y, x, track) in reversed(CELLS.items())
    ]
    table = pd.DataFrame(rows, columns=list(names))
    return table if with_track else table.drop(columns=names[-1])


@pytest.mark.parametrize("with_track", [True, False])
@pytest.mark.parametrize("none", ["", "-1", "nan", "0"])
@pytest.mark.parametrize(
    "names",
    [
        ("t", "y", "x", "id", "parent_id", "track_id"),
        ("Time", "y", "x", "ID", "Parent ID", "Tracklet ID"),
        ("frame", "pos_y", "pos_x", "node_id", "parent_node_id", "track"),
    ],
)
def test_a_table_of_cells_and_their_parents(
    tmp_path: Path, names: tuple[str, ...], none: str, with_track: bool
) -> None:
    by_node(names=names, none=none, with_track=with_track).to_csv(tmp_path / "a.csv", index=False)
    points = read_points(tmp_path / "a.csv")
    assert lineage(points) == expected()
    assert {frozenset(kids) for kids in points.tracks.divisions().values()} == (
        {frozenset((2, 4))} if with_track else {frozenset((3, 4))}
    )


@pytest.mark.parametrize(("mark", "decimal"), [(";", ","), (";", "."), ("\t", ","), ("\t", "."), (",", ".")])
def test_separators_and_decimals(tmp_path: Path, mark: str, decimal: str) -> None:
    table = by_node(names=("t", "y", "x", "id", "parent_id", "track_id"), none="", with_track=True)
    table.to_csv(tmp_path / "a.csv", index=False, sep=mark, decimal=decimal)
    points = read_points(tmp_path / "a.csv")
    assert lineage(points) == expected()
    assert 7.5 in points.position[:, 1]


def test_a_thousand_with_a_comma_is_no_decimal(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text('track_id,t,y,x\n1,0,"1,234",5\n')
    with pytest.raises(InputError, match="y is '1,234', expected a number"):
        read_points(tmp_path / "a.csv")


def test_labels_of_masks_are_no_tracks(tmp_path: Path) -> None:
    """Labels that differ from frame to frame, or that several cells have in turn, name no track."""
    rows = [(track, frame, y, x, 10 * frame + node % 3 + 1) for node, (frame, _, y, x, track) in CELLS.items()]
    parents = {1: -1, 2: 1, 3: -1, 4: 1}
    table = pd.DataFrame(rows, columns=["track_id", "t", "y", "x", "label"])
    table["parent_track_id"] = table["track_id"].map(parents)
    table.to_csv(tmp_path / "a.csv", index=False)
    points = read_points(tmp_path / "a.csv")
    assert lineage(points) == expected()
    assert points.tracks.label.tolist() == [1, 2, 3, 4, 5]  # 5: what follows the gap of 3
    assert points.tracks.rows()[points.tracks.label == 1].tolist() == [[1, 0, 1, 0]]


def test_a_parent_column_that_is_not_understood_is_not_overlooked(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("track_id,t,y,x,ParentObject\n1,0,5,5,\n2,1,5,5,1\n")
    with pytest.raises(InputError, match="what is ParentObject"):
        read_points(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["children", "Daughter 1", "mother_id"])
def test_other_words_for_families_are_not_overlooked(tmp_path: Path, name: str) -> None:
    (tmp_path / "a.csv").write_text(f"track_id,t,y,x,{name}\n1,0,5,5,2\n2,1,5,5,\n3,1,9,9,\n")
    with pytest.raises(InputError, match=f"what is {name}"):
        read_points(tmp_path / "a.csv")


@pytest.mark.parametrize("name", ["lineage_id", "Tree ID", "root"])
def test_lineages_of_several_tracks_need_parents(tmp_path: Path, name: str) -> None:
    """laptrack keeps its divisions in a table of their own; without it they would be lost."""
    (tmp_path / "a.csv").write_text(f"frame,y,x,track_id,{name}\n0,5,5,0,0\n1,5,6,1,0\n1,5,2,2,0\n0,9,9,3,1\n")
    with pytest.raises(InputError, match=f"{name} says that the tracks 0 and 1 are of one lineage"):
        read_points(tmp_path / "a.csv")
    (tmp_path / "a-splits.csv").write_text("parent_track_id,child_track_id\n0,1\n0,2\n")
    assert read_points(tmp_path / "a.csv").tracks.rows().tolist() == [
        [1, 0, 0, 0],
        [2, 0, 0, 0],
        [3, 1, 1, 1],
        [4, 1, 1, 1],
    ]


def test_times_with_a_common_step_are_frames_one_after_the_other(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("track_id,time,y,x\n1,0,5,5\n1,300,5,6\n1,600,5,7\n2,0,9,9\n2,600,9,9\n")
    points = read_points(tmp_path / "a.csv")
    assert points.tracks.rows().tolist() == [[1, 0, 600, 0], [2, 0, 0, 0], [3, 600, 600, 2]]  # 2 was lost at 300
    assert "times 0, 300, 600 … are taken as the numbers of frames, 300 apart" in points.notes[0]


def test_ids_of_cells_taken_for_tracks_are_said(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("t,y,x,id\n0,5,5,1\n1,5,6,2\n")
    assert "no cell is linked to another" in read_points(tmp_path / "a.csv").notes[0]


@pytest.mark.parametrize("first", [0, 5])
def test_budding_never_turns_a_lineage_around(tmp_path: Path, first: int) -> None:
    rows = [(1, t, 20.0, 20.0, -1) for t in range(first, 8)] + [(2, t, 30.0, 20.0, 1) for t in range(3, 8)]
    pd.DataFrame(rows, columns=["track_id", "t", "y", "x", "parent_track_id"]).to_csv(tmp_path / "a.csv", index=False)
    if first:  # the mother appears after her bud
        with pytest.raises(InputError, match="its parent 1 has no point before it"):
            read_points(tmp_path / "a.csv")
        return
    points = read_points(tmp_path / "a.csv")
    assert points.tracks.rows().tolist() == [[1, 0, 2, 0], [2, 3, 7, 1], [3, 3, 7, 1]]
    assert "as in budding" in points.notes[0]


def test_merges_of_laptrack_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("frame,y,x,track_id\n0,5,5,0\n0,9,5,1\n1,6,7,2\n")
    (tmp_path / "a-splits.csv").write_text("parent_track_id,child_track_id\n")
    (tmp_path / "a-merges.csv").write_text("parent_track_id,child_track_id\n0,2\n1,2\n")
    with pytest.raises(InputError, match="lets cells merge, first in frame 1"):
        read_points(tmp_path / "a.csv")


def test_three_daughters_pass_through_every_format(tmp_path: Path) -> None:
    rows = [(1, t, 20.0, 20.0, -1) for t in range(3)]
    rows += [(k, t, 20.0 * k, 20.0, 1) for k in (2, 3, 4) for t in (3, 4)]
    pd.DataFrame(rows, columns=["track_id", "t", "y", "x", "parent_track_id"]).to_csv(tmp_path / "a.csv", index=False)
    points = read_points(tmp_path / "a.csv")
    for name in ("b.csv", "b.xml", "b.geff", "b"):
        if name == "b.geff":
            pytest.importorskip("geff")
        convert_movie(tmp_path / "a.csv", tmp_path / name)
        assert lineage(read_points(tmp_path / name)) == lineage(points)
        assert read_points(tmp_path / name).tracks.divisions() == {1: [2, 3, 4]}


# --- GEFF -----------------------------------------------------------------------------------------


def write_graph(
    path: Path,
    axes: list[tuple[str, str, dict[str, object]]],
    columns: dict[str, list[float]],
    extra: dict[str, object] | None = None,
) -> Path:
    """A GEFF as another program writes it."""
    geff = pytest.importorskip("geff")
    from geff.core_io import write_arrays
    from geff_spec import Axis

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        metadata = geff.GeffMetadata(
            directed=True,
            axes=[Axis(name=name, type=kind, **rest) for name, kind, rest in axes],
            node_props_metadata={},
            edge_props_metadata={},
            extra=extra or {},
        )
        write_arrays(
            str(path),
            np.array(list(CELLS), np.uint64),
            {name: {"values": np.array(values), "missing": None} for name, values in columns.items()},
            np.array(sorted(LINKS), np.uint64),
            {},
            metadata,
        )
    return path


@pytest.mark.parametrize("order", [*itertools.permutations("tyx"), tuple("txyz"), tuple("zxty")])
@pytest.mark.parametrize("form", ["{}", "POSITION_{}", "centroid-{}"])
def test_axes_are_known_by_their_names(tmp_path: Path, order: tuple[str, ...], form: str) -> None:
    place = {axis: index for index, axis in enumerate("tzyx")}
    columns = {form.format(axis): [cell[place[axis]] for cell in CELLS.values()] for axis in order}
    axes = [(form.format(axis), "time" if axis == "t" else "space", {}) for axis in order]
    points = read_points(write_graph(tmp_path / "a.geff", axes, columns))
    ndim = len(order) - 1
    assert (lineage(points, ndim=ndim), points.ndim, points.notes) == (expected(ndim=ndim), ndim, ())


def test_axes_without_telling_names_are_taken_in_order_and_said(tmp_path: Path) -> None:
    columns = {name: [cell[k] for cell in CELLS.values()] for name, k in (("when", 0), ("row", 2), ("column", 3))}
    axes = [("when", "time", {}), ("row", "space", {}), ("column", "space", {})]
    points = read_points(write_graph(tmp_path / "a.geff", axes, columns))
    assert lineage(points) == expected()
    assert "row as y, column as x" in points.notes[0]


@pytest.mark.parametrize(("unit", "second"), [("second", 1.0), ("minute", 60.0), ("sec", 1.0), ("hour", 3600.0)])
def test_times_are_brought_to_frames_or_refused(tmp_path: Path, unit: str, second: float) -> None:
    step = 90.0
    columns = {name: [cell[k] for cell in CELLS.values()] for name, k in (("y", 2), ("x", 3))}
    columns["t"] = [cell[0] * step / second for cell in CELLS.values()]
    axes = [("t", "time", {"unit": unit}), ("y", "space", {}), ("x", "space", {})]
    path = write_graph(tmp_path / "a.geff", axes, columns)
    with pytest.raises(InputError, match=f"gives times in {unit}, not in frames: .* with --interval"):
        read_points(path)
    with pytest.raises(InputError, match="no whole number of frames"):
        read_points(path, interval=70.0)
    points = read_points(path, interval=step)
    assert (lineage(points), points.interval) == (expected(), step)
    columns["frame"] = [cell[0] for cell in CELLS.values()]
    points = read_points(write_graph(tmp_path / "b.geff", axes, columns))
    assert (lineage(points), points.interval) == (expected(), step)


def test_micrometres_without_the_size_of_a_pixel_are_said(tmp_path: Path) -> None:
    columns = {name: [cell[k] for cell in CELLS.values()] for name, k in (("t", 0), ("y", 2), ("x", 3))}
    axes = [("t", "time", {}), *((axis, "space", {"unit": "micrometer"}) for axis in "xy")]
    path = write_graph(tmp_path / "a.geff", axes, columns)
    points = read_points(path)
    assert (lineage(points), points.voxel) == (expected(), (1.0, 1.0, 1.0))
    assert "not the size of a pixel" in points.notes[0]
    points = read_points(path, voxel=(1.0, 0.5, 2.0))
    assert points.notes == ()
    np.testing.assert_allclose(points.position[0], [0, 20.0, 25.0])


@pytest.mark.parametrize("newer", [True, False])
def test_funtracks_keeps_its_scale_beside_its_axes(tmp_path: Path, newer: bool) -> None:
    """As funtracks 2.2 exports it, and as older versions did: positions and areas in its own units, axes without any."""
    scale = {"y": 0.5, "x": 0.25}
    columns = {"t": [cell[0] for cell in CELLS.values()]}
    columns |= {axis: [cell[k] * scale[axis] for cell in CELLS.values()] for axis, k in (("y", 2), ("x", 3))}
    columns["area"] = [20 * 0.5 * 0.25] * len(CELLS)
    axes = [("t", "time", {}), *((axis, "space", {} if newer else {"scale": scale[axis]}) for axis in "yx")]
    own = {"funtracks": {"version": "2.2.0"}, "tracksdata": {"scale": [0.5, 0.25]}} if newer else {"funtracks": {}}
    write_graph(tmp_path / "a.geff" / "tracks.geff", axes, columns, own)
    points = read_points(tmp_path / "a.geff")  # its folder holds the graph beside the masks
    assert (lineage(points), set(points.area.tolist())) == (expected(), {20.0})
    assert "0.5 × 0.25" in points.notes[0]


@pytest.mark.parametrize("by_nodes", [True, False])
def test_of_a_graph_of_candidates_only_the_solution_is_read(tmp_path: Path, by_nodes: bool) -> None:
    """As tracksdata and motile write it, with a property that says what was chosen."""
    write_array = pytest.importorskip("geff.core_io").write_arrays
    columns = {name: [cell[k] for cell in CELLS.values()] for name, k in (("t", 0), ("y", 2), ("x", 3))}
    axes = [("t", "time", {}), ("y", "space", {}), ("x", "space", {})]
    graph = pytest.importorskip("geff.core_io").read_to_memory(str(write_graph(tmp_path / "a.geff", axes, columns)))
    links = np.array([*sorted(LINKS), (1, 8)], np.uint64)  # 1 → 8 would make cells merge
    chosen = np.array([True] * len(LINKS) + [False])
    nodes = graph["node_props"]
    if by_nodes:
        links, chosen = links[:-1], chosen[:-1]
        nodes = {**nodes, "solution": {"values": np.array(list(CELLS)) != 9, "missing": None}}
    edges = {"solution": {"values": chosen, "missing": None}}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        write_array(str(tmp_path / "b.geff"), graph["node_ids"], nodes, links, edges, graph["metadata"])
    points = read_points(tmp_path / "b.geff")
    lost = {link for link in expected() if (3, 33.0, 93.0) in link} if by_nodes else set()
    assert lineage(points) == expected() - lost
    assert "1 cell or link that its solution does not hold is left out" in points.notes[0]


def test_labels_of_masks_in_a_geff_are_no_tracks(tmp_path: Path) -> None:
    columns = {name: [cell[k] for cell in CELLS.values()] for name, k in (("t", 0), ("y", 2), ("x", 3))}
    columns["seg_id"] = [10 * cell[0] + node % 3 + 1 for node, cell in CELLS.items()]
    columns["track_id"] = [cell[4] for cell in CELLS.values()]
    axes = [("t", "time", {}), ("y", "space", {}), ("x", "space", {})]
    points = read_points(write_graph(tmp_path / "a.geff", axes, columns))
    assert lineage(points) == expected()
    assert points.tracks.rows().tolist() == [[1, 0, 1, 0], [2, 2, 3, 1], [3, 0, 1, 0], [4, 2, 3, 1], [5, 3, 3, 3]]


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_trackmate_through_geffs_converter_is_the_same_as_its_xml(tmp_path: Path) -> None:
    convert = pytest.importorskip("geff.convert")
    axes = pd.DataFrame([cell for cell in CELLS.values()], columns=["t", "z", "y", "x", "track_id"])
    axes["z"], axes["parent_track_id"] = 0.0, axes["track_id"].map({1: -1, 2: 1, 3: -1, 4: 1})
    axes.loc[len(axes)] = [2, 0.0, 60.0, 70.0, 9, -1]  # a spot that no link touches
    axes.to_csv(tmp_path / "a.csv", index=False)
    convert_movie(tmp_path / "a.csv", tmp_path / "a.xml", voxel=(1.0, 0.5, 0.5), interval=60.0)
    convert.from_trackmate_xml_to_geff(tmp_path / "a.xml", tmp_path / "a.geff")
    by_xml, by_geff = read_points(tmp_path / "a.xml"), read_points(tmp_path / "a.geff")
    assert lineage(by_xml) == expected() == lineage(by_geff)
    assert (by_xml.voxel, by_xml.interval) == (by_geff.voxel, by_geff.interval) == ((1.0, 0.5, 0.5), 60.0)
    assert by_xml.tracks == by_geff.tracks
    assert by_xml.ndim == by_geff.ndim == 2
    assert [note.split(": ")[1] for note in by_xml.notes] == [note.split(": ")[1] for note in by_geff.notes]
    np.testing.assert_allclose(by_xml.area, by_geff.area)


# --- TrackMate and btrack -------------------------------------------------------------------------


def test_trackmates_xml_has_its_documented_parts(tmp_path: Path) -> None:
    from xml.etree import ElementTree

    table = by_node(names=("t", "y", "x", "id", "parent_id", "track_id"), none="", with_track=True)
    table.to_csv(tmp_path / "a.csv", index=False)
    assert convert_movie(tmp_path / "a.csv", tmp_path / "a.xml", voxel=(1.0, 0.25, 0.5), interval=30.0)
    root = ElementTree.parse(tmp_path / "a.xml").getroot()
    assert [child.tag for child in root] == ["Model", "Settings", "GUIState"]
    model = root.find("Model")
    assert model is not None
    assert model.attrib == {"spatialunits": "micron", "timeunits": "sec"}
    assert [child.tag for child in model] == ["FeatureDeclarations", "AllSpots", "AllTracks", "FilteredTracks"]
    declared = {item.get("feature") for item in model.iterfind("FeatureDeclarations/SpotFeatures/Feature")}
    spots = list(model.iterfind("AllSpots/SpotsInFrame/Spot"))
    assert len(spots) == len(CELLS)
    assert set(spots[0].attrib) - {"ID", "name"} == declared
    first = next(spot for spot in spots if spot.get("POSITION_X") == "25.0")
    assert (first.get("POSITION_Y"), first.get("POSITION_T"), first.get("FRAME")) == ("2.5", "0.0", "0")
    sizes = [len(track) for track in model.iterfind("AllTracks/Track")]
    assert sorted(sizes) == [2, 5]  # a lineage is a track
    shown = [item.get("TRACK_ID") for item in model.iterfind("FilteredTracks/TrackID")]
    assert shown == [track.get("TRACK_ID") for track in model.iterfind("AllTracks/Track")]
    again = read_points(tmp_path / "a.xml")
    assert (lineage(again), again.voxel, again.interval) == (expected(), (1.0, 0.25, 0.5), 30.0)


def test_spots_that_trackmate_hides_are_counted(tmp_path: Path) -> None:
    table = by_node(names=("t", "y", "x", "id", "parent_id", "track_id"), none="", with_track=True)
    table.to_csv(tmp_path / "a.csv", index=False)
    convert_movie(tmp_path / "a.csv", tmp_path / "a.xml")
    text = (tmp_path / "a.xml").read_text()
    (tmp_path / "b.xml").write_text(text.replace('<TrackID TRACK_ID="0" />', ""))
    points = read_points(tmp_path / "b.xml")
    assert len(points) == 3
    assert "6 spots and 1 track are left out" in points.notes[0]
    hidden = "".join(line for line in text.splitlines(keepends=True) if "<TrackID" not in line)
    (tmp_path / "c.xml").write_text(hidden)
    with pytest.raises(InputError, match="filters hide all of its 9 spots"):
        read_points(tmp_path / "c.xml")


def test_btracks_hdf5(tmp_path: Path) -> None:
    h5py = pytest.importorskip("h5py")
    nodes = list(CELLS)
    coordinates = [(frame, x, y, 0.0, 0) for frame, _, y, x, _ in CELLS.values()] + [(0, 1.0, 1.0, 0.0, 0)]
    # c is carried through frame 2 by a point that btrack invented: reference −1
    tracks = {1: [1, 2], 2: [3, 4], 4: [5, 6], 3: [7, 8, -1, 9]}
    references = [node if node < 0 else nodes.index(node) for refs in tracks.values() for node in refs]
    ends = np.cumsum([len(refs) for refs in tracks.values()])
    spans = np.stack([ends - [len(refs) for refs in tracks.values()], ends], axis=1)
    parent = {1: 1, 2: 1, 4: 1, 3: 3}
    family = [(name, 0, 0, parent[name], parent[name], 0) for name in tracks]
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["objects/obj_type_1/coords"] = np.array(coordinates, np.float32)
        file["objects/obj_type_1/properties/area"] = np.arange(len(coordinates), dtype=np.float32)
        file["tracks/obj_type_1/tracks"] = np.array(references, np.int32)
        file["tracks/obj_type_1/map"] = spans.astype(np.uint32)
        file["tracks/obj_type_1/LBEPR"] = np.array(family, np.int32)
        file["tracks/obj_type_1/dummies"] = np.array([(2, 92.0, 32.0, 0.0, 1)], np.float32)
    points = read_points(tmp_path / "a.h5")
    assert lineage(points) == expected()
    assert points.tracks.divisions() == {1: [2, 4]}
    assert "1 point that btrack invented" in points.notes[0]
    assert "1 object that no track holds" in points.notes[1]
    (tmp_path / "b.h5").write_bytes(b"no hdf5")
    with pytest.raises(InputError, match="is no HDF5 file of btrack"):
        read_points(tmp_path / "b.h5")


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_a_geff_keeps_costs_and_margins_of_links(tmp_path: Path) -> None:
    read_to_memory = pytest.importorskip("geff.core_io").read_to_memory
    tracking = pytest.importorskip("celltrail.tracking")
    masks = {}
    for t in range(4):
        masks[t] = np.zeros((40, 60), dtype=np.int64)
        masks[t][5:13, 5 + 2 * t : 13 + 2 * t] = 1
        masks[t][25:33, 30:38] = 2
    result = tracking.track(masks)
    result.write(tmp_path / "RES")
    convert_movie(tmp_path / "RES", tmp_path / "a.geff")
    graph = read_to_memory(str(tmp_path / "a.geff"), structure_validation=True)
    edges, links = graph["edge_props"], result.candidates.links
    chosen = result.solution.link_chosen
    assert sorted(edges) == ["cost", "margin", "parent_link", "probability"]
    np.testing.assert_allclose(np.sort(edges["cost"]["values"]), np.sort(links.cost[chosen] / 1e6))
    np.testing.assert_allclose(np.sort(edges["margin"]["values"]), np.sort(result.solution.link_margin[chosen]))
    assert not edges["parent_link"]["values"].any()
    assert read_points(tmp_path / "a.geff").tracks == result.tracks


def test_what_follows_its_only_parent_at_once_stays_apart(tmp_path: Path) -> None:
    """So is a division written whose other daughter is outside the image."""
    rows = [(1, t, 20.0, 20.0, -1) for t in range(3)] + [(2, t, 22.0, 20.0, 1) for t in (3, 4)]
    pd.DataFrame(rows, columns=["track_id", "t", "y", "x", "parent_track_id"]).to_csv(tmp_path / "a.csv", index=False)
    for name in ("b.csv", "b.geff", "b"):
        if name == "b.geff":
            pytest.importorskip("geff")
        convert_movie(tmp_path / "a.csv", tmp_path / name)
        assert read_points(tmp_path / name).tracks.rows().tolist() == [[1, 0, 2, 0], [2, 3, 4, 1]]
