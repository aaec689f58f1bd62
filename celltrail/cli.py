"""The command ``celltrail``: mounts the commands of every package, and those that cross them."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from celltrail import demo, machine, measured, package, tune
from celltrail.dashboard import cli as dashboard_cli
from celltrail.data import cli as data_cli
from celltrail.data.running import console
from celltrail.evaluation import cli as evaluation_cli
from celltrail.scores import score_masks
from celltrail.segmentation import cli as segmentation_cli
from celltrail.tracking import cli as tracking_cli

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

        console.say(f"celltrail {version('celltrail')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """From time-lapse microscopy to cell lineages, with proven optima."""


app.command("demo", cls=console.Command)(demo.run_demo)
app.command(cls=console.Command)(machine.doctor)
app.command(cls=console.Command)(measured.measure)
app.command("ctc-package", cls=console.Command)(package.package_for_ctc)
app.add_typer(tune.app, name="tune")
data_cli.add_commands(app)
segmentation_cli.add_commands(app, score=score_masks)
tracking_cli.add_commands(app)
evaluation_cli.add_commands(app)
dashboard_cli.add_commands(app)


def main() -> None:
    """Entry point of the console script."""
    sys.exit(console.run(app))
