"""The command ``celltrail doctor``: what Celltrail finds on this machine."""

from __future__ import annotations

from pathlib import Path

from celltrail.data.running import console


def doctor(as_json: console.JsonOption = False) -> None:
    """Show what Celltrail finds on this machine: versions, solvers, processors, GPU, free disk.

    Example:  celltrail doctor
    """
    import os
    import platform
    import shutil
    from importlib.metadata import PackageNotFoundError, version
    from importlib.util import find_spec

    import pulp

    packages: dict[str, str | None] = {}
    for name in ("celltrail", "numpy", "highspy", "pulp", "torch", "streamlit", "traccuracy", "optuna", "distributed"):
        try:
            packages[name] = version(name)
        except PackageNotFoundError:
            packages[name] = None
    gpu = None
    if find_spec("torch"):
        import torch

        gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "none: PyTorch computes on the processor"
    found = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "processors": os.cpu_count(),
        "gpu": gpu,
        "free disk (GB)": round(shutil.disk_usage(Path.cwd()).free / 1e9, 1),
        "solvers": ["highs", *(f"pulp:{name}" for name in pulp.listSolvers(onlyAvailable=True))],
        "packages": packages,
    }
    if as_json:
        console.print_json(found)
        return
    for name, value in found.items():
        if isinstance(value, dict):
            for package, number in value.items():
                console.say(f"{package:<16}{number or 'not installed'}")
        else:
            console.say(f"{name:<16}{', '.join(value) if isinstance(value, list) else value}")
