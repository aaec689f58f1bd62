"""Training a U-Net on annotated movies."""

from __future__ import annotations

import copy
import hashlib
import json
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from celltrail.data.errors import InputError
from celltrail.data.progress import Progress, silent
from celltrail.data.words import counted
from celltrail.segmentation.net.loss import total_loss
from celltrail.segmentation.net.model import Model, Preprocessing
from celltrail.segmentation.net.unet import UNet
from celltrail.segmentation.net.widening import widen
from celltrail.segmentation.training.annotated import (
    AnnotatedMovie,
    automatic_scale,
    hash_of,
    is_one_kind,
    typical_diameter,
    with_margins,
)
from celltrail.segmentation.training.examples import TrainingTiles, typical_darkness
from celltrail.segmentation.training.settings import Settings
from celltrail.segmentation.training.state import State, load_state, save_state
from celltrail.segmentation.training.validation import (
    Score,
    calibrate,
    default_instances,
    epochs_since_best,
    is_kept,
    validate,
)

Watch = Callable[[Mapping[str, float]], None]

WARM_UP = 0.05  # share of the training in which the rate rises
MOMENTUM = 0.99
REDUCED = 2.0  # from this reduction on, eight looks cost no more than two at the image as it is
KEPT_EVERY = 20.0  # seconds after which the state is kept also within an epoch


@dataclass
class Training:
    """What `train` returns.

    Attributes
    ----------
    model : Model
        The model of the last epoch than which none was better but by chance, see `is_kept`.
    last : Model
        The model of the last step.
    history : list[dict[str, float]]
        One row per epoch: step, minutes, rate, train_loss, and of the validation frames loss and measures.
    """

    model: Model
    last: Model
    history: list[dict[str, float]] = field(default_factory=list)


class Clock:
    """Computing time of this process in minutes: on a busy machine it runs slower than the clock on the wall.

    CPU time divided by the number of threads; with a GPU, the wall clock.
    """

    def __init__(self, device: torch.device, before: float = 0.0) -> None:
        self.wall = device.type != "cpu"
        self.threads = min(torch.get_num_threads(), os.cpu_count() or 1)
        self.before = before
        self.start = self._now()

    def _now(self) -> float:
        return time.perf_counter() if self.wall else time.process_time() / self.threads

    def minutes(self) -> float:
        """Minutes since the start of the training."""
        return self.before + (self._now() - self.start) / 60


def build_net(settings: Settings, seed: int) -> UNet:
    """A net with random weights that depend on ``seed`` alone."""
    torch.manual_seed(seed)
    return UNet(
        width=settings.width,
        depth=settings.depth,
        norm=settings.norm,
        dropout=settings.dropout,
        distance=settings.distance,
        neighbour=settings.neighbours > 0,
    )


def copy_weights(source: UNet, net: UNet) -> None:
    """Give ``net`` the weights (and statistics) of ``source``.

    Raises
    ------
    InputError
        If the two are built in another way; only dropout, which has no weights, may differ, and ``net`` may be wider
        and have the output for neighbours, which ``source`` lacks.
    """
    wanted, found = net.architecture, source.architecture
    different = [
        f"{key} {found.get(key)} instead of {value}"
        for key, value in wanted.items()
        if key != "dropout" and found.get(key) != value and not (key in ("width", "neighbour") and found[key] < value)
    ]
    if different:
        raise InputError(
            f"The model to start from is built in another way ({', '.join(different)}): choose another model, "
            "or other options of the net."
        )
    widen(source, net)


def hash_of_weights(net: UNet) -> str:
    """SHA-256 of the weights and statistics of a net."""
    digest = hashlib.sha256()
    for name, tensor in net.state_dict().items():
        digest.update(name.encode() + tensor.cpu().contiguous().numpy().tobytes())
    return digest.hexdigest()


def build_optimiser(net: UNet, settings: Settings) -> torch.optim.Optimizer:
    """SGD with the paper's momentum of 0.99, or AdamW."""
    if settings.optimiser == "sgd":
        return torch.optim.SGD(net.parameters(), settings.rate, momentum=MOMENTUM, weight_decay=settings.weight_decay)
    return torch.optim.AdamW(net.parameters(), settings.rate, weight_decay=settings.weight_decay)


def rate_at(done: float) -> float:
    """Factor of the learning rate when the share ``done`` (0 … 1) of the training is over: a rise, then a cosine to 0."""
    if done < WARM_UP:
        return 0.05 + 0.95 * done / WARM_UP
    return 0.5 + 0.5 * math.cos(math.pi * min((done - WARM_UP) / (1 - WARM_UP), 1))


