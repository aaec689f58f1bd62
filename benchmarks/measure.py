"""What all benchmarks share: timing of whole commands, a table on the screen, a JSON file of rows."""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

PACKAGES = (
    "celltrail",
    "numpy",
    "scipy",
    "numba",
    "highspy",
    "pulp",
    "torch",
    "traccuracy",
    "py-ctcmetrics",
    "laptrack",
    "motile",
    "btrack",
    "ortools",
    "streamlit",
)


@dataclass
class Usage:
    """What a block of code or a command took: CPU and wall seconds, and peak memory in MB."""

    cpu_s: float = 0.0
    wall_s: float = 0.0
    peak_mb: float = 0.0


@contextmanager
def measured() -> Iterator[Usage]:
    """Measure a block of this process; the peak is that of the process so far."""
    usage = Usage()
    cpu, wall = time.process_time(), time.perf_counter()
    yield usage
    usage.cpu_s, usage.wall_s = time.process_time() - cpu, time.perf_counter() - wall
    usage.peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def run_command(command: list[str], *, timeout_cpu_s: int | None = None) -> tuple[Usage, int, str]:
    """Run a command; returns what it took (the system's own account), its exit code and its stdout."""

    def limit() -> None:
        if timeout_cpu_s is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (timeout_cpu_s, timeout_cpu_s + 5))

    start = time.perf_counter()
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, preexec_fn=limit)
    assert process.stdout is not None
    output = process.stdout.read()
    _, status, account = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    usage = Usage(account.ru_utime + account.ru_stime, time.perf_counter() - start, account.ru_maxrss / 1024)
    return usage, process.returncode, output


def celltrail(*arguments: object) -> tuple[Usage, Any]:
    """Run a celltrail command with ``--json``; returns what it took and what it printed.

    Ends the benchmark with the command's own message when it fails.
    """
    command = [sys.executable, "-m", "celltrail", *(str(argument) for argument in arguments), "--json"]
    usage, status, output = run_command(command)
    if status != 0:
        sys.exit(f"'celltrail {' '.join(command[3:])}' ended with {status}.")
    return usage, json.loads(output)


def parser(description: str | None) -> argparse.ArgumentParser:
    """An argument parser with the option that all benchmarks have."""
    result = argparse.ArgumentParser(description=description)
    result.add_argument("--json", type=Path, metavar="FILE", help="also write the rows to this file")
    return result


def write_rows(path: Path | None, rows: list[dict[str, Any]]) -> None:
    """Write ``{"machine", "versions", "rows"}`` as JSON, if a path is given."""
    if path is None:
        return
    versions = {}
    for package in PACKAGES:
        try:
            versions[package] = version(package)
        except PackageNotFoundError:
            continue
    machine = {"system": platform.platform(), "python": platform.python_version(), "cores": os.cpu_count()}
    path.write_text(json.dumps({"machine": machine, "versions": versions, "rows": rows}, indent=2) + "\n")


def read_rows(path: Path | None) -> list[dict[str, Any]]:
    """The rows of a run that was broken off, or none."""
    return list(json.loads(path.read_text())["rows"]) if path is not None and path.is_file() else []


def markdown_table(header: list[str], rows: list[list[Any]]) -> str:
    """A table in Markdown; floats with three digits after the point, ``None`` as a dash."""

    def show(value: Any) -> str:
        if value is None:
            return "–"
        return f"{value:.3f}" if isinstance(value, float) else str(value)

    lines = ["| " + " | ".join(header) + " |", "|" + "|".join(" --- " for _ in header) + "|"]
    lines += ["| " + " | ".join(show(value) for value in row) + " |" for row in rows]
    return "\n".join(lines)
