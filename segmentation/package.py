"""A submission to the Cell Tracking Challenge: one script per sequence, which runs without arguments beside the data.

The Challenge unpacks the software beside the data set and starts ``NAME-NN.sh`` (Linux) or ``NAME-NN.bat``
(Windows), which reads ``../NAME/NN`` and writes ``../NAME/NN_RES`` (naming and file content conventions of the CTC).
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from celltrail.data.errors import InputError
from celltrail.data.writing.output import output_folder
from celltrail.segmentation.net.checkpoint import find_model, load_model

MODEL_FILE = "model.safetensors"

LINUX = """\
#!/usr/bin/env bash
# {dataset}, sequence {sequence}: reads ../{dataset}/{sequence}, writes ../{dataset}/{sequence}_RES.
set -euo pipefail
cd "$(dirname "$0")"
celltrail=.venv/bin/celltrail
[ -x "$celltrail" ] || celltrail=celltrail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
"$celltrail" segment "../{dataset}/{sequence}" --model {model} --out "$work/masks"{segment}
"$celltrail" track "$work/masks" --images "../{dataset}/{sequence}" --out "../{dataset}/{sequence}_RES" --overwrite --no-graph{track}
"""

WINDOWS = """\
@echo off
rem {dataset}, sequence {sequence}: reads ..\\{dataset}\\{sequence}, writes ..\\{dataset}\\{sequence}_RES.
setlocal
cd /d "%~dp0"
set "CELLTRAIL=.venv\\Scripts\\celltrail.exe"
if not exist "%CELLTRAIL%" set "CELLTRAIL=celltrail"
set "WORK=%TEMP%\\celltrail-{dataset}-{sequence}-%RANDOM%"
"%CELLTRAIL%" segment "..\\{dataset}\\{sequence}" --model {model} --out "%WORK%\\masks"{segment} || exit /b 1
"%CELLTRAIL%" track "%WORK%\\masks" --images "..\\{dataset}\\{sequence}" --out "..\\{dataset}\\{sequence}_RES" --overwrite --no-graph{track} || exit /b 1
rmdir /s /q "%WORK%"
"""

README = """\
{dataset}: segmentation and tracking by Celltrail {version}.

Put this folder beside the folder {dataset}. Install once, inside this folder, with Python 3.11 or newer:

    python3 -m venv .venv
    .venv/bin/pip install "celltrail[segmentation]=={version}"

(on Windows: py -m venv .venv, then .venv\\Scripts\\pip install "celltrail[segmentation]=={version}"). Where there is
no .venv, the command celltrail on the PATH is used. Then run, without arguments:

{scripts}

Each replaces {dataset}/NN_RES. A result is the same on every machine up to the rounding of its arithmetic.
"""


def write_package(
    out: Path,
    dataset: str,
    sequences: Sequence[str],
    model: str | Path,
    *,
    costs: Path | None = None,
    hypotheses: bool = False,
    tta: bool = False,
    foi: int = 0,
    overwrite: bool = False,
) -> list[str]:
    """Write the folder of a submission: scripts for Linux and Windows, the model, how to install.

    Parameters
    ----------
    out : Path
        The folder.
    dataset : str
        Name of the data set's folder.
    sequences : Sequence[str]
        Their names, like "01".
    model : str | Path
        A file, or the name of a shipped model; it is copied.
    costs : Path | None
        A cost model of ``celltrail fit`` to copy; otherwise the default costs.
    hypotheses, tta, foi
        Options of ``segment`` and ``track`` of the same names.

    Returns
    -------
    list of str
        Names of the scripts.

    Raises
    ------
    InputError
        If the model cannot be read, or the name cannot stand in a script.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9._+-]*", dataset):
        raise InputError(
            f"'{dataset}' cannot name the scripts: name the folder of the data set with letters, digits and "
            "+ - . _, as the CTC does (Fluo-N2DL-HeLa)."
        )
    load_model(model)
    names = []
    with output_folder(out, overwrite=overwrite) as folder:
        shutil.copyfile(find_model(model), folder / MODEL_FILE)
        if costs is not None:
            shutil.copyfile(costs, folder / "costs.json")
        segment = " --hypotheses" * hypotheses + " --tta" * tta
        track = " --hypotheses" * hypotheses + " --costs costs.json" * (costs is not None) + f" --foi {foi}" * (foi > 0)
        for sequence in sequences:
            for ending, template, newline in ((".sh", LINUX, "\n"), (".bat", WINDOWS, "\r\n")):
                script = folder / f"{dataset}-{sequence}{ending}"
                text = template.format(
                    dataset=dataset, sequence=sequence, model=MODEL_FILE, segment=segment, track=track
                )
                script.write_text(text, encoding="ascii", newline=newline)
                script.chmod(0o755)
                names.append(script.name)
        scripts = "\n".join(f"    {name}" for name in names)
        readme = README.format(dataset=dataset, version=version("celltrail"), scripts=scripts)
        (folder / "README.txt").write_text(readme, encoding="ascii")
    return names
