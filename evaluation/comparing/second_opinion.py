"""traccuracy's results beside ours: a second opinion, with its known differences named."""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from celltrail.data.errors import InputError, import_extra
from celltrail.data.files.ctc import track_file
from celltrail.evaluation.truth import find_truth

KNOWN_DIFFERENCES = (
    "A mask over m cells counts as one split in traccuracy, as m − 1 in the CTC's definition: its TRA and DET can be "
    "too high.",
    "A parent link with a single child (a track cut in two) is an ordinary link for traccuracy: such errors (EC) are "
    "not seen.",
    "Where the first frames hold no cell, traccuracy compares different frames with each other: its values are wrong.",
)
SAME = {
    "DET": "DET",
    "TRA": "TRA",
    "LNK": "LNK",
    "NS": "ns_nodes",
    "FN": "fn_nodes",
    "FP": "fp_nodes",
    "ED": "fp_edges",
    "EA": "fn_edges",
    "EC": "ws_edges",
    "AOGM": "AOGM",
}


@dataclass(frozen=True)
class Opinion:
    """What traccuracy says about one result.

    Attributes
    ----------
    results : list[dict[str, Any]]
        Its results as it writes them (one dict per metric).
    values : dict[str, float]
        Those with a measure of the same meaning here, by our names.
    """

    gt: str
    res: str
    version: str
    results: list[dict[str, Any]]
    values: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """Plain values, with the known differences."""
        return {
            "software": "traccuracy",
            "version": self.version,
            "gt": self.gt,
            "res": self.res,
            "values": self.values,
            "results": self.results,
            "known_differences": list(KNOWN_DIFFERENCES),
        }


def ask_traccuracy(gt: Path, res: Path) -> Opinion:
    """Evaluate a result with traccuracy (CTC match; its CTC, division and track overlap metrics).

    Raises
    ------
    MissingExtra
        If traccuracy is not installed.
    InputError
        If the truth or the result has no tracks, or traccuracy refuses them.
    """
    traccuracy = import_extra("traccuracy", "evaluation")
    loaders = import_extra("traccuracy.loaders", "evaluation")
    matchers = import_extra("traccuracy.matchers", "evaluation")
    metrics = import_extra("traccuracy.metrics", "evaluation")
    tra = find_truth(gt).tra
    if tra is None or track_file(tra) is None or track_file(Path(res)) is None:
        raise InputError(f"traccuracy compares tracks, but {gt} or {res} has no track file.")
    results: list[dict[str, Any]] = []
    with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        try:
            truth = loaders.load_ctc_data(str(tra), str(track_file(tra)), name="truth")
            result = loaders.load_ctc_data(str(res), str(track_file(Path(res))), name="result")
            found, matched = traccuracy.run_metrics(truth, result, matchers.CTCMatcher(), [metrics.CTCMetrics()])
            results += found
            if matched.matching_type in ("one-to-one",):
                more, _ = traccuracy.run_metrics(
                    truth, result, matchers.CTCMatcher(), [metrics.DivisionMetrics(3), metrics.TrackOverlapMetrics()]
                )
                results += more
        except (ValueError, TypeError, KeyError, IndexError, AssertionError) as error:
            raise InputError(f"traccuracy refuses {res} ({type(error).__name__}: {error}).") from error
    values = {ours: float(results[0]["results"][theirs]) for ours, theirs in SAME.items()}
    return Opinion(str(gt), str(res), version("traccuracy"), results, values)


def format_opinion(opinion: Opinion, measures: Mapping[str, float | None]) -> str:
    """Our values and traccuracy's side by side, and the known differences."""
    lines = [
        f"Second opinion on {opinion.res}: traccuracy {opinion.version}",
        "".ljust(8) + "celltrail".rjust(14) + "traccuracy".rjust(14),
    ]
    for name, value in opinion.values.items():
        ours = measures.get(name)
        lines.append(name.ljust(8) + ("–" if ours is None else f"{ours:.6f}").rjust(14) + f"{value:.6f}".rjust(14))
    return "\n".join([*lines, "Known differences:", *(f"  - {text}" for text in KNOWN_DIFFERENCES)])
