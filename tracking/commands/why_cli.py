"""The command that says why a cell was linked as it was."""

from __future__ import annotations

import math
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.data.running import console
from celltrail.data.running.console import JsonOption

TERMS = 4  # terms of a cost that are printed, the largest ones


def why(
    result: Annotated[Path, typer.Argument(metavar="RES", help="A result of 'celltrail track', with graph.npz.")],
    frame: Annotated[int, typer.Argument(help="Frame of the cell.")],
    label: Annotated[int, typer.Argument(help="Label of the cell in the result's masks.")],
    by_input: Annotated[bool, typer.Option("--input-label", help="The label is that of the input masks.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Say why a cell was linked as it was: what else was possible, at what cost, and how sure the choice is.

    A probability is the share of all solutions, weighted by their costs; a margin is the price in nats of the best solution without that choice, found by solving again.
    A mask that was split, joined, merged or left out is answered for by what it has become.

    Example:  celltrail why 01_RES 12 7
    """
    from celltrail.data.errors import InputError
    from celltrail.data.graph.candidates import load_graph
    from celltrail.data.graph.confidence import read_confidence
    from celltrail.data.run_file import RUN_FILE, read_run
    from celltrail.tracking.explain import explain_cell

    graph = result / "graph.npz" if result.is_dir() else result
    candidates, solution, track = load_graph(graph)
    if solution is None or track is None:
        raise InputError(f"{result} holds candidates without a solution: run 'celltrail track' first.")
    confidence = read_confidence(graph)
    run: dict[str, Any] = {}
    with suppress(InputError):  # a graph may lie anywhere
        run = read_run(graph.parent / RUN_FILE)
    found = explain_cell(
        candidates, solution, track, frame, label, by_track=not by_input, confidence=confidence, run=run
    )
    if as_json:
        console.print_json(found)
        return
    if found["became"]:
        console.say(found["became"])
    for number, one in enumerate(found["cells"] or [found] * (found["cell"] is not None)):
        _say_cell(one, "\n" * (number > 0), "in pins" if found["became"] else "of the input masks")


def _say_cell(found: dict[str, Any], before: str, where: str) -> None:
    cell = found["cell"]
    name = f"track {cell['track']}" if cell["track"] else "in no track"
    console.say(f"{before}{_name(cell)}, {name}, cell {cell['label']} {where}")
    for side in ("past", "future"):
        console.say(f"\n{side.capitalize()}:")
        for choice in found[side]:
            console.say(_line(choice))


def _name(cell: dict[str, Any]) -> str:
    place = ", ".join(f"{axis} {cell[axis]:g}" for axis in ("z", "y", "x") if axis in cell)
    return f"frame {cell['frame']} at {place}"


def _line(choice: dict[str, Any]) -> str:
    mark = "→" if choice["chosen"] else " "
    cells = "; ".join(f"{_name(cell)} (track {cell['track']})" for cell in choice["cells"])
    text = f" {mark} {choice['kind']:10s} {choice['cost']:8.2f} nats, odds {choice['odds']}"
    if "probability" in choice:
        text += f", probability {100 * choice['probability']:.1f} %"
    text += f"  {cells}" if cells else ""
    if choice["kind"] == "division" and len(choice["cells"]) == 2:
        text += "; the other daughter is outside the image"
    if choice["kind"] == "division" and len(choice["cells"]) == 1:
        text += "; a third daughter, for what it costs to appear"
    if "margin" in choice:
        worse = f"the best solution is {choice['margin']:.2f} nats worse"
        text += f"\n     without it {worse if choice['margin'] < math.inf else 'there is no solution: a pin keeps it'}"
    terms = ", ".join(f"{name} {value:+.2f}" for name, value in list(choice["terms"].items())[:TERMS])
    return text + (f"\n     {terms}" if terms else "")
