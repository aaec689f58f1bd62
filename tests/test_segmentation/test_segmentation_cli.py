"""The commands, through files, as a user runs them."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
import typer

torch = pytest.importorskip("torch")

from celltrail.data.files.arrays.tiff import write_array, write_labels  # noqa: E402
from celltrail.data.files.opening import open_labels  # noqa: E402
from celltrail.data.running import console  # noqa: E402
from celltrail.segmentation.cli import add_commands  # noqa: E402
from celltrail.segmentation.net.checkpoint import load_model  # noqa: E402


def iou(truth, masks) -> dict[str, float]:
    a = np.concatenate([truth[k].ravel() > 0 for k in truth])
    b = np.concatenate([masks[k].ravel() > 0 for k in truth])
    value = float((a & b).sum() / (a | b).sum())
    return {"IoU": value, "SEG": value, "DET": value}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drawn")
    random = np.random.default_rng(0)
    y, x = np.mgrid[:72, :72]
    for part in ("01", "01_ST/SEG"):
        (folder / part).mkdir(parents=True)
    for frame in range(8):
        labels = np.zeros((72, 72), dtype=np.uint16)
        for label, (cy, cx) in enumerate(random.uniform(8, 64, (6, 2)), start=1):
            labels[np.hypot(y - cy, x - cx) < 8] = label
        write_array(
            folder / f"01/t{frame:03d}.tif", ((labels > 0) * 80 + random.integers(0, 30, labels.shape)).astype(np.uint8)
        )
        write_labels(folder / f"01_ST/SEG/man_seg{frame:03d}.tif", labels)
    return folder


def celltrail(*arguments: object) -> int:
    app = typer.Typer()
    add_commands(app, score=iou)
    return console.run(app, [str(a) for a in arguments])


@pytest.fixture(scope="module")
def model(dataset: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("model") / "tiny.safetensors"
    done = celltrail(
        "train",
        dataset,
        "--sequence",
        "01",
        "--steps",
        40,
        "--width",
        6,
        "--depth",
        2,
        "--scale",
        1,
        "--threads",
        1,
        "--out",
        out,
    )
    assert done == 0
    return out


def test_train_then_segment(dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "masks"
    assert celltrail("segment", dataset / "01", "--model", model, "--frames", "6:7", "--out", out, "--json") == 0
    told = json.loads(capsys.readouterr().out)
    names = ["hyp006.npz", "hyp007.npz", "mask006.tif", "mask007.tif", "run.json", "run.log"]
    assert sorted(p.name for p in out.iterdir()) == names
    masks = open_labels(out)
    assert masks[6].dtype == np.uint16
    assert told["cells"] == {str(k): int(masks[k].max()) for k in masks}
    truth = open_labels(dataset / "01_ST/SEG")
    assert iou({k: truth[k] for k in masks}, masks)["IoU"] > 0.5
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_train_starts_from_a_model_and_takes_its_size(dataset: Path, model: Path, tmp_path: Path) -> None:
    out = tmp_path / "more.safetensors"
    assert (
        celltrail(
            "train",
            dataset,
            "--sequence",
            "01",
            "--steps",
            1,
            "--scale",
            1,
            "--threads",
            1,
            "--start",
            model,
            "--out",
            out,
        )
        == 0
    )
    assert load_model(out).net.architecture == load_model(model).net.architecture


def test_stack_with_channels_gives_one_mask_per_frame(dataset: Path, model: Path, tmp_path: Path) -> None:
    frames = np.stack([tifffile.imread(p) for p in sorted((dataset / "01").iterdir())[:3]])
    stack = np.stack([np.zeros_like(frames), frames], axis=1)
    tifffile.imwrite(tmp_path / "stack.tif", stack, imagej=True, metadata={"axes": "TCYX"})
    assert celltrail("segment", tmp_path / "stack.tif", "--channel", 1, "--model", model, "--out", tmp_path / "a") == 0
    assert celltrail("segment", dataset / "01", "--frames", "0:2", "--model", model, "--out", tmp_path / "b") == 0
    a, b = open_labels(tmp_path / "a"), open_labels(tmp_path / "b")
    assert all(np.array_equal(a[k], b[k]) for k in range(3))


def test_eightfold_prediction_runs(dataset: Path, model: Path, tmp_path: Path) -> None:
    assert (
        celltrail("segment", dataset / "01", "--frames", "0:0", "--tta", "--model", model, "--out", tmp_path / "m") == 0
    )


def test_models_lists_what_is_shipped(capsys: pytest.CaptureFixture[str]) -> None:
    from celltrail.segmentation.net.checkpoint import list_models

    assert celltrail("models", "--json") == 0
    assert {row["name"] for row in json.loads(capsys.readouterr().out)} == set(list_models())


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--sequence", "07"), "no sequence 07"),
        (("--sequence", "01", "--truth", "GT"), "--truth ST"),
        ((), "--sequence 01"),
        (("--sequence", "01", "--preset", "huge"), "is not one of 'fast', 'nuclei', 'paper'"),
        (("--sequence", "01", "--frames", "90:99"), "no labels in the chosen frames"),
        (("--sequence", "01", "--validation", "50:60"), "no annotated frames"),
        (("--sequence", "01", "--device", "quantum"), "--device"),
        (("--sequence", "01", "--cells", "square"), "is not one of 'round', 'flat'"),
    ],
)
def test_train_refuses(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], options, said: str) -> None:
    assert celltrail("train", dataset, *options, "--out", tmp_path / "m.safetensors") == 2
    assert said in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_train_names_the_kind_of_file(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert celltrail("train", dataset, "--sequence", "01", "--out", tmp_path / "m.pt") == 2
    assert ".safetensors" in capsys.readouterr().err


def test_segment_refuses_and_leaves_nothing(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for images, name, said in [
        (tmp_path / "nowhere", model, "does not exist"),
        (dataset / "01", "unknown-model", "no model"),
        (dataset / "01/t000.tif", dataset / "01/t000.tif", "not a model"),
    ]:
        assert celltrail("segment", images, "--model", name, "--out", tmp_path / "out") == 2
        assert said in capsys.readouterr().err
        assert not list(tmp_path.iterdir())


def test_beside_the_model_stand_its_curve_and_its_last_weights(model: Path) -> None:
    assert {p.name for p in model.parent.iterdir()} == {
        "tiny.safetensors",
        "tiny.last.safetensors",
        "tiny.csv",
        "tiny.png",
    }
    with (model.parent / "tiny.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    assert rows[-1]["step"] == "40"
    assert {"train_loss", "loss", "IoU", "SEG", "DET"} <= set(rows[-1])
    assert float(rows[-1]["loss"]) > 0


def test_nothing_to_resume(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert celltrail("train", dataset, "--sequence", "01", "--resume", "--out", tmp_path / "m.safetensors") == 2
    assert "without --resume" in capsys.readouterr().err


def test_more_files_per_frame(dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from celltrail.data.files.hypotheses import read_hypotheses

    plain, more = tmp_path / "plain", tmp_path / "more"
    usual = ("segment", dataset / "01", "--frames", "0:1", "--model", model)
    assert celltrail(*usual, "--no-hypotheses", "--out", plain) == 0
    assert {p.name for p in plain.iterdir()} == {"mask000.tif", "mask001.tif", "run.log", "run.json"}
    assert (
        celltrail(
            "segment",
            dataset / "01",
            "--frames",
            "0:1",
            "--model",
            model,
            "--out",
            more,
            "--hypotheses",
            "--binary",
            "--probability",
        )
        == 0
    )
    assert f"celltrail track {more} --images {dataset / '01'} --out RES" in capsys.readouterr().out
    names = {p.name for p in more.iterdir()} - {"run.log", "run.json"}
    assert names == {
        f"{kind}00{n}.{end}"
        for n in (0, 1)
        for kind, end in (("mask", "tif"), ("hyp", "npz"), ("binary", "png"), ("probability", "tif"))
    }
    a, b = open_labels(plain), open_labels(more)
    assert all(np.array_equal(a[k], b[k]) for k in (0, 1))
    found = read_hypotheses(more / "hyp000.npz")
    assert len(found) >= int(b[0].max())
    probability = tifffile.imread(more / "probability000.tif")
    assert probability.dtype == np.float32
    assert 0 <= probability.min() < probability.max() <= 1


def test_a_stopped_run_goes_on(
    dataset: Path, model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import celltrail.segmentation.prediction.movie as room

    predict, calls = room.predict, []

    def stops_at_the_third(*arguments, **options):
        if len(calls) == 2:
            raise KeyboardInterrupt
        calls.append(1)
        return predict(*arguments, **options)

    command = ("segment", dataset / "01", "--frames", "0:3", "--model", model, "--out", tmp_path / "m", "--resume")
    monkeypatch.setattr(room, "predict", stops_at_the_third)
    assert celltrail(*command) == 130
    assert not (tmp_path / "m").exists()
    monkeypatch.setattr(room, "predict", predict)
    assert celltrail(*command, "--tta") == 2
    assert "without --resume" in capsys.readouterr().err
    assert celltrail(*command) == 0
    assert sorted(p.name for p in (tmp_path / "m").glob("mask*")) == [f"mask00{k}.tif" for k in range(4)]


TINY = ("--sequence", "01", "--steps", 2, "--width", 2, "--depth", 1, "--scale", 1, "--validation", "none")


def test_weights_written_and_learnt_with(dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    tiff, npy = tmp_path / "tiff", tmp_path / "npy"
    assert celltrail("preview", "weights", dataset, "--write", tiff) == 0
    assert celltrail("preview", "weights", dataset, "--write", npy, "--format", "npy") == 0
    maps = [tifffile.imread(p) for p in sorted(tiff.iterdir())]
    assert len(maps) == 8
    assert maps[0].dtype == np.float32
    assert maps[0].shape == (72, 72)
    assert np.mean([m.mean() for m in maps]) > 1  # class weights of mean 1, and the border term
    assert all(np.array_equal(np.load(p), m) for p, m in zip(sorted(npy.iterdir()), maps, strict=True))
    learnt = []
    for options in (("--weights", tiff), ("--weights", npy), ()):
        out = tmp_path / f"{len(learnt)}.safetensors"
        assert celltrail("train", dataset, *TINY, *options, "--out", out) == 0
        learnt.append(load_model(out).net.head.weight)
    assert torch.equal(learnt[0], learnt[1])
    assert not torch.equal(learnt[0], learnt[2])
    capsys.readouterr()
    for spoil, said in [
        (lambda p: np.save(p, -np.load(p)), "a weight is 0 or more"),
        (lambda p: np.save(p, np.load(p)[:9]), "no weights of (72, 72) pixels"),
        (lambda p: p.write_bytes(p.read_bytes()[:200]), "not a readable NumPy array"),
        (lambda p: p.unlink(), "no weights of (72, 72) pixels"),
    ]:
        spoil(npy / "weight003.npy")
        assert celltrail("train", dataset, *TINY, "--weights", npy, "--out", tmp_path / "n.safetensors") == 2
        assert said in capsys.readouterr().err
    assert celltrail("preview", "weights", dataset, "--format", "csv", "--write", tmp_path / "x") == 2
    assert "choose tif or npy" in capsys.readouterr().err


def test_weights_of_some_frames(dataset: Path, tmp_path: Path) -> None:
    assert celltrail("preview", "weights", dataset, "--frames", "2:3", "--write", tmp_path / "w") == 0
    assert sorted(p.name for p in (tmp_path / "w").iterdir()) == ["weight002.tif", "weight003.tif"]


def test_previews_are_pictures(dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    for name, options in [
        ("weights", (dataset,)),
        ("augmentation", (dataset, "--frame", 2)),
        ("prediction", (dataset / "01", "--model", model)),
    ]:
        out = tmp_path / f"{name}.png"
        assert celltrail("preview", name, *options, "--out", out) == 0
        with Image.open(out) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        assert pixels.shape[1] > 500
        assert pixels.std() > 10
    assert celltrail("preview", "weights", dataset, "--frame", 99, "--out", tmp_path / "x.png") == 2
    assert "--frame 99" in capsys.readouterr().err


def test_own_images_and_labels_outside_the_ctc_layout(dataset: Path, tmp_path: Path) -> None:
    out = tmp_path / "own.safetensors"
    assert (
        celltrail(
            "train",
            dataset / "01",
            "--labels",
            dataset / "01_ST/SEG",
            "--steps",
            2,
            "--width",
            2,
            "--depth",
            1,
            "--scale",
            1,
            "--validation",
            "6:7",
            "--elastic",
            "field",
            "--out",
            out,
        )
        == 0
    )
    assert out.is_file()


def test_a_model_learns_also_from_masks_that_a_model_has_made(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found, out = tmp_path / "masks", tmp_path / "more.safetensors"
    assert celltrail("segment", dataset / "01", "--model", model, "--out", found) == 0
    learn = ("train", dataset, "--sequence", "01", "--steps", 2, "--width", 2, "--depth", 1, "--scale", 1, "--out", out)
    assert celltrail(*learn, "--also", f"{dataset / '01'}={found}") == 0
    from celltrail.segmentation import load_model

    (name,) = load_model(out).info["also"]
    assert name.startswith(f"{dataset.name}/01, 8 frames")
    capsys.readouterr()
    for wrong, said in [("images", "write the folder"), (f"{dataset / '01'}={tmp_path / 'none'}", "none")]:
        assert celltrail(*learn, "--also", wrong, "--overwrite") == 2
        assert said in capsys.readouterr().err


def annotated(folder: Path, image: np.ndarray, labels: np.ndarray, count: int = 4) -> Path:
    for part in ("01", "01_ST/SEG"):
        (folder / part).mkdir(parents=True)
    for frame in range(count):
        tifffile.imwrite(folder / f"01/t{frame:03d}.tif", image)
        tifffile.imwrite(folder / f"01_ST/SEG/man_seg{frame:03d}.tif", labels)
    return folder


GREY = np.random.default_rng(1).integers(0, 200, (40, 40)).astype(np.uint8)
CELLS = np.zeros((40, 40), dtype=np.uint16)
CELLS[5:15, 5:15], CELLS[20:30, 20:30] = 1, 2


@pytest.mark.parametrize(
    ("image", "labels", "said"),
    [
        (GREY, (CELLS > 0).astype(np.uint8) * 255, "--split-binary"),
        (GREY, np.zeros_like(CELLS), "no cell"),
        (GREY, CELLS[:30], "same shape"),
        (GREY, 0.9 * CELLS.astype(np.float32), "whole numbers"),
        (np.stack([GREY] * 3, axis=-1), CELLS, "colour"),
        (np.full((40, 40), np.nan, np.float32), CELLS, "not finite"),
        (CELLS, CELLS, "holds masks"),
    ],
)
def test_annotations_that_cannot_be_learnt_from(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], image: np.ndarray, labels: np.ndarray, said: str
) -> None:
    folder = annotated(tmp_path / "data", image, labels)
    out = tmp_path / "m.safetensors"
    assert (
        celltrail(
            "train", folder, "--sequence", "01", "--steps", 1, "--width", 2, "--depth", 1, "--scale", 1, "--out", out
        )
        == 2
    )
    assert said in capsys.readouterr().err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["data"]


def test_labels_without_an_image(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = annotated(tmp_path / "data", GREY, CELLS)
    (folder / "01/t002.tif").unlink()
    assert celltrail("train", folder, *TINY, "--out", tmp_path / "m.safetensors") == 2
    told = capsys.readouterr().err
    assert "labels for the frames [2]" in told
    assert "add the images" in told


@pytest.mark.parametrize(
    ("image", "said"),
    [
        (np.stack([GREY] * 3, axis=-1), "colour"),
        (np.full((40, 40), np.nan, np.float32), "no finite value"),
        (CELLS, "holds masks"),
    ],
)
def test_images_that_cannot_be_segmented(
    model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], image: np.ndarray, said: str
) -> None:
    tifffile.imwrite(tmp_path / "t000.tif", image)
    assert celltrail("segment", tmp_path / "t000.tif", "--model", model, "--out", tmp_path / "out") == 2
    told = capsys.readouterr().err
    assert said in told
    assert "Traceback" not in told
    assert [p.name for p in tmp_path.iterdir()] == ["t000.tif"]


def test_a_model_of_another_architecture(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from safetensors import safe_open
    from safetensors.torch import save_file

    with safe_open(model, framework="pt") as archive:
        header = json.loads(archive.metadata()["celltrail"])
        tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a dict)
    header["architecture"]["depth"] = 3
    other = tmp_path / "other.safetensors"
    save_file(tensors, other, metadata={"celltrail": json.dumps(header)})
    assert celltrail("segment", dataset / "01", "--model", other, "--out", tmp_path / "out") == 2
    assert "do not fit together" in capsys.readouterr().err


def test_several_sources_and_a_start_with_its_diameter(
    dataset: Path, model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "more.safetensors"
    masks = dataset / "01_ST/SEG"
    done = celltrail(
        "train", f"{dataset}/01={masks}", dataset, "--sequence", "01", "--start", model, "--steps", 2, "--out", out
    )
    printed = capsys.readouterr()
    assert done == 0, printed.err
    assert "train: " in printed.err  # progress although nobody watches
    assert "held-back frame" in printed.out
    trained, first = load_model(out), load_model(model)
    assert trained.info["settings"]["diameter"] == trained.info["diameter"] == first.info["diameter"]
    assert trained.preprocessing.scale == 1
    assert len(trained.info["training"]) == 2


@pytest.mark.parametrize("stopped_at", [1, 2])
def test_a_stopped_training_says_how_it_goes_on(
    dataset: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, stopped_at: int
) -> None:
    from celltrail.segmentation.training import loop

    out = tmp_path / "m.safetensors"
    words = ["train", dataset, "--sequence", "01", "--width", 2, "--depth", 1, "--steps", 4, "--epoch", 2, "--out", out]
    validate = loop.validate
    calls: list[int] = []

    def interrupted(*arguments: object) -> dict[str, float]:
        calls.append(1)
        if len(calls) == stopped_at:
            raise KeyboardInterrupt
        return validate(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(loop, "validate", interrupted)
    assert celltrail(*words) == 130
    assert "--resume goes on" in capsys.readouterr().err
    assert not out.exists()
    assert celltrail(*words, "--resume") == 0
    assert load_model(out).info["steps"] == 4
