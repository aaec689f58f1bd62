"""Short trainings on drawn cells: the loss falls, the result is the same twice, the best is kept."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from celltrail.data.errors import InputError  # noqa: E402
from celltrail.data.settings import options_of  # noqa: E402
from celltrail.segmentation.net.loss import soft_dice, total_loss, weighted_cross_entropy  # noqa: E402
from celltrail.segmentation.net.model import Model  # noqa: E402
from celltrail.segmentation.net.unet import NOWHERE_NEAR, UNet  # noqa: E402
from celltrail.segmentation.prediction.movie import segment_movie  # noqa: E402
from celltrail.segmentation.prediction.tiles import predict  # noqa: E402
from celltrail.segmentation.train_cli import plan_of  # noqa: E402
from celltrail.segmentation.train_settings import TrainSettings  # noqa: E402
from celltrail.segmentation.training.annotated import AnnotatedMovie, read_labels  # noqa: E402
from celltrail.segmentation.training.loop import build_net, copy_weights, follow, rate_at, train  # noqa: E402
from celltrail.segmentation.training.settings import FAST, PAPER, PRESETS, preset  # noqa: E402
from celltrail.segmentation.training.validation import calibrate, epochs_since_best, is_kept, validate  # noqa: E402

TINY = replace(FAST, width=6, depth=2, scale=1, tile=40, batch=2, steps=60, epoch=20, rate=1e-2)


def drawn_movie(seed: int, frames: int = 6, side: int = 72) -> AnnotatedMovie:
    random = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side]
    images, labels = {}, {}
    for frame in range(frames):
        truth = np.zeros((side, side), dtype=np.uint16)
        for label in range(1, 8):
            cy, cx, r = *random.uniform(8, side - 8, 2), random.uniform(6, 9)
            truth[np.hypot(y - cy, x - cx) < r] = label
        images[frame] = (truth > 0) * 100 + random.normal(0, 15, truth.shape) + 50
        labels[frame] = truth
    return AnnotatedMovie(images, labels, tuple(range(frames)))


def overlap_score(truth: Mapping[int, Any], masks: Mapping[int, Any]) -> dict[str, float]:
    a = np.concatenate([truth[k].ravel() > 0 for k in truth])
    b = np.concatenate([masks[k].ravel() > 0 for k in truth])
    iou = float((a & b).sum() / (a | b).sum())
    return {"IoU": iou, "SEG": iou, "DET": math.nan}


@pytest.fixture(scope="module")
def trained():
    torch.set_num_threads(1)
    return train([drawn_movie(1)], [drawn_movie(2, 2)], TINY, seed=7, score=overlap_score)


def test_training_learns(trained) -> None:
    losses = [row["loss"] for row in trained.history]
    assert losses[-1] < 0.7 * losses[0]
    movie = drawn_movie(3, 2)
    truth = {k: read_labels(movie, k) for k in movie.numbers}
    assert overlap_score(truth, dict(segment_movie(movie.images, trained.model)))["IoU"] > 0.75


def test_history_tells_each_epoch(trained) -> None:
    assert [row["step"] for row in trained.history] == [20, 40, 60]
    assert {"loss", "train_loss", "IoU", "SEG", "minutes", "rate"} <= set(trained.history[0])


def test_best_weights_are_a_copy_not_the_last_ones() -> None:
    """A rate that ruins the net after the first epoch: the saved weights must not follow it."""
    settings = replace(TINY, steps=40, average=0.0, rate=1e-2)
    seen = []

    def note(stage: str, done: int, total: int, note: str = "") -> None:
        if "train" in note:
            seen.append(note)

    result = train([drawn_movie(1)], [drawn_movie(2, 2)], replace(settings, rate=0.5), seed=1, progress=note)
    losses = [row["loss"] for row in result.history]
    same = all(
        torch.equal(a, b)
        for a, b in zip(result.model.net.state_dict().values(), result.last.net.state_dict().values(), strict=True)
    )
    assert same == (losses[-1] == min(losses))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("history", "kept", "since"),
    [
        ([{"loss": 1.0, "SEG": 0.5, "DET": 0.5}, {"loss": 2.0, "SEG": 0.6, "DET": 0.5}], True, 0),
        ([{"loss": 1.0, "SEG": 0.6, "DET": math.nan}, {"loss": 0.9, "SEG": 0.5, "DET": math.nan}], False, 1),
        ([{"SEG": 0.90, "cells": 20}, {"SEG": 0.81, "cells": 20}], True, 1),  # less than one of twenty cells lost
        ([{"SEG": 0.90, "cells": 20}, {"SEG": 0.85, "cells": 20}, {"SEG": 0.79, "cells": 20}], False, 2),
        ([{"loss": 1.0}, {"loss": 0.5}, {"loss": 0.7}], False, 1),
        ([{"loss": 1.0}, {"loss": 0.5}, {"loss": 0.5}], True, 0),
        ([{"loss": math.nan}, {"loss": 0.5}], True, 0),
        ([{"train_loss": 1.0}, {"train_loss": 2.0}], True, 0),  # nothing held back: the last one
    ],
)
def test_the_weights_are_kept_than_which_none_were_better(
    history: list[dict[str, float]], kept: bool, since: int
) -> None:
    assert (is_kept(history), epochs_since_best(history)) == (kept, since)


@pytest.mark.parametrize(("values", "epochs", "kept_last"), [([0.9], 3, False), ([0.4, 0.5, 0.6, 0.7], 4, True)])
def test_the_weights_of_the_best_masks_are_kept(values: list[float], epochs: int, kept_last: bool) -> None:
    """Whatever the loss says: with these rates it falls from epoch to epoch."""
    measured = itertools.chain(values, itertools.repeat(0.5))

    def score(truth: Mapping[int, Any], masks: Mapping[int, Any]) -> dict[str, float]:
        return {"SEG": next(measured), "DET": 1.0}

    settings = replace(TINY, steps=40, epoch=10)
    result = train([drawn_movie(1)], [drawn_movie(2, 2)], settings, seed=7, score=score, patience=2)
    losses = [row["loss"] for row in result.history]
    assert losses == sorted(losses, reverse=True)
    assert len(losses) == epochs
    kept, last = (model.net.state_dict() for model in (result.model, result.last))
    assert all(torch.equal(kept[key], last[key]) for key in kept) == kept_last


def test_two_trainings_with_one_seed_are_equal_bit_for_bit() -> None:
    settings = replace(TINY, steps=6, epoch=3, dropout=0.3)
    first, second, other = (train([drawn_movie(1)], [], settings, seed=s).last.net.state_dict() for s in (5, 5, 6))
    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not torch.equal(first["head.weight"], other["head.weight"])


def test_time_ends_the_training(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that moves by one second whenever it is read, so that the machine's speed decides nothing."""
    seconds = itertools.count()
    monkeypatch.setattr("celltrail.segmentation.training.loop.time.process_time", lambda: float(next(seconds)))
    torch.set_num_threads(1)
    result = train([drawn_movie(1)], [], replace(TINY, steps=10**6), minutes=1.0, seed=0)
    assert result.history[-1]["minutes"] == pytest.approx(1.0, abs=0.1)
    assert result.history[-1]["step"] <= 60
    assert result.history[-1]["rate"] < 0.1 * TINY.rate


