"""The command ``celltrail``: mounts the commands of every package, and wires the few that cross them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

import data.cli
import evaluation.cli
import segmentation.cli
import tracking.cli
from data import console

app = typer.Typer(
    name="celltrail",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="From time-lapse microscopy to cell lineages, with proven optima.",
)


def _print_version(wanted: bool) -> None:
    if wanted:
        from importlib.metadata import version

        typer.echo(f"celltrail {version('celltrail')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From time-lapse microscopy to cell lineages, with proven optima."""


data.cli.add_commands(app)
segmentation.cli.add_commands(app)
tracking.cli.add_commands(app)
evaluation.cli.add_commands(app)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(console.run(app))


if __name__ == "__main__":
    main()
