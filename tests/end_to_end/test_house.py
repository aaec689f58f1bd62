"""The rules of the house: direction of imports, light imports, style, types, clean files."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import celltrail
from celltrail.data.words import counted

PACKAGES = ("data", "segmentation", "tracking", "evaluation", "dashboard")
MAY_IMPORT = {
    "data": {"data"},
    "segmentation": {"data", "segmentation"},
    "tracking": {"data", "tracking"},
    "evaluation": {"data", "evaluation"},
    "dashboard": set(PACKAGES),
}
FLOORS = {  # the rooms of a package from the ground up; one imports only rooms that come before it
    "data": ("writing", "running", "labels", "readers", "files", "graph", "simulation", "formats", "pictures"),
    "segmentation": ("net", "prediction", "training"),
    "tracking": ("solving", "confidence", "measuring", "candidates", "costs", "exporting", "repairing"),
    "evaluation": ("measures", "comparing", "reports"),
}
MANY = 16  # modules in a folder, from which on rooms inside would help
HEAVY = ("torch", "streamlit", "plotly", "traccuracy", "distributed", "optuna", "zarr", "geff")


def imported_names(path: Path) -> set[str]:
    """The modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_only_point_downwards(root: Path, package: str) -> None:
    wrong = {}
    for path in (root / package).rglob("*.py"):
        found = imported_names(path)
        packages = {name.split(".")[1] for name in found if name.startswith("celltrail.")}
        bad = (packages & {*PACKAGES, "cli", "demo"}) - MAY_IMPORT[package]
        bare = {name for name in found if name.split(".")[0] in PACKAGES}
        if bad | bare:
            wrong[str(path.relative_to(root))] = sorted(bad | bare)
    assert wrong == {}


@pytest.mark.parametrize("package", FLOORS)
def test_rooms_stand_on_the_rooms_below_them(root: Path, package: str) -> None:
    wrong = []
    for floor, room in enumerate(FLOORS[package]):
        above = [f"celltrail.{package}.{name}." for name in FLOORS[package][floor + 1 :]]
        for path in (root / package / room).rglob("*.py"):
            wrong += [f"{path.stem}: {name}" for name in imported_names(path) if name.startswith(tuple(above))]
    assert wrong == []


def test_no_folder_is_crowded(root: Path) -> None:
    folders = [root / package for package in PACKAGES]
    folders += [inner for folder in folders for inner in folder.rglob("*") if inner.is_dir()]
    crowded = {str(f.relative_to(root)): n for f in folders if (n := len(list(f.glob("[!_]*.py")))) > MANY}
    assert crowded == {}


@pytest.mark.parametrize("package", ["celltrail", *(f"celltrail.{name}" for name in PACKAGES[:-1])])
def test_importing_a_package_loads_nothing_heavy(root: Path, package: str) -> None:
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_public_names_are_found_where_they_are_promised() -> None:
    assert all(getattr(celltrail, name) is not None for name in celltrail.__all__)
    assert {"track", "solve", "candidate_graph", "segment_movie", "evaluate_sequence"} <= set(dir(celltrail))
    with pytest.raises(AttributeError, match="no attribute 'trak'"):
        celltrail.trak  # noqa: B018


