"""Several nets answer as one: the mean of their outputs, on disk and in tiles like a single net."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("safetensors")

from data.errors import InputError  # noqa: E402
from segmentation.checkpoint import load_model, save_model  # noqa: E402
from segmentation.committee import Committee, build  # noqa: E402
from segmentation.committee_training import join, train_committee  # noqa: E402
from segmentation.frames import Movie  # noqa: E402
from segmentation.model import Model, Preprocessing  # noqa: E402
from segmentation.prediction import predict, run_tiles, to_maps  # noqa: E402
from segmentation.settings import FAST  # noqa: E402
from segmentation.training import train  # noqa: E402
from segmentation.unet import UNet, valid_size  # noqa: E402

SHORT = replace(FAST, width=4, depth=2, scale=1, tile=40, batch=2, steps=4, epoch=2)


def drawn_movie(seed: int, frames: int = 2, side: int = 60) -> Movie:
    """Two bright discs on a noisy ground."""
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    labels = {k: (np.hypot(y - 18 - k, x - 20) < 9) + 2 * (np.hypot(y - 40, x - 42 + k) < 8) for k in range(frames)}
    images = {k: 50 + 100 * (cells > 0) + random.normal(0, 10, cells.shape) for k, cells in labels.items()}
    return Movie(images, labels, tuple(range(frames)))


def overlap_score(truth: Mapping[int, Any], masks: Mapping[int, Any]) -> dict[str, float]:
    """The share of pixels that are right, as a measure that needs no other package."""
    right = float(np.mean([((truth[k] > 0) == (masks[k] > 0)).mean() for k in truth]))
    return {"IoU": right, "SEG": right, "DET": right}


def nets(count: int) -> list[UNet]:
    found = []
    for seed in range(count):
        torch.manual_seed(seed)
        found.append(UNet(width=4, depth=2, norm="batch", distance=True).eval())
    return found


def test_the_answer_is_the_mean() -> None:
    members = nets(3)
    image = torch.rand(1, 1, 60, 60)
    with torch.no_grad():
        together, alone = Committee(members)(image), [net(image) for net in members]
    assert torch.allclose(together, sum(alone) / 3, atol=1e-6)
    assert not torch.allclose(together, alone[0], atol=1e-3)


def test_tiles_of_a_committee_fit_together() -> None:
    committee = Committee(nets(2)).eval()
    plane = np.random.default_rng(0).random((70, 90), dtype=np.float32)
    whole = run_tiles(committee, plane, tuple(valid_size(n + 2 * committee.margin, 2) for n in plane.shape))
    tiled = run_tiles(committee, plane, (60, 60))
    np.testing.assert_allclose(to_maps(committee, tiled), to_maps(committee, whole), atol=1e-6)


def test_a_committee_comes_back_from_disk(tmp_path: Path) -> None:
    model = Model(Committee(nets(2)).eval(), Preprocessing(scale=2))
    save_model(tmp_path / "m.safetensors", model)
    back = load_model(tmp_path / "m.safetensors")
    assert back.net.architecture == model.net.architecture == {**nets(1)[0].architecture, "members": 2}
    image = np.random.default_rng(1).random((60, 50))
    assert np.array_equal(predict(model, image).probability, predict(back, image).probability)


def test_a_missing_member_is_told(tmp_path: Path) -> None:
    model = Model(Committee(nets(2)).eval())
    model.net.architecture["members"] = 3
    save_model(tmp_path / "m.safetensors", model)
    with pytest.raises(InputError, match=r"m\.safetensors"):
        load_model(tmp_path / "m.safetensors")


def test_one_member_is_a_plain_net() -> None:
    shape = nets(1)[0].architecture
    assert isinstance(build(shape), UNet)
    assert isinstance(build({**shape, "members": 2}), Committee)


def test_members_are_the_trainings_of_their_seeds(tmp_path: Path) -> None:
    data = [drawn_movie(1)], [drawn_movie(2, 2)]
    done: list[tuple[int, int]] = []
    result = train_committee(*data, SHORT, members=2, seed=3, score=overlap_score, state_file=tmp_path / "state.safetensors",
                             progress=lambda stage, n, of, note="": done.append((n, of)) if stage == "train" else None)  # fmt: skip
    alone = [train(*data, SHORT, seed=seed, score=overlap_score) for seed in (3, 4)]
    expected = join([single.model for single in alone])
    weights = result.model.net.state_dict()
    assert all(torch.equal(weights[key], value) for key, value in expected.net.state_dict().items())
    assert [row["step"] for row in result.history] == [2, 4, 6, 8]
    assert result.model.info["steps"] == 8
    assert result.model.info["members"] == 2
    assert done == sorted(done)
    assert done[-1] == (2000, 2000)
    again = train_committee(*data, SHORT, members=2, seed=3, score=overlap_score, state_file=tmp_path / "state.safetensors",
                            resume=True)  # fmt: skip
    assert all(torch.equal(weights[key], value) for key, value in again.model.net.state_dict().items())


def test_one_member_is_a_plain_training() -> None:
    data = [drawn_movie(1)], []
    one, plain = train_committee(*data, SHORT, members=1, seed=2), train(*data, SHORT, seed=2)
    assert one.model.net.architecture == plain.model.net.architecture
    assert all(torch.equal(a, b) for a, b in zip(one.model.net.parameters(), plain.model.net.parameters(), strict=True))
