"""Results that other trackers have made here and now are scored as they are."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import numpy as np
import pytest

import celltrail.cli
from celltrail.data.files.ctc import write_masks
from celltrail.data.formats.convert import read_points
from celltrail.data.formats.points import Points, links_of
from celltrail.data.running import console
from celltrail.data.simulation.scene import simulate_movie, write_movie

pytestmark = pytest.mark.slow
# btrack 0.7 is built against a C++ library that Debian 12 does not have.
PEERS = {"laptrack": ["laptrack==0.17.1"], "motile": ["motile==1.0.1"], "btrack": ["btrack==0.6.5"]}
RESULTS = {"laptrack": ["laptrack.csv", "laptrack.geff"], "motile": ["motile.geff"], "btrack": ["btrack.csv"]}
UNREACHED = ("No matching distribution found", "ConnectionError", "Network is unreachable", "Temporary failure in name")
Link = tuple[tuple[float, ...], tuple[float, ...]]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A simulated movie with its truth, and its masks with labels that say nothing."""
    folder = tmp_path_factory.mktemp("peers") / "set"
    movie = simulate_movie(frames=10, cells=12, size=(200, 200), cycle=12.0, seed=4)
    write_movie(movie, folder)
    (folder / "01_MASKS").mkdir()
    random = np.random.default_rng(1)
    names = {frame: random.permutation(int(labels.max()) + 1) for frame, labels in movie.masks.items()}
    shuffled = ((t, np.where(labels, 1 + names[t][labels], 0)) for t, labels in movie.masks.items())
    write_masks(folder / "01_MASKS", shuffled)
    return folder


@pytest.fixture(scope="module")
def made(
    tmp_path_factory: pytest.TempPathFactory, dataset: Path, root: Path, request: pytest.FixtureRequest
) -> dict[str, Path]:
    """The files that a tracker has written, by name; it is installed from PyPI into an environment of its own on top of this one."""
    peer: str = request.param
    place = tmp_path_factory.mktemp(peer)
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place / "venv"], check=True)
    python = place / "venv" / ("Scripts" if os.name == "nt" else "bin") / "python"
    (site,) = (place / "venv").rglob("site-packages")
    (site / "this.pth").write_text(sysconfig.get_path("purelib") + "\n")  # what is installed here need not be again
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]
    done = subprocess.run([*install, *PEERS[peer]], capture_output=True, text=True)
    if done.returncode and os.environ.get("CI") != "true" and any(word in done.stderr for word in UNREACHED):
        pytest.skip(f"PyPI, from which {peer} comes, is not reached")
    assert done.returncode == 0, done.stderr
    (place / "out").mkdir()
    script = root / "tests" / "test_evaluation" / "run_peer.py"
    done = subprocess.run(
        [python, script, peer, dataset / "01_MASKS", place / "out"],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(root / "benchmarks")},
    )
    assert done.returncode == 0, done.stderr
    return {name: place / "out" / name for name in ["links.json", *RESULTS[peer]]}


def links_by_place(points: Points) -> set[Link]:
    """Pairs of cells (frame, y, x) that follow each other."""
    cells = [(float(frame), *place[1:]) for frame, place in zip(points.frame, points.position.tolist(), strict=True)]
    return {(cells[one], cells[two]) for one, two in links_of(points).tolist()}


def rounded(links: set[Link]) -> set[Link]:
    """The same in hundredths of a pixel: btrack writes 32 bits."""
    return {tuple(tuple(round(number, 2) for number in cell) for cell in link) for link in links}  # type: ignore[misc]


@pytest.mark.filterwarnings("ignore::UserWarning", "ignore::zarr.errors.UnstableSpecificationWarning")
@pytest.mark.parametrize("made", PEERS, indirect=True)
def test_they_are_scored_as_they_are(
    made: dict[str, Path], dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = {tuple(map(tuple, link)) for link in json.loads(made.pop("links.json").read_text())}
    assert len(named) > 100
    for file in made.values():
        points = read_points(file)
        assert rounded(links_by_place(points)) == rounded(named)  # every link that the tracker names, and no other
        assert points.tracks.divisions()
    variants = [
        *(f"{name.replace('.', '-')}={file}" for name, file in made.items()),
        f"truth={dataset / '01_GT' / 'TRA'}",
    ]
    command = [
        "compare",
        dataset,
        *variants,
        "--masks",
        "NN_MASKS",
        "--draws",
        100,
        "--out",
        tmp_path / "out",
        "--json",
    ]
    assert console.run(celltrail.cli.app, [str(word) for word in command]) == 0
    scored = json.loads(capsys.readouterr().out)["sequences"]["01"]
    assert scored.pop("truth")["measures"]["LNK"] == 1.0
    assert len(scored) == len(made)
    for found in scored.values():
        assert 0.9 < found["measures"]["LNK"] <= 1.0
        assert 0.9 < found["measures"]["SEG"] <= 1.0  # the masks that were tracked, not discs
