"""A search over settings: it is kept on disk, begins with the given settings, and gives up hopeless trials."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")
pytest.importorskip("optuna")

import celltrail.segmentation.training.tuning as room
from celltrail.segmentation.training.settings import FAST


class Result:
    def __init__(self, history: list[dict[str, float]]) -> None:
        self.history = history


def pretend_to_train(training, validation, settings, *, score, seed, watch):
    """A training whose SEG depends on the rate alone, best at twice the preset's."""
    history = []
    for epoch in range(1, 4):
        value = epoch / 3 * (1 - abs(settings.rate / FAST.rate - 2) / 5)
        history.append({"step": 100 * epoch, "SEG": value})
        watch(history[-1])
    return Result(history)


@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_search_goes_on_where_it_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(room, "train", pretend_to_train)
    study = tmp_path / "study.db"
    first, rows = room.search_settings([], [], FAST, score=lambda a, b: {}, study_file=study, trials=3)
    assert len(rows) == 3
    assert rows[0]["SEG"] == pytest.approx(0.8)  # the given settings come first
    best, rows = room.search_settings([], [], FAST, score=lambda a, b: {}, study_file=study, trials=20)
    assert len(rows) == 23
    assert {row["state"] for row in rows} == {"complete", "pruned"}
    values = [row["SEG"] for row in rows if row["SEG"] is not None]
    assert 1 - abs(best.rate / FAST.rate - 2) / 5 == pytest.approx(max(values))
    assert max(values) > 0.85
    assert first != best
    assert replace(best, rate=0, width=0, w0=0, sigma=0, variation=FAST.variation) == replace(
        FAST, rate=0, width=0, w0=0, sigma=0
    )
