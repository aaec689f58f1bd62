"""Opening the data while the browser starts, so that the first click finds it open."""

from __future__ import annotations

import argparse
from contextlib import suppress
from pathlib import Path

from celltrail.dashboard.opening import content, registry
from celltrail.dashboard.opening.registry import Given
from celltrail.data import InputError


def read_arguments(arguments: list[str]) -> Given | None:
    """What the command line names; ``None`` for the sample. Streamlit's own arguments are passed over."""
    parser = argparse.ArgumentParser(prog="celltrail dashboard", add_help=False, exit_on_error=False)
    for name in ("data", "images", "masks"):
        parser.add_argument(f"--{name}", type=Path)
    parser.add_argument("--channel", type=int)
    try:
        known, _ = parser.parse_known_args(arguments)
    except (argparse.ArgumentError, SystemExit):
        raise InputError("--data needs a folder:  celltrail dashboard FOLDER.") from None
    given = Given(known.data or known.images or known.masks, known.images, known.masks, known.channel)
    return given if given.data is not None else None


def open_first(arguments: list[str]) -> None:
    """Open what the first page shows: the first movie and its first result."""
    with suppress(InputError):  # the page itself opens it again, and says what is wrong
        given = read_arguments(arguments)
        if given is None or given.data is None:
            return
        movie = registry.open_dataset(given.data, given).movies[0]
        for layer in movie.layers[:1]:
            content.track_colours(content.open_result(layer))
        if movie.images is not None:
            content.grey_range(movie)