def follow(average: UNet, net: UNet, decay: float, step: int) -> None:
    """Move the average of the weights towards the weights (faster in the first steps)."""
    keep = min(decay, (1 + step) / (10 + step))
    with torch.no_grad():
        for old, new in zip(average.parameters(), net.parameters(), strict=True):
            old.lerp_(new, 1 - keep)
        for old, new in zip(average.buffers(), net.buffers(), strict=True):
            if old.is_floating_point():
                old.lerp_(new, 1 - keep)
            else:
                old.copy_(new)


def train(
    training: list[AnnotatedMovie],
    validation: list[AnnotatedMovie],
    settings: Settings,
    *,
    minutes: float | None = None,
    seed: int = 0,
    also: list[AnnotatedMovie] | None = None,
    start: Model | None = None,
    score: Score | None = None,
    watch: Watch | None = None,
    patience: int = 0,
    state_file: Path | None = None,
    resume: bool = False,
    device: str = "cpu",
    progress: Progress = silent,
) -> Training:
    """Train a model.

    Parameters
    ----------
    training, validation : list[AnnotatedMovie]
        Annotated movies; no frame may be in both. Without validation the last weights are the result.
    minutes : float | None
        Stop after this much computing time (see `Clock`); the learning rate falls to 0 at that moment. ``None``:
        after ``settings.steps`` steps, which gives the same model every time.
    also : list[AnnotatedMovie] | None
        Movies whose labels are less sure, for example what tracking made of a model's hypotheses: half of the tiles
        are theirs, and nothing is judged by them.
    start : Model | None
        Begin with the weights of this model instead of random ones.
    score : Score | None
        Measures of masks, shown per epoch, by which the epoch is chosen that is kept, and thresholds at the end.
    watch : Watch | None
        Called after every epoch with its row of the history; what it raises ends the training.
    patience : int
        Stop after so many epochs that are no better (`epochs_since_best`); 0: never.
    state_file : Path | None
        Where the state is kept, after each epoch and every `KEPT_EVERY` seconds.
    resume : bool
        Go on from there if it exists.

    Raises
    ------
    InputError
        If the annotations cannot be used (empty, 0/255, other shapes), if the loss is no number any
        more, if the state to go on from belongs to another training, or if the net of ``start`` is built
        in another way.
    """
    parts = iter(with_margins([*training, *validation, *(also or [])]))
    training, validation, also = [next(parts) for _ in training], [next(parts) for _ in validation], list(parts)
    target = torch.device(device)
    if settings.diameter:
        settings = replace(settings, scale=1)
    elif settings.scale == 0:
        settings = replace(settings, scale=automatic_scale(training))
    preprocessing = Preprocessing(scale=settings.scale)
    total = settings.steps if minutes is None else 10**9
    tiles = TrainingTiles(training, settings, preprocessing, seed=seed, count=total * settings.batch, also=also)
    native = typical_diameter(training)
    diameter = settings.diameter or native / settings.scale
    one_kind = is_one_kind(training)
    cheap = one_kind and native / diameter >= REDUCED
    preprocessing = replace(preprocessing, tta=cheap if settings.tta is None else settings.tta)
    info = {
        "training": [describe_movie(movie) for movie in training],
        "validation": [describe_movie(movie) for movie in validation],
        "diameter": round(diameter, 2),
        "darkness": typical_darkness(tiles),
        "data_sha256": hash_of([*training, *also]),
        "seed": seed,
        "settings": asdict(settings),
        "versions": {"torch": torch.__version__, "numpy": np.__version__},
    }
    if one_kind:  # what other movies of that kind will have
        info["native_diameter"] = round(native, 2)
    if also:
        info["also"] = [describe_movie(movie) for movie in also]
    if start is not None:
        info["start_sha256"] = hash_of_weights(start.net)
    identity = {
        "start": info.get("start_sha256"),
        "also": info.get("also"),
        "settings": json.loads(json.dumps(info["settings"])),
        "seed": seed,
        "data": info["data_sha256"],
    }
    instances = default_instances(settings)

    net = build_net(settings, seed)
    if start is not None:
        copy_weights(start.net, net)
    net.to(target)
    average = copy.deepcopy(net) if settings.average else net
    if settings.average:  # a training step is a quarter faster in this order of memory, prediction is slower
        net.to(memory_format=torch.contiguous_format)
    state = State(net, average, copy.deepcopy(net), build_optimiser(net, settings))
    if resume and state_file is not None and state_file.is_file():
        load_state(state_file, state, identity)
    clock = Clock(target, state.minutes)

    def share_done() -> float:
        return state.step / total if minutes is None else max(clock.minutes() / minutes, state.step / total)

    done = share_done()
    saved = -math.inf  # what is stopped at once goes on as well
    while (done < 1 or state.losses) and not (patience and epochs_since_best(state.history) >= patience):
        while done < 1 and len(state.losses) < settings.epoch:
            for group in state.optimiser.param_groups:
                group["lr"] = settings.rate * rate_at(done)
            batch = batch_of(tiles, state.step, target)
            state.losses.append(train_step(net, state.optimiser, batch, settings, seed=seed + state.step))
            state.step += 1
            if settings.average:
                follow(average, net, settings.average, state.step)
            done = share_done()
            if state_file is not None and time.monotonic() - saved > KEPT_EVERY:
                state.minutes = clock.minutes()
                save_state(state_file, state, identity)
                saved = time.monotonic()
            if state.step % 10 == 0:
                note = f"step {state.step}, loss {state.losses[-1]:.3f}"
                progress("train", min(round(1000 * done), 1000), 1000, note)
        state.minutes = clock.minutes()
        row = {
            "step": state.step,
            "minutes": state.minutes,
            "rate": state.optimiser.param_groups[0]["lr"],
            "train_loss": float(np.mean(state.losses)),
        }
        state.losses.clear()
        if not math.isfinite(row["train_loss"]):
            raise InputError(
                f"The training has diverged after {counted(state.step, 'step')} (its loss is no number any more): "
                "choose a smaller --rate."
            )
        if validation:
            row |= validate(Model(average, preprocessing, instances), validation, tiles.balance, settings, score)
        state.history.append(row)
        if watch is not None:
            watch(row)
        if is_kept(state.history):
            state.best = copy.deepcopy(average)
        if state_file is not None:
            save_state(state_file, state, identity)
            saved = time.monotonic()
        progress("train", min(round(1000 * done), 1000), 1000, describe(row))

    # A model of so many steps is the same file every time: how long they took stands in the history alone.
    info |= {
        "steps": state.step,
        "minutes": minutes,
        "last_epoch": {key: value for key, value in state.history[-1].items() if key != "minutes"},
    }
    model = Model(state.best.cpu().eval(), preprocessing, instances, info)
    last = Model(average.cpu().eval(), preprocessing, instances, dict(info))
    if validation and score is not None:
        model.instances, model.info["validation_measures"] = calibrate(
            model, validation, score, progress, diameter=settings.diameter
        )
        last.instances = model.instances
    return Training(model, last, state.history)