def test_paper_preset_trains_a_step() -> None:
    settings = replace(PAPER, width=2, depth=2, tile=40, steps=2, epoch=2)
    result = train([drawn_movie(1)], [], settings, seed=0)
    assert math.isfinite(result.history[0]["train_loss"])
    assert not result.model.net.distance


def test_rate_rises_then_falls_to_zero() -> None:
    rates = [rate_at(x) for x in np.linspace(0, 1, 50)]
    assert rates[0] < 0.1
    assert max(rates) == pytest.approx(1, abs=0.01)
    assert rates[-1] == pytest.approx(0, abs=1e-6)


def test_moving_average_follows_slowly() -> None:
    net, average = build_net(TINY, 0), build_net(TINY, 0)
    with torch.no_grad():
        for p in net.parameters():
            p += 1
    follow(average, net, 0.9, step=1000)
    difference = next(net.parameters()) - next(average.parameters())
    assert torch.allclose(difference, torch.full_like(difference, 0.9), atol=1e-5)


def test_cross_entropy_ignores_what_is_not_known() -> None:
    logits = torch.randn(1, 2, 4, 4)
    target, weight = torch.randint(0, 2, (1, 4, 4)), torch.rand(1, 4, 4)
    weight[0, 0] = 0
    expected = weighted_cross_entropy(logits, target, weight)
    changed = logits.clone()
    changed[:, :, 0] = 50
    assert weighted_cross_entropy(changed, target, weight) == pytest.approx(float(expected))
    assert float(weighted_cross_entropy(logits, target, 3 * weight)) == pytest.approx(float(expected), rel=1e-5)
    assert float(weighted_cross_entropy(logits, target, 0 * weight)) == 0


