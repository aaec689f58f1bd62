"""Files from strangers: measured before they are inflated, and checked before anything uses them."""

from __future__ import annotations

import io
import os
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from celltrail.data.errors import InputError
from celltrail.data.files.arrays.npz import SMALL, read_arrays
from celltrail.data.files.hypotheses import read_hypotheses
from celltrail.data.graph.candidates import load_graph, save_graph
from celltrail.data.simulation.scene import simulate_movie
from celltrail.tracking import track


@pytest.fixture(scope="module")
def graph(tmp_path_factory: pytest.TempPathFactory) -> Path:
    movie = simulate_movie(frames=5, cells=6, size=(120, 120), seed=2)
    result = track({number: np.asarray(movie.masks[number]) for number in movie.masks})
    path = tmp_path_factory.mktemp("graph") / "graph.npz"
    save_graph(path, result.candidates, result.solution, track=result.track)
    return path


def changed(graph: Path, out: Path, **arrays: Any) -> Path:
    np.savez_compressed(out, **{**read_arrays(graph), **arrays})
    return out


def test_what_celltrail_writes_holds_together(graph: Path) -> None:
    candidates, solution, labels = load_graph(graph)
    assert solution is not None
    assert labels is not None
    with np.load(graph) as archive:
        for name, array in read_arrays(graph).items():
            np.testing.assert_array_equal(array, archive[name])
            assert array.dtype == archive[name].dtype
    assert len(candidates.detections) == len(labels)


FAULTS = {
    "detection.frame": [lambda a: a[:-1], lambda a: a[::-1], lambda a: a.astype(float), lambda a: a.reshape(-1, 1)],
    "detection.position": [lambda a: a * np.nan, lambda a: a[:, :2], lambda a: a.astype(int)],
    "detection.cost": [lambda a: a + (1 << 62), lambda a: a.astype(str)],
    "detection.fixed": [lambda a: a + 7],
    "link.source": [lambda a: a + 10_000, lambda a: a - 10_000, lambda a: a[1:]],
    "link.target": [lambda a: a * 0],
    "link.cost": [lambda a: a.astype(float) * np.inf],
    "clique.id": [lambda a: np.zeros(3, int)],
    "ndim": [lambda a: np.array(5), lambda a: np.array("two")],
    "voxel": [lambda a: np.zeros(2)],
    "rebirth": [lambda a: a[:1]],
    "solution.used": [lambda a: a[2:], lambda a: a.astype(float)],
    "solution.objective": [lambda a: np.array("x"), lambda a: a - (1 << 40)],
    "solution.link_chosen": [lambda a: np.ones(3, bool)],
    "detection_track": [lambda a: a[:2], lambda a: a * 0.5],
}


@pytest.mark.parametrize(("name", "number"), [(name, i) for name, wrong in FAULTS.items() for i in range(len(wrong))])
def test_a_graph_that_does_not_hold_together_is_refused_in_a_sentence(
    graph: Path, tmp_path: Path, name: str, number: int
) -> None:
    wrong = FAULTS[name][number](read_arrays(graph)[name])
    with pytest.raises(InputError, match=r"[Rr]un 'celltrail track' again"):
        load_graph(changed(graph, tmp_path / "graph.npz", **{name: wrong}))


def bomb(path: Path, megabytes: int) -> Path:
    """A small file of zeros that becomes large."""
    np.savez_compressed(path, schema=np.array("celltrail.graph/1"), zeros=np.zeros(megabytes << 20, np.uint8))
    return path


@pytest.mark.parametrize("read", [load_graph, read_hypotheses])
def test_bombs_are_measured_before_they_go_off(tmp_path: Path, read: Any) -> None:
    path = bomb(tmp_path / "bomb.npz", (SMALL >> 20) + 40)
    assert path.stat().st_size < 1 << 20
    with pytest.raises(InputError, match=r"would become \d+ MB when it is unpacked"):
        read(path)


@pytest.mark.parametrize("read", [load_graph, read_hypotheses])
def test_headers_that_lie_allocate_nothing(tmp_path: Path, read: Any) -> None:
    header = io.BytesIO()
    np.lib.format.write_array_header_1_0(header, {"descr": "<f8", "fortran_order": False, "shape": (1 << 40,)})
    objects = io.BytesIO()
    np.lib.format.write_array(objects, np.array([{}], dtype=object), allow_pickle=True)
    for content in (header.getvalue(), objects.getvalue(), b"\x93NUMPY\x09\x00", b""):
        with zipfile.ZipFile(tmp_path / "bad.npz", "w") as archive:
            archive.writestr("schema.npy", content)
        with pytest.raises(InputError, match="is not a"):
            read(tmp_path / "bad.npz")


@pytest.mark.skipif(sys.platform == "win32", reason="there are no named pipes")
@pytest.mark.parametrize("read", [load_graph, read_hypotheses])
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path, read: Any) -> None:
    os.mkfifo(tmp_path / "graph.npz")
    with pytest.raises(InputError, match="is a pipe, not a file"):
        read(tmp_path / "graph.npz")
