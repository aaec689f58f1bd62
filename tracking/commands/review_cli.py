"""The command that shows where a result may be wrong."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer

from celltrail.data.running import console
from celltrail.data.running.console import JsonOption, OverwriteOption, SeedOption
from celltrail.data.words import counted

SHOWN = 10  # rows that are printed where no file is asked for
EXTRA = ("draws", "answer", "correct_frame", "correct_label")


def review(
    result: Annotated[Path, typer.Argument(metavar="RES", help="A result of 'celltrail track', with graph.npz.")],
    out: Annotated[
        Path | None, typer.Option("--out", help="The whole list as a table (.csv).", show_default=False)
    ] = None,
    sample: Annotated[
        int | None,
        typer.Option(
            "--sample",
            min=1,
            metavar="N",
            help="Draw N decisions at random to be answered, for a certificate.",
            show_default=False,
        ),
    ] = None,
    answers: Annotated[
        Path | None,
        typer.Option("--answers", help="The list with answers: says how many decisions are wrong.", show_default=False),
    ] = None,
    pins: Annotated[
        Path | None,
        typer.Option("--pins", help="Write what the answers ask of tracking (pins.csv).", show_default=False),
    ] = None,
    curve: Annotated[
        Path | None,
        typer.Option(
            "--curve", metavar="GT", help="Ground truth: how early the list finds what is wrong.", show_default=False
        ),
    ] = None,
    seed: SeedOption = 0,
    overwrite: OverwriteOption = False,
    as_json: JsonOption = False,
) -> None:
    """List the doubtful decisions of a result, least certain first, with what may be true instead.

    Example:  celltrail review 01_RES --out review.csv
    """
    from celltrail.data.errors import InputError
    from celltrail.data.files.pins import write_pins
    from celltrail.data.graph.confidence import load_with_confidence
    from celltrail.data.writing.output import output_file, refuse_existing
    from celltrail.tracking.confidence.answers import pins_from, read_answers
    from celltrail.tracking.confidence.places import as_row, list_places

    if out is not None and out.suffix.lower() != ".csv":
        raise InputError(f"{out} does not end in .csv: the review list is a table.")
    if pins is not None and answers is None:
        raise InputError("--pins writes what answers ask for: give them with --answers.")
    if sample is not None and out is None:
        raise InputError("A sample is answered in a file: give one with --out.")
    for path in (out, pins):
        if path is not None:
            refuse_existing(path, overwrite=overwrite, inputs=[result, *([answers] if answers else [])])
    candidates, solution, track, confidence = load_with_confidence(result / "graph.npz" if result.is_dir() else result)
    places = list_places(candidates, solution, confidence, track)
    said: dict[str, Any] = {"decisions": sum(place.kind != "end" for place in places)}
    if curve is not None:
        said["curve"] = _curve(result, curve, candidates, solution, track, confidence)
    if answers is not None:
        given = read_answers(answers, places)
        said["certificate"] = _certificate(places, given)
        if pins is not None:
            found = pins_from(given, candidates, solution, confidence)
            write_pins(pins, found, overwrite=overwrite)
            said["pins"] = len(found)
    shown = places
    draws: dict[int, int] = {}
    if sample is not None:
        draws = _draw(places, sample, seed)
        shown = [place for place in places if place.rank in draws]
    if out is not None:
        with output_file(out, overwrite=overwrite) as work, work.open("w", encoding="utf-8", newline="") as stream:
            names = [*as_row(places[0])] if places else []
            table = csv.DictWriter(
                stream, [*names, *(EXTRA if sample is not None else EXTRA[1:])], restval="", lineterminator="\n"
            )
            table.writeheader()
            table.writerows(
                as_row(place) | ({"draws": draws[place.rank]} if sample is not None else {}) for place in shown
            )
    if as_json:
        console.print_json({**said, "places": [as_row(place) for place in (shown if out is None else [])]})
        return
    _tell(said, shown, out)


def _tell(said: dict[str, Any], shown: list[Any], out: Path | None) -> None:
    if "curve" in said:
        heads = [f"{100 * share:g} %" for share in said["curve"]["shares"]]
        console.say(
            f"{said['curve']['wrong']} of {counted(said['curve']['decisions'], 'decision')} {'is' if said['curve']['wrong'] == 1 else 'are'} wrong; found in the first"
        )
        console.say(" " * 14 + "".join(f"{head:>8}" for head in heads))
        for name, values in said["curve"]["found"].items():
            console.say(f"{name:14s}" + "".join(f"{value:8.2f}" for value in values))
    if "certificate" in said:
        console.say(said["certificate"]["sentence"])
    if "pins" in said:
        console.say(f"{counted(said['pins'], 'pin')} written: repeat 'celltrail track' with --pins.")
    if out is not None:
        console.say(f"{out}: {counted(len(shown), 'row')}.")
    elif "curve" not in said and "certificate" not in said:
        if shown:
            console.say("How probably each decision is wrong, the most doubtful first:")
        for place in shown[:SHOWN]:
            console.say(
                f"{100 * place.probability_wrong:5.1f} % wrong  frame {place.frame}, {_whose(place)}: {place.decision}"
                f"\n               instead: {place.alternative or 'nothing likely'} ({100 * place.probability_alternative:.1f} %)"
            )
        if len(shown) > SHOWN:
            console.say(f"{len(shown) - SHOWN:,} more: write them all with --out review.csv")


def _whose(place: Any) -> str:
    """The track of a place, or the mask that is in none."""
    return f"track {place.track}" if place.track else f"mask {place.label}, in no track"


def _asked(places: list[Any]) -> tuple[list[Any], Any]:
    """The places that are decisions of their own, and the doubt about each."""
    import numpy as np

    asked = [place for place in places if place.kind != "end"]
    return asked, np.array([place.probability_wrong for place in asked])


def _draw(places: list[Any], count: int, seed: int) -> dict[int, int]:
    """How often each rank was drawn."""
    from celltrail.data.errors import InputError
    from celltrail.tracking.confidence.sampling import draw

    asked, doubt = _asked(places)
    if not asked:
        raise InputError("This result has a single frame of cells: there is no decision to draw.")
    drawn, times = draw(doubt, count, seed)
    return {asked[i].rank: k for i, k in zip(drawn.tolist(), times.tolist(), strict=True)}


def _certificate(places: list[Any], given: list[Any]) -> dict[str, Any]:
    import numpy as np

    from celltrail.tracking.confidence.sampling import certify

    asked, doubt = _asked(places)
    number = {(place.frame, place.label, place.kind): i for i, place in enumerate(asked)}
    mine = [one for one in given if (*one.cell, one.kind) in number]
    if not mine or not all(one.drawn for one in mine):
        wrong = sum(one.answer == "wrong" for one in mine)
        return {
            "sentence": f"{wrong} of {counted(len(mine), 'answered decision')} {'is' if wrong == 1 else 'are'} wrong; only answers to a list of --sample "
            "tell how many are wrong in all"
        }
    certificate = certify(
        doubt,
        np.array([number[(*one.cell, one.kind)] for one in mine]),
        np.array([one.times for one in mine]),
        np.array([one.answer == "wrong" for one in mine]),
        np.array([one.answer != "cannot tell" for one in mine]),
    )
    return {
        "sentence": certificate.sentence,
        "wrong": certificate.wrong,
        "interval": certificate.interval,
        "decisions": certificate.decisions,
        "answered": certificate.answered,
        "unsure": certificate.unsure,
    }


def _curve(result: Path, truth: Path, candidates: Any, solution: Any, track: Any, confidence: Any) -> dict[str, Any]:
    import numpy as np

    from celltrail.data.errors import InputError
    from celltrail.data.files.ctc import track_file
    from celltrail.data.files.opening import open_labels
    from celltrail.data.files.tracks import read_tracks
    from celltrail.tracking.confidence.curve import SHARES, cells_of_result, found_by, margin_doubt
    from celltrail.tracking.confidence.rules import rule_doubt
    from celltrail.tracking.confidence.temperature import judge

    if not result.is_dir():
        raise InputError(f"{result} is no folder: --curve compares the masks of a result with the truth.")
    decisions = judge(candidates, solution, confidence, *cells_of_result(result, truth, candidates, track))
    random = np.random.default_rng(0).random(len(decisions.row))
    file = track_file(result)
    if file is None:
        raise InputError(f"{result} holds no res_track.txt: --curve compares a whole result with the truth.")
    odd = rule_doubt(candidates, solution, track, read_tracks(file), tuple(open_labels(result).shape))
    orders = {
        "probability": decisions.doubt,
        "margin": margin_doubt(candidates, solution)[decisions.row],
        "rules": odd[decisions.row] + random / 2,  # of those that break as many rules, any comes first
        "random": random,
    }
    return {
        "decisions": len(decisions.row),
        "wrong": int(decisions.wrong.sum()),
        "expected": float(decisions.doubt.sum()),
        "shares": SHARES,
        "found": {name: found_by(doubt, decisions.wrong) for name, doubt in orders.items()},
    }
