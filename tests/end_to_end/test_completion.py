"""The tab key completes commands and options."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize(
    ("typed", "expected"),
    [
        ("celltrail sim", {"simulate"}),
        ("celltrail tune s", {"segmentation"}),
        ("celltrail convert --col", {"--columns"}),
    ],
)
def test_the_tab_key(typed: str, expected: set[str]) -> None:
    script = "import celltrail.cli, typer.main; typer.main.get_command(celltrail.cli.app).main(prog_name='celltrail')"
    asked = {"_CELLTRAIL_COMPLETE": "complete_bash", "COMP_WORDS": typed, "COMP_CWORD": str(typed.count(" "))}
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env={**os.environ, **asked})
    assert expected <= set(done.stdout.split()), done.stderr
