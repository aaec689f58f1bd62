"""The tree of the wheel, laid in links: what static tools need to see in a checkout.

In a checkout ``celltrail/__init__.py`` finds the packages beside it when it runs. mkdocstrings reads the sources without
running them, so it gets a folder in which they lie where a wheel has them.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mkdocs.plugins import event_priority

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("data", "segmentation", "tracking", "evaluation", "dashboard")
TREE = TemporaryDirectory(prefix="celltrail-docs-")  # goes when the process ends


def lay(tree: Path) -> None:
    """``tree/celltrail`` as a wheel has it; links, or copies where the system allows none."""
    parts = [*(ROOT / "celltrail").glob("*.py"), *(ROOT / package for package in PACKAGES)]
    (tree / "celltrail").mkdir(exist_ok=True)
    for part in parts:
        place = tree / "celltrail" / part.name
        try:
            place.symlink_to(part, target_is_directory=part.is_dir())
        except FileExistsError:
            continue
        except OSError:
            (shutil.copytree if part.is_dir() else shutil.copy)(part, place)


@event_priority(100)
def on_config(config: Any) -> Any:
    """Called by MkDocs before it builds, and before mkdocstrings reads its configuration."""
    lay(Path(TREE.name))
    config.plugins["mkdocstrings"].config.handlers["python"]["paths"] = [TREE.name]
    return config