def test_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[[[0.0, 2.0]], [[0.0, 0.0]]]])
    target, weight = torch.tensor([[[1, 0]]]), torch.tensor([[[3.0, 1.0]]])
    by_hand = (3 * math.log(2) + math.log(1 + math.exp(-2))) / 4
    assert float(weighted_cross_entropy(logits, target, weight)) == pytest.approx(by_hand, rel=1e-5)


def test_dice_of_a_perfect_map_is_zero() -> None:
    target = torch.tensor([[[1, 0], [1, 0]]])
    logits = torch.stack([1 - 2.0 * target, 2.0 * target - 1], dim=1) * 50
    assert float(soft_dice(logits, target, torch.ones(1, 2, 2))) == pytest.approx(0, abs=1e-5)
    assert float(soft_dice(-logits, target, torch.ones(1, 2, 2))) > 0.7


def test_total_loss_adds_its_parts() -> None:
    output = torch.randn(1, 3, 4, 4)
    batch = {"target": torch.randint(0, 2, (1, 4, 4)), "weight": torch.ones(1, 4, 4), "distance": torch.rand(1, 4, 4)}
    plain = total_loss(output, batch, classes=2, dice=0, seeds=0)
    assert float(plain) == pytest.approx(float(weighted_cross_entropy(output[:, :2], batch["target"], batch["weight"])))
    assert total_loss(output, batch, classes=2, dice=0.5, seeds=1) > plain


def test_total_loss_hears_of_neighbours_only_where_the_truth_is_known() -> None:
    output = torch.zeros(1, 4, 1, 2)
    output[0, 3, 0] = torch.tensor([0.0, 50.0])  # the second is far from true, but nobody knows
    batch = {"target": torch.zeros(1, 1, 2, dtype=torch.long), "weight": torch.tensor([[[1.0, 0.0]]])}
    batch |= {"distance": torch.zeros(1, 1, 2), "nearness": torch.tensor([[[0.25, 0.0]]])}
    without, with_ = (total_loss(output, batch, classes=2, dice=0, seeds=0, neighbours=n) for n in (0.0, 2.0))
    assert float(with_ - without) == pytest.approx(2 * math.log(2), rel=1e-5)


def test_presets_differ_and_can_be_changed() -> None:
    assert preset("paper").optimiser == "sgd"
    assert preset("fast", width=8, rate=None).width == 8
    assert preset("fast", rate=None).rate == FAST.rate
    with pytest.raises(ValueError, match="fast"):
        preset("slow")


def test_every_option_of_train_reaches_what_the_training_does() -> None:
    """An option whose name is that of a setting, or of a setting of the variation, needs no other line."""
    elsewhere = {"truth", "frames", "channel", "axes", "series", "split_binary", "validation", "preset"}
    elsewhere |= {"minutes", "patience", "threads", "device", "half", "seed"}
    values: dict[str, Any] = {"elastic": "field", "cells": "flat", "tta": True, "scale": 3, "depth": 2}
    assert tuple(PRESETS) == TrainSettings.__dataclass_fields__["preset"].metadata["option"].choices
    assert plan_of(TrainSettings()) == FAST
    for name in options_of(TrainSettings).keys() - elsewhere:
        value = values.get(name, 7)
        plan = plan_of(TrainSettings(**{name: value}))
        assert value in (getattr(plan, name, None), getattr(plan.variation, name, None)), name
    weighted = plan_of(TrainSettings(elastic="field", zoom=0.5), deform=False).variation
    assert (weighted.elastic, weighted.rotation, weighted.zoom) == ("none", False, 0)
    with pytest.raises(InputError, match="'depth' is 9: give a whole number from 1 to 6"):
        TrainSettings(depth=9)


