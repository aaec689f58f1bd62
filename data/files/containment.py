"""Paths that come out of a file, a folder or a browser stay inside the folder that was given.

This is the one place that decides; whoever follows such a path asks here, and opens what it returns.
"""

from __future__ import annotations

import os
from pathlib import Path

from celltrail.data.errors import InputError


def inside(root: Path, path: Path) -> Path:
    """``path`` without links, if it lies inside ``root``.

    Parameters
    ----------
    root : Path
        The folder that must not be left.
    path : Path
        What is to be opened, as it was found: it may be or hold symbolic links and ``..``.

    Returns
    -------
    Path
        The real path: open this one, so that a link that is changed meanwhile leads nowhere else.

    Raises
    ------
    InputError
        If it leads out of ``root``, or nowhere.
    """
    missing = ""
    try:
        real = path.resolve(strict=True)
    except (OSError, RuntimeError, ValueError) as error:
        real, missing = Path(os.path.abspath(path)), type(error).__name__  # by its name alone
    if not real.is_relative_to(root.resolve()):
        raise InputError(
            f"{path} leads out of {root}, as a link or by its name: copy the folder, or open the one it points to."
        )
    if missing:
        raise InputError(f"{path} cannot be opened ({missing}): remove the broken link.")
    return real
