"""The command ``celltrail ctc-package``: a submission to the Cell Tracking Challenge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from celltrail.data.errors import InputError
from celltrail.data.running import console


def package_for_ctc(
    dataset: Annotated[Path, typer.Argument(help="Data set in CTC layout; its folder has the name the CTC gave it.")],
    model: Annotated[str, typer.Option("--model", help="Model file, or a name that 'celltrail models' lists.")],
    out: Annotated[Path, typer.Option("--out", help="Folder for the scripts, to be put beside the data set.")],
    sequence: Annotated[
        list[str] | None, typer.Option("--sequence", help="Sequence; may be repeated. Otherwise all with images.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option("--costs", help="Cost model of 'celltrail fit'.", show_default=False)
    ] = None,
    hypotheses: Annotated[
        bool, typer.Option("--hypotheses", help="Let tracking choose among overlapping candidates.")
    ] = False,
    tta: Annotated[bool, typer.Option("--tta", help="Average over 8 rotations and reflections.")] = False,
    foi: Annotated[int, typer.Option("--foi", min=0, metavar="E", help="Field of interest of this data set.")] = 0,
    overwrite: console.OverwriteOption = False,
) -> None:
    """Write what the Cell Tracking Challenge wants for a submission: a script per sequence that needs no arguments.

    Example:  celltrail ctc-package Fluo-N2DL-HeLa --model fluo-hela --foi 25 --out SW
    """
    from celltrail.data.errors import import_extra, raise_if
    from celltrail.data.files.ctc import find_sequence, find_sequences
    from celltrail.data.writing.output import refuse_existing
    from celltrail.tracking.costs.learned import load_costs

    import_extra("torch", "segmentation")
    from celltrail.segmentation.package import write_package

    refuse_existing(out, overwrite=overwrite, inputs=[dataset])
    found = [find_sequence(dataset, name) for name in sequence] if sequence else find_sequences(dataset)
    raise_if(
        f"{dataset} has no images of sequence {one.name}: choose others with --sequence."
        for one in found
        if sequence and one.images is None
    )
    names = [one.name for one in found if one.images is not None]
    if not names:
        raise InputError(f"{dataset} holds no folder of images (01, 02 …): give a data set in the layout of the CTC.")
    if costs is not None:
        load_costs(costs)
    scripts = write_package(
        out,
        dataset.resolve().name,
        names,
        model,
        costs=costs,
        hypotheses=hypotheses,
        tta=tta,
        foi=foi,
        overwrite=overwrite,
    )
    console.say(
        f"{out}: {', '.join(scripts)}. Put the folder beside {dataset.resolve().name}; README.txt says how to install."
    )
