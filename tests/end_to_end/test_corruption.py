"""The errors that the benchmark puts into masks are those it lists, at the rates it was asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from scipy import ndimage


@pytest.fixture(scope="module")
def corruption(root: Path) -> ModuleType:
    import importlib.util

    spec = importlib.util.spec_from_file_location("corruption", root / "benchmarks" / "corruption.py")
    assert spec
    assert spec.loader
    module = importlib.util.module_from_spec(spec)
    sys.modules["corruption"] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def field(frames: int = 4) -> dict[int, np.ndarray]:
    """A hundred ellipses per frame on a grid, two pixels apart along x, the same labels in every frame."""
    labels = np.zeros((200, 120), dtype=np.uint16)
    y, x = np.ogrid[:20, :12]
    cell = ((y - 9.5) / 9.5) ** 2 + ((x - 5.5) / 5) ** 2 <= 1
    for k in range(100):
        row, column = divmod(k, 10)
        labels[row * 20 : row * 20 + 20, column * 12 : column * 12 + 12][cell] = k + 1
    return {frame: labels.copy() for frame in range(frames)}


def test_every_error_is_drawn_as_it_is_listed_and_nothing_else_changes(corruption: ModuleType) -> None:
    good = field()
    bad, errors = corruption.corrupted(good, seed=1)
    kinds = [error.kind for error in errors]
    assert {kind: kinds.count(kind) for kind in kinds} == {"dropped": 20, "merged": 12, "split": 12, "false": 8}
    touched = [(error.frame, label) for error in errors for label in error.labels]
    assert len(touched) == len(set(touched)) == 20 + 2 * 12 + 12
    for error in errors:
        before, after = good[error.frame], bad[error.frame]
        was = np.isin(before, error.labels) & (before > 0)
        now = np.isin(after, error.drawn) & (after > 0)
        if error.kind == "dropped":
            assert not error.drawn
            assert not after[was & (after == before)].any()
        elif error.kind == "merged":
            assert len(error.drawn) == 1
            assert now[was].all()
            assert ndimage.label(now, np.ones((3, 3)))[1] == 1
        elif error.kind == "split":
            a, b = ((after == label).sum() for label in error.drawn)
            assert now[was].all()
            assert min(a, b) > 0.2 * (a + b)
        else:
            assert now.any()
            assert not before[now].any()
    for frame in good:
        whole = set(range(1, 101)) - {label for f, label in touched if f == frame}
        for label in whole:
            assert np.array_equal(good[frame] == label, bad[frame] == label)


def test_the_seed_decides_and_errors_may_last(corruption: ModuleType) -> None:
    good = field(6)
    first, again, other = (corruption.corrupted(good, seed=seed)[1] for seed in (3, 3, 4))
    assert first == again
    assert first != other
    only = corruption.Rates(dropped=0, merged=0.03, split=0, false=0)
    _, errors = corruption.corrupted(good, only, lasting=3, seed=0)
    frames: dict[tuple[int, ...], list[int]] = {}
    for error in errors:
        frames.setdefault(error.labels, []).append(error.frame)
    assert len(errors) == 18
    assert any(len(seen) == 3 and seen[-1] - seen[0] == 2 for seen in frames.values())
    assert all(seen == list(range(seen[0], seen[0] + len(seen))) for seen in frames.values())


def test_volumes(corruption: ModuleType) -> None:
    volume = np.zeros((8, 40, 40), dtype=np.uint8)
    for k in range(9):
        y, x = divmod(k, 3)
        volume[2:6, y * 13 : y * 13 + 12, x * 13 : x * 13 + 12] = k + 1
    rates = corruption.Rates(dropped=0.1, merged=0.1, split=0.1, false=0.1)
    bad, errors = corruption.corrupted({0: volume, 1: volume}, rates, seed=0)
    assert sorted({error.kind for error in errors}) == ["dropped", "false", "merged", "split"]
    assert bad[0].shape == volume.shape