def describe_movie(movie: AnnotatedMovie) -> str:
    """Name and frames of a movie, for the header of a model."""
    return f"{movie.name}, {counted(len(movie.numbers), 'frame')} {movie.numbers[0]}-{movie.numbers[-1]}"


def batch_of(tiles: TrainingTiles, step: int, device: torch.device) -> dict[str, Tensor]:
    """The tiles of one step, stacked."""
    size = tiles.settings.batch
    items = [tiles[step * size + k] for k in range(size)]
    return {key: torch.stack([item[key] for item in items]).to(device) for key in items[0]}


def train_step(
    net: UNet, optimiser: torch.optim.Optimizer, batch: dict[str, Tensor], settings: Settings, *, seed: int
) -> float:
    """One step of the optimiser; returns the loss. ``seed`` decides what dropout drops."""
    torch.manual_seed(seed)
    net.train()
    optimiser.zero_grad(set_to_none=True)
    with torch.autocast(batch["image"].device.type, enabled=batch["image"].device.type == "cuda", dtype=torch.bfloat16):
        output = net(batch["image"])
    loss = total_loss(
        output.float(),
        batch,
        classes=net.classes,
        dice=settings.dice,
        seeds=settings.seeds,
        neighbours=settings.neighbours,
    )
    loss.backward()
    optimiser.step()
    return float(loss.detach())


def describe(row: Mapping[str, float]) -> str:
    """One line about an epoch."""
    shown = [f"step {int(row['step'])}", f"{row['minutes']:.1f} min", f"train {row['train_loss']:.3f}"]
    shown += [f"{name} {row[name]:.3f}" for name in ("loss", "IoU", "SEG", "DET") if row.get(name) is not None]
    return ", ".join(shown)
