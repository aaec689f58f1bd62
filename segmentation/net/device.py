"""Where a net computes."""

from __future__ import annotations

from celltrail.data.errors import InputError, import_extra


def choose_device(name: str) -> str:
    """``cpu`` or ``cuda``; ``auto`` is ``cuda`` where there is a GPU.

    Raises
    ------
    InputError
        If the device is not available.
    """
    torch = import_extra("torch", "segmentation")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name not in ("cpu", "cuda") or (name == "cuda" and not torch.cuda.is_available()):
        raise InputError(f"--device {name}: not available here; choose auto or cpu.")
    return name
