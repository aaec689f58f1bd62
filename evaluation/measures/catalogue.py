"""What each measure is called, what it means, and how to read it."""

from __future__ import annotations

from collections.abc import Iterable

DEFINITIONS: dict[str, str] = {
    "SEG": "Mean intersection over union of the true cells with their match; 0 for a missed cell (CTC).",
    "DET": "How well cells are found: 1 − cost of adding, removing and splitting detections, relative to none (CTC).",
    "TRA": "How well cells are found and linked: 1 − cost of correcting the lineage graph, relative to none (CTC).",
    "LNK": "How well cells are linked: 1 − cost of correcting the links, relative to none (CTC).",
    "CT": "Complete tracks: F1 score of tracks followed from their first to their last frame (CTC).",
    "TF": "Track fractions: mean over detected tracks of the longest part followed without a break (CTC).",
    "BC": "Branching correctness: F1 score of the divisions; (i): within i frames (CTC).",
    "CCA": "Cell cycle accuracy: 1 − largest difference of the two distributions of cycle lengths (CTC).",
    "BIO": "Mean of those of CT, TF, BC(i) and CCA that are defined (CTC).",
    "OP_CSB": "(SEG + DET) / 2 (CTC, segmentation benchmark).",
    "OP_CTB": "(SEG + TRA) / 2 (CTC, tracking benchmark).",
    "OP_CLB": "(LNK + BIO(i)) / 2 (CTC, linking benchmark).",
    "IoU": "Pixels that are cell in both / pixels that are cell in one of them, over all frames.",
    "Dice": "2 × pixels that are cell in both / sum of the cell pixels of both, over all frames.",
    "pixel_error": "Fraction of pixels that are cell in one and background in the other.",
    "RI": "Rand index: fraction of pixel pairs that both agree to join or to part; background is one segment.",
    "RE": "Rand error: 1 − RI.",
    "ARE": "Adapted Rand error: 1 − F score of pixel pairs joined, on pixels of true cells.",
    "VI": "Variation of information in bits; background is one segment.",
    "VI_nats": "Variation of information in nats.",
    "RI_fg": "Rand index on pixels of true cells.",
    "RE_fg": "1 − RI_fg.",
    "VI_fg": "Variation of information in bits on pixels of true cells.",
    "VI_fg_nats": "Variation of information in nats on pixels of true cells.",
    "precision": "Found cells / all cells of the result, at IoU ≥ .50, one to one.",
    "recall": "Found cells / all true cells, at IoU ≥ .50, one to one.",
    "F1": "F1 score of the cells at IoU ≥ .50.",
    "AP50": "TP / (TP + FP + FN) of the cells at IoU ≥ .50.",
    "F1_mean": "Mean F1 score over the IoU thresholds .50, .55 … .95.",
    "AP": "Mean TP / (TP + FP + FN) over the IoU thresholds .50, .55 … .95.",
    "PQ": "Panoptic quality: SQ × RQ.",
    "SQ": "Mean IoU of the cells found at IoU ≥ .50.",
    "RQ": "F1 score of the cells at IoU ≥ .50.",
    "warping_error": "Fraction of pixels that differ after the truth was deformed without changing its topology.",
    "split_merge_error": "The part of the warping error that splits or merges cells.",
    "V_rand": "ISBI Rand score: F score of pixel pairs joined, on true cells, borders thinned.",
    "V_info": "ISBI information score: F score of shared information, on true cells, borders thinned.",
    "HOTA": "Higher order tracking accuracy: how well cells are found and kept apart over time; mean over IoU .05 … .95.",
    "DetA": "The detection part of HOTA.",
    "AssA": "The association part of HOTA.",
    "HOTA_CTC": "HOTA at one threshold, the CTC's match.",
    "IDF1": "F1 score of cells within the best one-to-one assignment of whole trajectories.",
    "IDP": "Cells of the result in their assigned trajectory / all cells of the result.",
    "IDR": "True cells in their assigned trajectory / all true cells.",
    "MOTA": "1 − (missed + invented cells + identity switches) / true cells.",
    "ID_switches": "How often a true trajectory goes on under another identity.",
    "track_purity": "Mean share of a result's trajectory that follows one true trajectory, weighted by length.",
    "target_effectiveness": "Mean share of a true trajectory that one trajectory of the result follows.",
    "ADE": "Mean distance of the centres of paired cells, in pixels; read it with matched_fraction.",
    "ADE_um": "ADE in µm.",
    "ADE_track": "Mean over true trajectories of their own mean distance, in pixels.",
    "ADE_track_um": "ADE_track in µm.",
    "FDE": "Mean distance in the last common frame of paired trajectories, in pixels.",
    "FDE_um": "FDE in µm.",
    "matched_fraction": "Fraction of true cells that enter ADE.",
    "JACT": "Jaccard index of tracks: paired / (paired + missed + invented) trajectories, centres within 5 pixels (JSC_θ).",
    "JACT_id": "IDTP / (IDTP + IDFP + IDFN): the Jaccard index of cells in assigned trajectories.",
    "SPT_alpha": "1 − distance between all trajectories / that of an empty result (particle tracking challenge).",
    "SPT_beta": "SPT_alpha with a penalty for invented trajectories.",
    "division_F1": "F1 score of the divisions; (i): within i frames.",
    "division_precision": "Found divisions / divisions of the result; (i): within i frames.",
    "division_recall": "Found divisions / true divisions; (i): within i frames.",
    "best_IoU": "Mean over the true cells of the best IoU with any cell of the result.",
}

LOWER_IS_BETTER = {"pixel_error", "RE", "RE_fg", "ARE", "VI", "VI_nats", "VI_fg", "VI_fg_nats", "ADE", "ADE_um",
                   "ADE_track", "ADE_track_um", "FDE", "FDE_um", "ID_switches", "warping_error", "split_merge_error"}  # fmt: skip


ORDER = ["SEG", "DET", "TRA", "LNK", "CT", "TF", "BC", "BC(0)", "BC(1)", "BC(2)", "BC(3)", "CCA",
         "BIO", "BIO(0)", "BIO(1)", "BIO(2)", "BIO(3)", "OP_CSB", "OP_CTB",
         "OP_CLB", "OP_CLB(0)", "OP_CLB(1)", "OP_CLB(2)", "OP_CLB(3)",
         "IoU", "Dice", "pixel_error", "RI", "RE", "ARE", "VI", "VI_nats",
         "warping_error", "split_merge_error", "V_rand", "V_info", "ADE", "ADE_um", "JACT", "matched_fraction",
         "HOTA", "HOTA_CTC", "IDF1", "MOTA", "division_F1"]  # fmt: skip


def in_order(names: Iterable[str]) -> list[str]:
    """Names of measures in the order in which they are shown: the CTC's, then those of regions, then the rest."""
    place = {name: number for number, name in enumerate(ORDER)}
    return sorted(names, key=lambda name: place.get(name, len(place)))


def definition(name: str) -> str:
    """One sentence on a measure; for ``BC(2)`` that of ``BC``."""
    return DEFINITIONS.get(name) or DEFINITIONS.get(name.split("(")[0], "")
