"""The command that solves a kept graph again: other costs, another solver, more time; no pixels needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from celltrail.data.running import console
from celltrail.data.running.console import DaskOption, JobsOption, JsonOption, OverwriteOption
from celltrail.data.settings_cli import option_of
from celltrail.data.types import IntArray
from celltrail.data.words import counted
from celltrail.tracking.settings import TrackSettings

NatsOption = Annotated[float, typer.Option(metavar="NATS", help="Added to every such cost before solving.")]

ResumeOption = Annotated[
    bool, typer.Option("--resume", help="Go on where a run for the same --out was stopped, and replace its result.")
]


def solve(
    graph: Annotated[Path, typer.Argument(help="A graph.npz that 'celltrail track' has written.")],
    out: Annotated[Path, typer.Option("--out", help="The graph.npz to write, with the new solution.")],
    solver: Annotated[str, option_of(TrackSettings, "solver")] = TrackSettings.solver,
    link: NatsOption = 0.0,
    division: NatsOption = 0.0,
    appear: NatsOption = 0.0,
    disappear: NatsOption = 0.0,
    time_limit: Annotated[float | None, option_of(TrackSettings, "time_limit")] = TrackSettings.time_limit,
    jobs: JobsOption = 1,
    dask: DaskOption = None,
    resume: ResumeOption = False,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """Solve a kept candidate graph again, without touching pixels.

    Ctrl-C writes the best solution so far, with its gap; the same command with --resume goes on.

    Example:  celltrail solve 01_RES/graph.npz --division 2 --out fewer_divisions.npz
    """
    from celltrail.data.graph.candidates import load_graph, save_graph
    from celltrail.data.running.workers import open_workers
    from celltrail.data.writing.output import refuse_existing
    from celltrail.data.writing.ownership import owned
    from celltrail.tracking.exporting.lineage import build_lineage
    from celltrail.tracking.saved import forget, remember, saved_parts
    from celltrail.tracking.solving.solver import solve_candidates

    if resume and out.exists():
        overwrite = overwrite or _is_unfinished(out)
    refuse_existing(out, overwrite=overwrite)
    candidates, before, _ = load_graph(graph)
    detections = candidates.detections
    candidates = replace(
        candidates,
        detections=replace(
            detections,
            appear=_more(detections.appear, appear, "appear"),
            disappear=_more(detections.disappear, disappear, "disappear"),
        ),
        links=replace(candidates.links, cost=_more(candidates.links.cost, link, "link")),
        divisions=replace(candidates.divisions, cost=_more(candidates.divisions.cost, division, "division")),
    )
    with (
        owned(out),
        console.show_progress(quiet=as_json) as progress,
        open_workers(jobs, dask) as mapper,
        saved_parts(out, resume=resume) as saved,
    ):
        solution = solve_candidates(
            candidates, solver=solver, mapper=remember(mapper, saved), time_limit=time_limit, progress=progress
        )
        save_graph(out, candidates, solution, track=build_lineage(candidates, solution).track)
        unfinished = solution.status != "optimal" and (solution.interrupted or time_limit is not None)
        if not unfinished:
            forget(saved)
    summary = {
        **solution.certificate,
        "components": solution.components,
        "open_components": len(solution.open_components),
        "links": int(solution.link_chosen.sum()),
        "divisions": int(solution.division_chosen.sum()),
        "changed_links": None if before is None else int((before.link_chosen != solution.link_chosen).sum()),
        "changed_divisions": None
        if before is None
        else int((before.division_chosen != solution.division_chosen).sum()),
    }
    if as_json:
        console.print_json(summary)
    else:
        proof = "proven optimal" if solution.status == "optimal" else f"within {solution.gap:.3g} nats of the optimum"
        console.say(
            f"Objective {summary['objective']:.6f} nats, {proof}: {counted(int(solution.link_chosen.sum()), 'link')}, "
            f"{counted(int(solution.division_chosen.sum()), 'division')}. Written to {out}."
        )
        if unfinished:
            console.say("The same command with --resume goes on from what is solved.")
    if solution.interrupted:
        raise typer.Exit(130)


def _is_unfinished(out: Path) -> bool:
    """Whether a graph was written before its solution was proven; `InputError` where it is."""
    from celltrail.data.errors import InputError
    from celltrail.data.graph.candidates import load_graph

    _, solution, _ = load_graph(out)
    if solution is not None and solution.status == "optimal":
        raise InputError(f"{out} is proven optimal already: there is nothing to go on with.")
    return True


def _more(cost: IntArray, nats: float, name: str) -> IntArray:
    """Costs with ``nats`` added."""
    import math

    from celltrail.data.errors import InputError
    from celltrail.data.graph.candidates import to_units

    if not math.isfinite(nats) or abs(nats) > 1e6:
        raise InputError(f"--{name} is {nats}: give a finite number of nats, within a million.")
    shifted: IntArray = cost + to_units(nats)
    return shifted