@pytest.mark.parametrize("optimiser", ["sgd", "adamw"])
def test_an_interrupted_training_goes_on_bit_for_bit(optimiser: str, tmp_path: Path) -> None:
    settings = replace(TINY, steps=9, epoch=3, dropout=0.3, optimiser=optimiser, rate=1e-3)
    data = [drawn_movie(1)], [drawn_movie(2, 2)]
    whole = train(*data, settings, seed=2)

    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if note.startswith("step 6"):
            raise Stop

    state_file = tmp_path / "state.safetensors"
    with pytest.raises(Stop):
        train(*data, settings, seed=2, state_file=state_file, progress=stop)
    again = train(*data, settings, seed=2, state_file=state_file, resume=True)
    for model in ("model", "last"):
        a, b = getattr(whole, model).net.state_dict(), getattr(again, model).net.state_dict()
        assert all(torch.equal(a[key], b[key]) for key in a)
    assert [row["loss"] for row in whole.history] == [row["loss"] for row in again.history]
    with pytest.raises(InputError, match="another seed"):
        train(*data, settings, seed=3, state_file=state_file, resume=True)
    with pytest.raises(InputError, match="another settings"):
        train(*data, replace(settings, rate=1e-4), seed=2, state_file=state_file, resume=True)


def test_patience_ends_a_training_that_does_not_get_better() -> None:
    settings = replace(TINY, steps=400, epoch=2, rate=1e-9, average=0.0)
    result = train([drawn_movie(1)], [drawn_movie(2, 2)], settings, seed=1, patience=2)
    assert len(result.history) < 200


def test_eight_views_are_averaged_where_they_are_cheap() -> None:
    data, short = [drawn_movie(1)], replace(TINY, steps=1, epoch=1)
    for changes, eight in (
        ({}, False),
        ({"scale": 2}, True),
        ({"diameter": 6.0}, True),  # cells are 12 to 18 pixels wide
        ({"diameter": 14.0}, False),
        ({"diameter": 6.0, "tta": False}, False),
        ({"diameter": 14.0, "tta": True}, True),
    ):
        assert train(data, [], replace(short, **changes)).model.preprocessing.tta == eight, changes
    both = [drawn_movie(1), drawn_movie(2)]  # a model of several kinds sees many sizes
    assert not train(both, [], replace(short, diameter=6.0)).model.preprocessing.tta


def test_cells_larger_than_those_of_the_start_stay_so() -> None:
    y, x = np.mgrid[:160, :160]

    def movie(diameter: float) -> AnnotatedMovie:
        disc = (np.hypot(y - 80, x - 80) < diameter / 2).astype(np.uint16)
        return AnnotatedMovie({0: disc, 1: disc}, {0: disc, 1: disc}, (0, 1))

    start = Model(UNet(width=4, depth=2, norm="batch", distance=True, dropout=0.0), info={"diameter": 20.0})

    def planned(*diameters: float, **asked: Any) -> float:
        return plan_of(TrainSettings(**asked), start, [movie(diameter) for diameter in diameters]).diameter

    assert planned(12) == planned() == 20  # smaller ones are enlarged
    assert planned(25) == pytest.approx(25, rel=0.03)
    assert planned(100) == 28
    assert planned(100, 100) == 20  # of several kinds: one size for all
    assert planned(100, diameter=22.0) == 22


@pytest.mark.parametrize(("cells_gained", "threshold"), [(1.9, 0.5), (2.1, 0.3)])
def test_one_cell_more_chooses_no_threshold(trained, cells_gained: float, threshold: float) -> None:
    held_back = drawn_movie(2, 1)
    cells = len(np.unique(held_back.labels[0])) - 1
    values = itertools.chain([0.5, 0.5 + cells_gained / cells], itertools.repeat(0.0))

    def score(truth: Mapping[int, Any], masks: Mapping[int, Any]) -> dict[str, float]:
        return {"SEG": next(values)}

    model = replace(trained.model, instances=replace(trained.model.instances, threshold=0.5))
    assert calibrate(model, [held_back], score)[0].threshold == threshold


def test_without_a_cell_held_back_nothing_is_measured(trained) -> None:
    movie = drawn_movie(2, 1)
    empty = np.zeros((72, 72), np.uint16)
    blank = replace(movie, labels={0: empty})
    unknown = replace(blank, markers={0: movie.labels[0]})  # markers, but not one label
    for held_back in (blank, unknown):
        assert calibrate(trained.model, [held_back], overlap_score) == (trained.model.instances, {})
        row = validate(trained.model, [held_back], np.ones(2, np.float32), TINY, overlap_score)
        assert row == {}  # a net that finds nothing would be the best there


