"""The commands of ``tracking``."""

from __future__ import annotations

import typer


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""
