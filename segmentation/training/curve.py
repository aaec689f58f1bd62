"""The learning curve of a training as a table and as a picture."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from pathlib import Path

from celltrail.data.writing.output import output_file


def write_curve(model: Path, history: Sequence[Mapping[str, float]]) -> tuple[Path, Path]:
    """Write ``NAME.csv`` and ``NAME.png`` beside the model ``NAME.safetensors``; returns their paths."""
    table, picture = model.with_suffix(".csv"), model.with_suffix(".png")
    columns = list(dict.fromkeys(key for row in history for key in row))
    with output_file(table, overwrite=True) as work, work.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, columns)
        writer.writeheader()
        writer.writerows(history)
    with output_file(picture, overwrite=True) as work:
        plot_curve(work, history)
    return table, picture


def plot_curve(path: Path, history: Sequence[Mapping[str, float]]) -> None:
    """Losses on the left, measures of the validation frames on the right, over the steps."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.5), layout="constrained")
    losses, measures = figure.subplots(1, 2)
    for axes, names in ((losses, ("train_loss", "loss")), (measures, ("IoU", "SEG", "DET"))):
        for name in names:
            rows = [row for row in history if name in row]
            if rows:
                axes.plot([row["step"] for row in rows], [row[name] for row in rows], label=name)
        axes.set_xlabel("step")
        if axes.lines:
            axes.legend()
    losses.set_ylabel("loss")
    measures.set_ylabel("measure on the validation frames")
    figure.savefig(path, format="png", dpi=120, metadata={"Software": None})
