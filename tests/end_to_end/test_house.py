"""The rules of the house: direction of imports, light imports, style, types, clean files."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGES = ("data", "segmentation", "tracking", "evaluation", "dashboard")
MAY_IMPORT = {
    "data": {"data"},
    "segmentation": {"data", "segmentation"},
    "tracking": {"data", "tracking"},
    "evaluation": {"data", "evaluation"},
    "dashboard": set(PACKAGES),
}
HEAVY = ("torch", "streamlit", "plotly", "traccuracy", "distributed", "optuna", "zarr", "geff")


def imported_names(path: Path) -> set[str]:
    """Top-level names of everything that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            names.add(node.module.split(".")[0])
    return names


@pytest.mark.parametrize("package", PACKAGES)
def test_imports_only_point_downwards(root: Path, package: str) -> None:
    wrong = {
        str(path.relative_to(root)): sorted(bad)
        for path in (root / package).rglob("*.py")
        if (bad := (imported_names(path) & {*PACKAGES, "celltrail"}) - MAY_IMPORT[package])
    }
    assert wrong == {}


@pytest.mark.parametrize("package", ["data", "tracking", "evaluation", "segmentation", "celltrail"])
def test_importing_a_package_loads_nothing_heavy(root: Path, package: str) -> None:
    code = f"import sys, {package}; print([name for name in {HEAVY!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=root, check=True)
    assert done.stdout.strip() == "[]"


def test_only_commands_need_typer(root: Path) -> None:
    code = """
import importlib, pathlib, sys
for package in ("data", "tracking", "evaluation"):
    for path in pathlib.Path(package).glob("[a-z]*.py"):
        if not path.stem.endswith("cli") and path.stem != "console":
            importlib.import_module(f"{package}.{path.stem}")
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


def test_types_are_strict_in_data_tracking_and_evaluation(root: Path) -> None:
    done = subprocess.run([sys.executable, "-m", "mypy"], capture_output=True, text=True, cwd=root)
    assert done.returncode == 0, done.stdout + done.stderr


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
