"""Results of other trackers are compared as they are.

Here each is written in the layout that the tracker's documentation shows, with the links that it would find: three cells
move slowly, and one of them divides. ``test_peers_at_work.py`` lets the trackers themselves make theirs.
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from made_movies import Movie, write_sequence

import celltrail.cli
from celltrail.data.errors import InputError
from celltrail.data.files.tracks import Tracks
from celltrail.data.formats.convert import read_points
from celltrail.data.running import console
from celltrail.evaluation.comparing.comparison import compare_variants

FRAMES = 8
BIRTH = 4  # first frame of the daughters
TRACKS = [(1, 0, 7, 0), (2, 0, 7, 0), (3, 0, 3, 0), (4, 4, 7, 3), (5, 4, 7, 3)]
Cell = tuple[int, int, float, float]  # frame, true track, y, x


def cells() -> list[Cell]:
    found: list[Cell] = []
    for t in range(FRAMES):
        found += [(t, 1, 12.0, 12.0 + 2 * t), (t, 2, 48.0, 50.0 - 2 * t)]
        found += [(t, 3, 30.0, 30.0)] if t < BIRTH else [(t, 4, 26.0 - t, 30.0), (t, 5, 34.0 + t, 30.0)]
    return found


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    truth, shuffled = {}, {}
    for t in range(FRAMES):
        truth[t], shuffled[t] = np.zeros((64, 64), np.uint16), np.zeros((64, 64), np.uint16)
        for place, (frame, track, y, x) in enumerate(cells()):
            if frame == t:
                box = (slice(int(y) - 3, int(y) + 4), slice(int(x) - 3, int(x) + 4))
                truth[t][box], shuffled[t][box] = track, 1 + (7 * place + t) % 40
    tracks = Tracks.from_rows(TRACKS)
    write_sequence(tmp_path / "set", Movie(truth, tracks), Movie(truth, tracks))
    (tmp_path / "set" / "01_MASKS").mkdir()
    for t, labels in shuffled.items():
        tifffile.imwrite(tmp_path / "set" / "01_MASKS" / f"mask{t:03d}.tif", labels, photometric="minisblack")
    return tmp_path / "set"


def true_links() -> list[tuple[int, int]]:
    """Rows of `cells` that follow each other."""
    mother = {label: parent for label, _, _, parent in TRACKS}
    links: list[tuple[int, int]] = []
    last: dict[int, int] = {}
    for row, (_, track, _, _) in enumerate(cells()):
        if (before := last.get(track, last.get(mother[track]))) is not None:
            links.append((before, row))
        last[track] = row
    return links


def from_laptrack(folder: Path) -> Path:
    file = folder / "laptrack.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream)
        writer.writerow(["", "frame", "y", "x", "label", "tree_id", "track_id"])
        for row, (t, track, y, x) in enumerate(cells()):
            writer.writerow([row, t, y, x, 1 + (7 * row + t) % 40, min(track, 3) - 1, track - 1])
    (folder / "laptrack-splits.csv").write_text(",parent_track_id,child_track_id\n0,2,3\n1,2,4\n")
    return file


def from_btrack(folder: Path) -> Path:
    file = folder / "btrack.csv"
    with file.open("w", newline="") as stream:
        writer = csv.writer(stream, delimiter=" ")
        writer.writerow(["ID", "t", "x", "y", "z", "parent", "root", "state", "generation", "dummy"])
        for t, track, y, x in cells():
            parent = 3 if track > 3 else track
            writer.writerow([float(v) for v in (track, t, x, y, 0, parent, parent, 0, track > 3, 0)])
            if (t, track) == (FRAMES - 1, 1):  # btrack goes on for a while where it has lost a cell
                writer.writerow([float(v) for v in (9, t, 60, 5, 0, 9, 9, 0, 0, 1)])
    return file


def from_motile(folder: Path) -> Path:
    geff = pytest.importorskip("geff")
    import networkx as nx

    graph: nx.DiGraph[int] = nx.DiGraph()
    for row, (t, _, y, x) in enumerate(cells()):
        graph.add_node(row, t=t, y=y, x=x)
    graph.add_edges_from(true_links())
    geff.write(graph, folder / "motile.geff", axis_names=["t", "y", "x"], axis_types=["time", "space", "space"])
    return folder / "motile.geff"


def from_trackastra(folder: Path) -> Path:
    out = folder / "trackastra"
    out.mkdir()
    (out / "man_track.txt").write_text("".join(" ".join(map(str, row)) + "\n" for row in TRACKS))
    for t in range(FRAMES):
        labels = np.zeros((64, 64), np.uint16)
        for frame, track, y, x in cells():
            if frame == t:
                labels[int(y) - 3 : int(y) + 4, int(x) - 3 : int(x) + 4] = track
        tifffile.imwrite(out / f"man_track{t:04d}.tif", labels, compression="zstd", photometric="minisblack")
    return out


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("tracker", [from_laptrack, from_btrack, from_motile, from_trackastra])
def test_it_is_scored_as_it_is(dataset: Path, tmp_path: Path, tracker: Callable[[Path], Path]) -> None:
    result = tracker(tmp_path)
    found = compare_variants(dataset, {"it": result, "truth": dataset / "01_RES"}, masks="NN_MASKS", draws=100)
    measures = found.evaluations["01"]["it"].measures
    assert {name: measures[name] for name in ("SEG", "DET", "LNK", "TRA", "CT", "BC(0)")} == pytest.approx(
        dict.fromkeys(("SEG", "DET", "LNK", "TRA", "CT", "BC(0)"), 1.0)
    )
    assert len(found.hashes[str(result)]) == 64
    assert all("left out" in note for note in found.notes)  # points that it invented in gaps


def test_without_masks_discs_are_drawn_and_the_report_says_so(dataset: Path, tmp_path: Path) -> None:
    found = compare_variants(dataset, {"it": from_laptrack(tmp_path), "truth": dataset / "01_RES"}, draws=100)
    assert "drawn as a disc" in found.notes[0]
    assert "--masks" in found.notes[0]
    assert found.evaluations["01"]["it"].measures["LNK"] is not None


def test_results_of_several_sequences_lie_in_one_folder(dataset: Path, tmp_path: Path, capsys) -> None:
    results = tmp_path / "results"
    results.mkdir()
    file = from_laptrack(tmp_path)
    file.rename(results / "01_RES.csv")
    (tmp_path / "laptrack-splits.csv").rename(results / "01_RES-splits.csv")
    command = ["compare", dataset, f"laptrack={results}", f"truth={dataset}", "--masks", "NN_MASKS", "--draws", 100]
    words = [str(word) for word in [*command, "--out", tmp_path / "comparison", "--json"]]
    assert console.run(celltrail.cli.app, words) == 0
    assert '"LNK": 1.0' in capsys.readouterr().out


def test_divisions_of_laptrack_need_its_second_table(tmp_path: Path) -> None:
    file = from_laptrack(tmp_path)
    assert len(read_points(file).tracks.divisions()) == 1
    (tmp_path / "laptrack-splits.csv").write_text('""\n')  # what laptrack writes where nothing divides
    with pytest.raises(InputError, match="tree_id says that the tracks 2 and 3 are of one lineage"):
        read_points(file)
    table = pd.read_csv(file)
    table.assign(tree_id=table["track_id"]).to_csv(file, index=False)
    assert not read_points(file).tracks.divisions()
    (tmp_path / "laptrack-splits.csv").write_text(",parent_track_id,child_track_id\n0,2,none\n")
    with pytest.raises(InputError, match=r"laptrack-splits\.csv, line 2: child_track_id is empty"):
        read_points(file)
