"""The command ``celltrail dashboard``."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from celltrail.data.errors import InputError, import_extra
from celltrail.data.running import console
from celltrail.data.running.children import watch_children


def add_commands(app: typer.Typer) -> None:
    """Mount the commands of this package."""

    @app.command(cls=console.Command)
    def dashboard(
        folder: Annotated[
            Path | None,
            typer.Argument(
                metavar="[DIR]",
                help="A data set in CTC layout, a result, images, or a movie file; without it, the sample.",
            ),
        ] = None,
        images: Annotated[
            Path | None, typer.Option("--images", metavar="DIR", help="Its images, where they lie elsewhere.")
        ] = None,
        masks: Annotated[
            Path | None, typer.Option("--masks", metavar="DIR", help="Masks to show with it, from anywhere.")
        ] = None,
        channel: Annotated[
            int | None, typer.Option("--channel", min=0, metavar="N", help="The channel of the images to show.")
        ] = None,
        port: Annotated[int, typer.Option("--port", min=1, max=65535, help="Where the page is served.")] = 8501,
        host: Annotated[
            str, typer.Option("--host", help="Listen here; anything but this computer itself needs a token.")
        ] = "127.0.0.1",
        browser: Annotated[bool, typer.Option("--browser/--no-browser", help="Open the page in a browser.")] = True,
    ) -> None:
        """Look at movies, tracks, lineages and errors in the browser, on this computer only.

        Example:  celltrail dashboard Fluo-N2DL-HeLa
        """
        words = {"--data": folder, "--images": images, "--masks": masks}
        paths = [word for name, path in words.items() if path is not None for word in (name, str(path.resolve()))]
        for path in (images, masks):
            if path is not None and not path.exists():
                raise InputError(f"{path} does not exist: give the folder or file that holds the frames.")
        more = [] if channel is None else ["--channel", str(channel)]
        serve(folder, port=port, host=host, browser=browser, options=[*paths, *more])


def serve(
    folder: Path | None,
    *,
    port: int = 8501,
    host: str = "127.0.0.1",
    browser: bool = True,
    options: Sequence[str] | None = None,
) -> None:
    """Serve the dashboard until the user stops it.

    Parameters
    ----------
    folder : Path | None
        The data set to show; ``None``: the sample.
    host : str
        Where to listen. Anything but 127.0.0.1 can be reached from other computers, and needs the token that is
        printed.
    options : Sequence[str] | None
        What the page script is told; ``None``: the folder.

    Raises
    ------
    InputError
        If ``folder`` does not exist.
    MissingExtra
        If Streamlit is not installed.
    """
    import_extra("streamlit", "dashboard")
    if folder is not None and not folder.exists():
        raise InputError(f"{folder} does not exist: give the folder that holds 01, 01_GT, 01_RES …")
    launcher = Path(__file__).with_name("app.py")
    command = [sys.executable, "-m", "streamlit", "run", str(launcher), "--server.port", str(port)]
    if host != "127.0.0.1":
        # The token, not the name of the host, decides who may look.
        command += ["--server.address", host, "--server.allowedHosts", "*"]
    command += ["--server.headless", str(not browser).lower()]
    if options is None:
        options = [] if folder is None else ["--data", str(folder.resolve())]
    if options:
        command += ["--", *options]
    watch_children()
    status = subprocess.run(command, check=False).returncode
    if status:
        raise typer.Exit(1)