def test_only_commands_need_typer(root: Path) -> None:
    code = """
import importlib, pathlib, sys
for package in ("data", "tracking", "evaluation"):
    for path in pathlib.Path(package).rglob("[a-z]*.py"):
        if not path.stem.endswith("cli") and path.stem != "console":
            importlib.import_module(f"celltrail.{'.'.join(path.with_suffix('').parts)}")
print([name for name in ("typer", "click") if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_no_public_function_bears_the_name_of_its_module(root: Path) -> None:
    clashes = []
    for package in PACKAGES:
        for path in (root / package).rglob("*.py"):
            tree = ast.parse(path.read_text(encoding="utf-8"))
            clashes += [
                f"{path.relative_to(root)}: {node.name}"
                for node in tree.body
                if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name == path.stem
            ]
    assert clashes == []


@pytest.mark.parametrize("arguments", [["check", "."], ["format", "--check", "."]], ids=["lint", "format"])
def test_ruff(root: Path, arguments: list[str]) -> None:
    done = subprocess.run([sys.executable, "-m", "ruff", *arguments], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr


def test_types_are_strict_in_every_package(root: Path, tmp_path: Path) -> None:
    # static tools follow no __path__ that is made at run time: they see the tree of the wheel, made of links
    for part in sorted((root / "celltrail").glob("*.py*")):
        link(tmp_path / "celltrail" / part.name, part)
    for package in PACKAGES:
        link(tmp_path / "celltrail" / package, root / package)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--config-file",
        root / "pyproject.toml",
        "--cache-dir",
        root / ".mypy_cache",
    ]
    done = subprocess.run([*command, "-p", "celltrail"], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr


THINGS = (
    "answers|cells|channels|columns|components|cycles|decisions|divisions|errors|files|frames|hypotheses|images|labels|lineages|"
    "lines|links|masks|measures|movies|nuclei|objects|parts|pieces|pins|places|planes|points|positions|problems|questions|rows|"
    "sequences|slices|spots|stacks|steps|tables|tiles|tracks|workers"
)
COUNTED = re.compile(rf"^ ([a-z-]+ )?({THINGS})\b")


def counts_without_counted(text: str) -> list[str]:
    """Numbers of things in f-strings that would read "1 masks": what is counted there, or shown with thousands."""
    found = []
    for node in ast.walk(ast.parse(text)):
        pairs = zip(node.values, node.values[1:], strict=False) if isinstance(node, ast.JoinedStr) else ()
        for value, after in pairs:
            if not (isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant)):
                continue
            called = {getattr(call.func, "id", getattr(call.func, "attr", "")) for call in calls_in(value.value)}
            shown = ast.unparse(value.format_spec) if value.format_spec else ""
            number = bool(called & {"len", "sum"}) or "," in shown
            if number and "counted" not in called and COUNTED.match(str(after.value)):
                found.append(f"{ast.unparse(value.value)}{after.value}")
    return found


def calls_in(node: ast.AST) -> list[ast.Call]:
    """The calls in an expression."""
    return [inner for inner in ast.walk(node) if isinstance(inner, ast.Call)]


def test_what_is_counted_is_said_by_counted(root: Path) -> None:
    wrong = {}
    for package in ("celltrail", *PACKAGES):
        for path in (root / package).rglob("*.py"):
            if found := counts_without_counted(path.read_text(encoding="utf-8")):
                wrong[str(path.relative_to(root))] = found
    assert wrong == {}
    said = 'f"{len(a)} masks, {n:,} wrong links, {counted(len(b), one)} of cells; {path} links cells, {x:.1f} frames"'
    assert counts_without_counted(said) == ["len(a) masks, ", "n wrong links, "]


@pytest.mark.parametrize(
    ("number", "said"), [(0, "0 masks"), (1, "1 mask"), (2500, "2,500 masks"), (1.0, "1 mask"), (2.5, "2.5 masks")]
)
def test_one_of_a_thing_is_no_plural(number: float, said: str) -> None:
    assert counted(number, "mask") == said
    assert counted(number, "has", "have").endswith(" has" if number == 1 else " have")


def link(place: Path, target: Path) -> None:
    """A link, or a copy where the system allows none."""
    place.parent.mkdir(exist_ok=True)
    try:
        place.symlink_to(target, target_is_directory=target.is_dir())
    except OSError:
        (shutil.copytree if target.is_dir() else shutil.copy)(target, place)


def test_nothing_binary_is_tracked_but_model_weights(root: Path) -> None:
    if not (root / ".git").exists():
        pytest.skip("not a git checkout")
    files = subprocess.run(["git", "ls-files", "-z"], capture_output=True, text=True, cwd=root, check=True).stdout
    tracked = [root / name for name in files.split("\0") if name]
    weights = [path for path in tracked if path.suffix == ".safetensors"]
    binary = [
        str(path.relative_to(root))
        for path in tracked
        if path.is_file() and path not in weights and b"\0" in path.read_bytes()[:8192] and path.suffix != ".png"
    ]
    assert binary == []
    assert all(path.parent.name == "models" and path.stat().st_size <= 4 * 2**20 for path in weights)
    assert all(path.with_suffix(".md").is_file() for path in weights), "every model has a card"
    pictures = [path for path in tracked if path.suffix == ".png"]
    assert all(path.parent.name == "pictures" and path.stat().st_size < 500_000 for path in pictures)
