"""Every option of ``track``: the command, its files, ``run.json``, Python, searches and corrections take it from here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from celltrail.data.errors import InputError, raise_if
from celltrail.data.files.opening import as_frames
from celltrail.data.settings import Option, changed, described, parse_numbers, problems_of, setting
from celltrail.data.shared_options import AXES, CHANNEL, DASK, FRAMES, JOBS, SERIES, SPLIT_BINARY

nats = partial(Option, minimum=0, unit="nats", metavar="NATS")
USUAL_GAP = 4  # frames a cell may go unseen, if nothing else is said
LONGEST_GAP = 100  # frames that may be asked for


def parse_voxel(text: str) -> tuple[float, ...]:
    """``"1 0.4 0.4"`` → numbers."""
    return parse_numbers(text, "--voxel")


@described
@dataclass(frozen=True)
class TrackSettings:
    """How a movie is tracked; the masks, the images and the pins are not part of it."""

    method: str = setting(
        "ilp",
        Option("ilp: proven optimum. lap, greedy: simple trackers to compare with.", choices=("ilp", "lap", "greedy")),
    )
    costs: str = setting(
        "learned",
        Option("Cost model: learned, calibrated (on this movie alone), mixed, or a file of 'celltrail fit'."),
    )
    solver: str = setting("highs", Option("highs, or pulp:CBC, pulp:HiGHS, pulp:GUROBI …"))
    max_gap: int | None = setting(
        None,
        Option(
            "Frames of the movie that a cell may go unseen, where there is evidence for it.",
            minimum=0,
            maximum=LONGEST_GAP,
            unit="frames",
            shown=str(USUAL_GAP),
        ),
    )
    fill: str = setting(
        "auto", Option("Paint masks that are missing inside a track.", choices=("auto", "always", "never"))
    )
    allow_drop: bool = setting(
        False, Option("Whether small cells without a likely past or future may be left out.", off="keep-all")
    )
    appear: float | None = setting(None, nats("Cost of appearing or disappearing inside the image.", shown="7"))
    border: float | None = setting(None, nats("The same near the side.", shown="3"))
    gap_cost: float | None = setting(
        None, nats("Cost of going unseen for a frame; each further one in a row costs 1 nat.", shown="from the movie")
    )
    late: float | None = setting(None, nats("Cost of a daughter seen a frame after her sister.", shown="6"))
    hypotheses: bool | None = setting(
        None,
        Option(
            "Choose among the overlapping hypotheses beside the masks (hypTTT.npz).",
            off="no-hypotheses",
            shown="where they are there",
        ),
    )
    repair: bool = setting(
        True,
        Option(
            "Whether masks that hold several cells for a few frames may be split, and pieces of one cell joined; if not, "
            "hypotheses are chosen among only where --hypotheses asks for it.",
            off="no-repair",
        ),
    )
    masks_as_given: bool = setting(
        False, Option("Believe every mask: nothing is split, joined, or painted. For masks that people have drawn.")
    )
    foi: int = setting(
        0,
        Option(
            "Field of interest: drop cells that lie within E pixels of the side.",
            minimum=0,
            unit="pixels",
            metavar="E",
        ),
    )
    voxel: tuple[float, ...] | None = setting(
        None,
        Option("Voxel size in µm, for example '1 0.4 0.4'.", metavar="'[Z] Y X'", shown=False, parse=parse_voxel),
    )
    frames: range | None = setting(None, FRAMES)
    step: int | None = setting(
        None,
        Option(
            "By how much the numbers of consecutive frames differ; gaps are counted in steps.",
            minimum=1,
            metavar="N",
            shown="what is common to them",
        ),
    )
    channel: int | None = setting(None, CHANNEL)
    axes: str | None = setting(None, AXES)
    image_axes: str | None = setting(None, Option("The same for the images, whose axes may differ.", shown=False))
    series: int | None = setting(None, SERIES)
    split_binary: bool = setting(False, SPLIT_BINARY)
    jobs: int = setting(1, JOBS)
    dask: str | None = setting(None, DASK)
    time_limit: float | None = setting(
        None,
        Option("Stop solving then, and state the gap.", minimum=0, unit="seconds", metavar="SECONDS", shown=False),
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "frames", as_frames(self.frames))  # (first, last) is welcome from Python
        raise_if(problems_of(self))
        if self.masks_as_given and (self.hypotheses or self.max_gap):
            raise InputError(
                "Masks that are believed as they are leave no choice among hypotheses, and no mask to be painted: "
                "leave out --masks-as-given, or the other option."
            )
        if self.hypotheses and self.method != "ilp":
            raise InputError(
                f"The method '{self.method}' takes masks as they are, and cannot choose among hypotheses: leave out --hypotheses."
            )

    @property
    def constants(self) -> dict[str, float]:
        """What is given of `celltrail.tracking.costs.pricing.Constants`, by the names there."""
        values = {"appear": self.appear, "border": self.border, "gap": self.gap_cost, "late": self.late}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def longest_gap(self) -> int:
        """Frames that a cell may go unseen."""
        if self.masks_as_given:
            return 0
        return USUAL_GAP if self.max_gap is None else self.max_gap

    @property
    def paints(self) -> bool:
        """Whether masks that are missing inside a track are painted."""
        return self.fill != "never" and not self.masks_as_given

    @property
    def may_repair(self) -> bool:
        """Whether a mask may be read as something else: by the programme, and not where masks are believed."""
        return self.repair and self.method == "ilp" and not self.masks_as_given


def choose(settings: TrackSettings | None, options: Mapping[str, Any]) -> TrackSettings:
    """The settings, or the defaults, with the options that a Python function was given beside them."""
    return changed(settings or TrackSettings(), options, beside=("masks", "images", "pins", "saved", "progress"))
