"""The entry point, in plain Python: what importing needs is looked at first, so that too little of it is one sentence."""

from __future__ import annotations

import sys

NEEDED_MB = 600  # address space for the libraries and a small movie; measured with ulimit -v
WITH_TORCH_MB = 1400  # the same with PyTorch, which ends the process where it gets none
TORCH = ("segment", "train", "tune", "preview", "demo", "models")  # commands that load it


def main() -> None:
    """Run the command line, or say what is missing to load it."""
    if problem := too_little(sys.argv[1:]):
        _give_up(problem)
    try:
        from celltrail.cli import main as run
    except (ImportError, MemoryError, OSError) as error:
        if isinstance(error, ImportError) and not _lacks_memory(error):
            raise
        _give_up(
            f"The libraries could not be loaded ({type(error).__name__}): give the command more memory, "
            f"at least {NEEDED_MB} MB of address space (ulimit -v)."
        )
    run()


def too_little(words: list[str]) -> str | None:
    """A sentence where this process may not use as much address space as importing needs; ``None`` where it may."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    limit, _ = resource.getrlimit(resource.RLIMIT_AS)
    needed = WITH_TORCH_MB if words[:1] and words[0] in TORCH else NEEDED_MB
    if limit == resource.RLIM_INFINITY or limit >= needed << 20:
        return None
    return (
        f"This process may use {limit >> 20} MB of address space, but loading the libraries needs {needed} MB: "
        "raise the limit (ulimit -v), or the memory of the job."
    )


def _lacks_memory(error: BaseException) -> bool:
    text = str(error).lower()
    return "failed to map" in text or "cannot allocate" in text or "memory" in text


def _give_up(text: str) -> None:
    sys.stderr.write(text + "\n")
    raise SystemExit(1)
