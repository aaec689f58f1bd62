"""Two files or folders change names in one step, so that at every moment each name has one of the two."""

from __future__ import annotations

import ctypes
import ctypes.util
import errno
import os
import sys
from pathlib import Path

AT_FDCWD = -100  # paths are taken relative to the working folder (Linux: fcntl.h)
EXCHANGE = 2  # RENAME_EXCHANGE of Linux (renameat2), and RENAME_SWAP of macOS (renamex_np)
CANNOT = (errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def exchange_names(first: Path, second: Path) -> bool:
    """Swap the names of two existing files or folders atomically.

    Returns
    -------
    bool
        ``False``, with nothing changed, where the system or the file system cannot do it.

    Raises
    ------
    OSError
        If it can, but not with these two: one is missing, no permission, different file systems.
    """
    libc = ctypes.CDLL(ctypes.util.find_library("c") if sys.platform == "darwin" else None, use_errno=True)
    a, b = os.fsencode(first), os.fsencode(second)
    if sys.platform.startswith("linux") and hasattr(libc, "renameat2"):
        failed = libc.renameat2(AT_FDCWD, a, AT_FDCWD, b, EXCHANGE)
    elif sys.platform == "darwin" and hasattr(libc, "renamex_np"):
        failed = libc.renamex_np(a, b, EXCHANGE)
    else:
        return False
    if not failed:
        return True
    code = ctypes.get_errno()
    if code in CANNOT:
        return False
    raise OSError(code, os.strerror(code), str(first), None, str(second))
