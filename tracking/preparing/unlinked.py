"""What was not linked, though somebody may want it to be: said in a sentence, with the option that links it."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from celltrail.data.columns import take
from celltrail.data.graph.candidates import NAT, Candidates, Solution, to_units
from celltrail.data.types import Masks
from celltrail.data.words import counted
from celltrail.tracking.candidates.features import link_features
from celltrail.tracking.candidates.gaps import clear_pairs, find_gaps
from celltrail.tracking.candidates.loose import Loose, find_loose
from celltrail.tracking.measuring.glimpses import Glimpses
from celltrail.tracking.measuring.table import DetectionTable
from celltrail.tracking.preparing.preparation import Prepared
from celltrail.tracking.settings import LONGEST_GAP, USUAL_GAP, TrackSettings

FEWEST = 2  # places that are worth a sentence …
SHOWN = 3  # runs of frames that are named
SHARE = 0.0005  # … and share of the links: clean masks show that many or fewer (benchmarks/chance.py)


def say_unlinked(
    prepared: Prepared, candidates: Candidates, solution: Solution, settings: TrackSettings, masks: Masks
) -> list[str]:
    """What ``run.json`` and ``track`` say of places where a link was not made.

    Parameters
    ----------
    prepared : Prepared
        The problem, and how many pairs of cells looked like a gap and were not believed.
    candidates : Candidates
        The problem with its pins.
    solution : Solution
        Its answer.
    settings : TrackSettings
        How it was tracked.
    masks : mapping
        What was measured.
    """
    constants, best = prepared.settled, -int(candidates.links.cost.min(initial=0)) / NAT
    said = say_cuts(
        prepared.problem.table, settings, longest=(2 * constants.appear + best) / max(constants.blank, 1e-9)
    )
    if settings.method != "ilp" or not settings.longest_gap:
        return said
    limit, links = settings.longest_gap, int(solution.link_chosen.sum())
    if _worth_a_word(prepared.dismissed, links):
        places = counted(prepared.dismissed, "place looks", "places look")
        said.append(
            f"{places} like a cell that went unseen for up to {counted(limit, 'frame')}: in {counted(links, 'link')} that "
            f"is what chance brings, so none was linked. --max-gap {limit} links such cells, and paints what is missing."
        )
    further = min(max(2 * limit, USUAL_GAP), LONGEST_GAP)
    longer = 0 if further == limit else count_longer(prepared, candidates, solution, masks, limit, further)
    if _worth_a_word(longer, links):
        places = counted(longer, "place looks", "places look")
        said.append(
            f"{places} like a cell that went unseen for {limit + 1} to {further} frames, longer than the limit of {limit}: "
            f"--max-gap {further} links such cells."
        )
    return said


def _worth_a_word(places: int, links: int) -> bool:
    return places >= FEWEST and places > SHARE * links


def say_cuts(table: DetectionTable, settings: TrackSettings, longest: float) -> list[str]:
    """What is to be said of frames without any cell, where they are so many in a row that no link leads over them.

    Parameters
    ----------
    table : DetectionTable
        The cells.
    settings : TrackSettings
        How many frames links lead over.
    longest : float
        Frames over which the best link of the movie would pay.
    """
    limit = settings.longest_gap if settings.method == "ilp" else 0
    bearable: list[tuple[int, int, int]] = []
    hopeless: list[tuple[int, int, int]] = []
    for before, after in pairwise(np.unique(table.frame).tolist()):
        lost = (after - before) // table.step - 1
        if lost > limit:
            known = bearable if lost <= LONGEST_GAP and lost < longest else hopeless
            known.append((lost, before + table.step, after - table.step))
    if settings.method != "ilp":
        remedy = f"The method '{settings.method}' links frames that follow each other only; 'ilp' may link over these."
    elif settings.masks_as_given:
        remedy = f"Without --masks-as-given, --max-gap {max(bearable, default=(0,))[0]} may link cells over them."
    else:
        remedy = f"--max-gap {max(bearable, default=(0,))[0]} links cells over them where they fit."
    apart = "After so many, no cell is known again: track the parts as movies of their own (--frames)."
    return [_say_cut(bearable, remedy)] * bool(bearable) + [_say_cut(hopeless, apart)] * bool(hopeless)


def _say_cut(runs: list[tuple[int, int, int]], remedy: str) -> str:
    """What runs of frames cut, given with their lengths, first and last frames."""
    shown = [str(first) if first == last else f"{first} to {last}" for _, first, last in runs[:SHOWN]]
    shown += [f"{len(runs) - SHOWN} more such runs"] * (len(runs) > SHOWN)
    one = len(runs) == 1 and runs[0][0] == 1
    which = f"Frame {shown[0]} is" if one else f"Frames {', '.join(shown)} are"
    return f"{which} empty or missing: all cells before end, and those after begin anew. {remedy}"


def count_longer(
    prepared: Prepared, candidates: Candidates, solution: Solution, masks: Masks, limit: int, further: int
) -> int:
    """How many places of a result look like a cell that went unseen for more frames than its limit, up to ``further``.

    Only cells that end and begin inside the image are asked, which are few.
    """
    problem, inside = prepared.problem, int(to_units(prepared.settled.appear))
    table, d = problem.table, candidates.detections
    loose = find_loose(candidates, solution, table.area, table.typical_area)
    ends = solution.disappears & solution.used & (d.disappear >= inside)
    begins = solution.appears & solution.used & (d.appear >= inside)
    none = np.zeros_like(loose.smaller)
    loose = Loose(np.where(ends, loose.future, np.inf), np.where(begins, loose.past, np.inf), none)
    table, links = find_gaps(table, loose, Glimpses(masks, table, solution.used), max_gap=further)
    links = take(links, links.missed > limit)
    logit, _ = prepared.model.link(link_features(table, links, problem.usual), len(links))
    evidence = logit - loose.between(links.source, links.target) - 2 * prepared.settled.appear
    return len(clear_pairs(links, evidence))
