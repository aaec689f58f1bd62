"""Installations from nothing: the core alone, the built wheel outside the clone, and later versions of Python."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from celltrail.data.simulation.scene import simulate_movie, write_movie

pytestmark = pytest.mark.slow


def run(*command: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    outside = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, cwd=cwd, env=outside)
    assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
    return done


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A source distribution built from the clone, and the wheel built from nothing but that."""
    out = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--outdir", out, root)
    (_,) = out.glob("*.tar.gz")
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory, root: Path, wheel: Path) -> Path:
    """The ``bin`` folder of a new environment with the wheel and no extras."""
    folder = tmp_path_factory.mktemp("core") / "venv"
    run(sys.executable, "-m", "venv", folder)
    run(folder / "bin" / "pip", "install", "--quiet", "--constraint", root / "constraints.txt", wheel)
    return folder / "bin"


@pytest.fixture(scope="module")
def movie(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of one's own that holds a movie, and a folder called ``data``."""
    folder = tmp_path_factory.mktemp("mine")
    write_movie(simulate_movie(frames=6, cells=8, size=(160, 160), seed=3), folder / "data", "01")
    return folder


def test_the_core_tracks_and_evaluates_without_torch_and_streamlit(core: Path, movie: Path) -> None:
    absent = "import importlib.util as u; print([m for m in ('torch', 'streamlit', 'traccuracy') if u.find_spec(m)])"
    assert run(core / "python", "-c", absent, cwd=movie).stdout.strip() == "[]"
    run(core / "celltrail", "track", "data/01_GT/SEG", "--out", "data/01_RES", cwd=movie)
    assert json.loads((movie / "data" / "01_RES" / "run.json").read_text())["status"] == "optimal"
    judged = json.loads(run(core / "celltrail", "evaluate", "data/01_GT", "data/01_RES", "--json", cwd=movie).stdout)
    assert judged["sequences"][0]["measures"]["SEG"] == 1.0


@pytest.mark.parametrize(
    ("arguments", "extra"),
    [
        (("segment", "data/01", "--model", "sim-fluo", "--out", "masks"), "segmentation"),
        (("dashboard", "data"), "dashboard"),
    ],
)
def test_a_missing_extra_is_named_in_one_line(core: Path, movie: Path, arguments: tuple[str, ...], extra: str) -> None:
    done = subprocess.run([core / "celltrail", *arguments], capture_output=True, text=True, cwd=movie)
    assert done.returncode == 2
    assert f"celltrail[{extra}]" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_the_wheel_holds_celltrail_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    assert {name.split("/")[0].split("-")[0] for name in names} == {"celltrail"}
    for needed in (
        "celltrail/py.typed",
        "celltrail/segmentation/models/sim-fluo.safetensors",
        "celltrail/tracking/costs/learned.json",
        "celltrail/dashboard/viewer/viewer.js",
        "celltrail/dashboard/.streamlit/config.toml",
        "celltrail/data/formats/napari.yaml",
    ):
        assert needed in names


def test_the_wheel_runs_outside_the_clone(core: Path, movie: Path) -> None:
    code = """
import importlib.util, pathlib
for package in ("data", "segmentation", "tracking", "evaluation", "dashboard"):
    folder = pathlib.Path(importlib.util.find_spec(f"celltrail.{package}").origin).parent
    assert folder.parent.name == "celltrail" and "site-packages" in folder.parts, folder
    assert (folder / "py.typed").is_file(), package
    assert importlib.util.find_spec(package) is None, package
"""
    run(core / "python", "-P", "-c", code, cwd=movie)
    assert run(core / "celltrail", "--version", cwd=movie).stdout.startswith("celltrail ")


@pytest.fixture(scope="module")
def editable(tmp_path_factory: pytest.TempPathFactory, root: Path) -> Path:
    """A Python for which this clone is installed editable, without anything installed again."""
    folder = tmp_path_factory.mktemp("editable") / "venv"
    run(sys.executable, "-m", "venv", "--without-pip", folder)
    (packages,) = (folder / "lib").glob("python*/site-packages")
    here = [str(root), *(path for path in sys.path if path.endswith("site-packages"))]
    (packages / "celltrail.pth").write_text("\n".join(here) + "\n")
    return folder / "bin"


@pytest.mark.parametrize("kind", ["wheel", "editable"])
def test_files_of_ones_own_may_bear_the_names_of_our_packages(
    kind: str, request: pytest.FixtureRequest, movie: Path, tmp_path: Path
) -> None:
    python = request.getfixturevalue("core" if kind == "wheel" else "editable") / "python"
    for name in ("tracking.py", "evaluation.py", "segmentation.py", "dashboard.py", "data/__init__.py"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("MINE = True\n")
    script = tmp_path / "analysis.py"
    script.write_text(
        "import sys, data, evaluation, tracking\n"
        "import celltrail as ct\n"
        "assert data.MINE and evaluation.MINE and tracking.MINE\n"
        "result = ct.track(sys.argv[1])\n"
        "print(result.run['status'], ct.evaluate_sequence.__module__)\n"
    )
    done = run(python, script, movie / "data" / "01_GT" / "SEG", cwd=tmp_path)
    assert done.stdout.split() == ["optimal", "celltrail.evaluation.sequence"]
    run(python, "-m", "celltrail", "track", movie / "data" / "01_GT" / "SEG", "--out", tmp_path / "RES", cwd=tmp_path)


def test_another_wheel_may_bring_a_package_called_data(core: Path, movie: Path, tmp_path: Path) -> None:
    site = Path(run(core / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").stdout.strip())
    other = site / "data"
    assert not other.exists()
    try:
        other.mkdir()
        (other / "__init__.py").write_text("raise ImportError('this is not the data of Celltrail')\n")
        run(core / "celltrail", "track", "data/01_GT/SEG", "--out", tmp_path / "RES", cwd=movie)
    finally:
        shutil.rmtree(other)


def find_python(version: str) -> Path | None:
    """A Python of this version that runs: on the path, or kept by pyenv."""
    kept = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")).glob(f"versions/{version}.*/bin/python")
    for python in filter(None, [shutil.which(f"python{version}"), *kept]):
        if subprocess.run([python, "--version"], capture_output=True).returncode == 0:
            return Path(python)
    return None


@pytest.mark.parametrize("version", ["3.12", "3.13"])
def test_later_versions_of_python_find_the_same_tracks(
    version: str, tmp_path: Path, root: Path, wheel: Path, core: Path, movie: Path
) -> None:
    python = find_python(version)
    if python is None:
        pytest.skip(f"Python {version} is not installed here")
    run(python, "-m", "venv", tmp_path / "venv")
    later = tmp_path / "venv" / "bin"
    run(later / "pip", "install", "--quiet", "--constraint", root / "constraints.txt", wheel)
    objectives = []
    for number, folder in enumerate((core, later)):
        out = tmp_path / f"RES{number}"
        run(folder / "celltrail", "track", "data/01_GT/SEG", "--out", out, cwd=movie)
        objectives.append(json.loads((out / "run.json").read_text())["objective"])
    assert objectives[0] == pytest.approx(objectives[1], abs=1e-6)
    assert (tmp_path / "RES0" / "res_track.txt").read_bytes() == (tmp_path / "RES1" / "res_track.txt").read_bytes()