def test_a_training_may_start_from_a_model(tmp_path: Path) -> None:
    data = [drawn_movie(1)], [drawn_movie(2, 2)]
    first = train(*data, TINY, seed=1)
    short = replace(TINY, steps=2, epoch=2)
    again, anew = (train(*data, short, seed=3, start=model) for model in (first.model, None))
    assert again.history[-1]["loss"] < 0.7 * anew.history[-1]["loss"]
    assert "start_sha256" in again.model.info
    untouched = train(*data, replace(short, rate=0, average=0.0), seed=3, start=first.model)
    for name, value in untouched.model.net.named_parameters():
        assert torch.equal(value, first.model.net.get_parameter(name))
    with pytest.raises(InputError, match="width 6 instead of 4"):
        train(*data, replace(short, width=4), seed=3, start=first.model)


def test_a_wider_net_begins_as_the_same_function() -> None:
    narrow = UNet(width=4, depth=2, norm="batch", distance=True, dropout=0.0)
    for width in (5, 9):
        wide = UNet(**narrow.architecture | {"width": width})
        copy_weights(narrow, wide)
        image = torch.randn(2, 1, 60, 60)
        for net in (narrow, wide):
            net.eval()
        with torch.no_grad():
            torch.testing.assert_close(wide(image), narrow(image))
        wide.train()(image).square().mean().backward()
        heard = wide.head.weight.grad
        assert heard is not None
        assert (heard[:, 4:] != 0).any()  # the new channels can be learnt to be heard


def test_a_net_that_learns_of_neighbours_begins_as_the_one_without() -> None:
    plain = UNet(width=4, depth=2, norm="batch", distance=True, dropout=0.0).eval()
    more = UNet(**plain.architecture | {"neighbour": True}).eval()
    copy_weights(plain, more)
    image = torch.randn(2, 1, 60, 60)
    with torch.no_grad():
        torch.testing.assert_close(more(image)[:, :3], plain(image))
        assert more(image)[:, 3].unique().tolist() == [NOWHERE_NEAR]
    with pytest.raises(InputError, match="neighbour True instead of False"):
        copy_weights(more, plain)
    assert plan_of(TrainSettings(), Model(more)).neighbours > 0 == plan_of(TrainSettings(), Model(plain)).neighbours


def test_a_training_that_goes_on_must_have_had_the_same_start(tmp_path: Path) -> None:
    data, settings = ([drawn_movie(1)], []), replace(TINY, steps=2, epoch=1)
    first = train(*data, settings, seed=1, state_file=tmp_path / "state").model
    with pytest.raises(InputError, match="another start"):
        train(*data, settings, seed=1, start=first, state_file=tmp_path / "state", resume=True)


def test_less_sure_movies_are_learnt_from_and_named(tmp_path: Path) -> None:
    """With labels that are all background, half of what is learnt says that there is no cell."""
    movie, short = drawn_movie(1), replace(TINY, steps=6, epoch=6)
    empty = replace(movie, labels=dict.fromkeys(movie.labels, np.zeros_like(movie.labels[0])), name="empty")
    alone, both = (train([movie], [], short, seed=1, also=also) for also in (None, [empty]))
    assert both.model.info["also"] == [f"empty, {len(movie.numbers)} frames 0-{movie.numbers[-1]}"]
    assert "also" not in alone.model.info
    assert both.model.info["data_sha256"] != alone.model.info["data_sha256"]
    found = [predict(result.model, movie.images[0]).probability.mean() for result in (alone, both)]
    assert found[1] < found[0]


def test_a_diverged_training_says_so() -> None:
    settings = replace(TINY, steps=30, epoch=10, norm="none", optimiser="sgd", rate=1e9)
    with pytest.raises(InputError, match="smaller --rate"):
        train([drawn_movie(1)], [], settings, seed=1)


def test_a_training_stopped_within_an_epoch_goes_on_bit_for_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("celltrail.segmentation.training.loop.KEPT_EVERY", 0.0)
    settings = replace(TINY, steps=25, epoch=20)
    data = [drawn_movie(1)], [drawn_movie(2, 2)]
    whole = train(*data, settings, seed=2)

    class Stop(Exception):
        pass

    def stop(stage: str, done: int, total: int, note: str = "") -> None:
        if note.startswith("step 10"):
            raise Stop

    state_file = tmp_path / "state.safetensors"
    with pytest.raises(Stop):
        train(*data, settings, seed=2, state_file=state_file, progress=stop)
    again = train(*data, settings, seed=2, state_file=state_file, resume=True)
    a, b = whole.last.net.state_dict(), again.last.net.state_dict()
    assert all(torch.equal(a[key], b[key]) for key in a)
    assert [row["train_loss"] for row in whole.history] == [row["train_loss"] for row in again.history]
