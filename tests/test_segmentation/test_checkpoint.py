"""Models survive the disk; files that are no models are refused in one sentence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

from celltrail.data.errors import InputError  # noqa: E402
from celltrail.segmentation.net import checkpoint  # noqa: E402
from celltrail.segmentation.net.checkpoint import list_models, load_model, save_model  # noqa: E402
from celltrail.segmentation.net.instance_settings import FLAT, InstanceSettings  # noqa: E402
from celltrail.segmentation.net.model import Model, Preprocessing  # noqa: E402
from celltrail.segmentation.net.unet import UNet  # noqa: E402
from celltrail.segmentation.prediction.tiles import predict  # noqa: E402


@pytest.fixture
def model() -> Model:
    torch.manual_seed(0)
    net = UNet(width=2, depth=1, norm="batch", distance=True)
    return Model(
        net,
        Preprocessing(2, 98, 3),
        InstanceSettings(seed=0.3, min_size=9, score=FLAT),
        {"seed": 5, "note": "made here"},
    )


def test_a_model_comes_back_as_it_was(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", model)
    back = load_model(tmp_path / "m.safetensors")
    assert (back.preprocessing, back.instances, back.info) == (model.preprocessing, model.instances, model.info)
    image = np.random.default_rng(0).random((60, 60))
    assert np.array_equal(predict(model, image).probability, predict(back, image).probability)


def test_half_precision_halves_the_file_and_hardly_changes_the_map(model: Model, tmp_path: Path) -> None:
    model = Model(UNet(width=8, depth=2, norm="batch"))
    save_model(tmp_path / "full.safetensors", model)
    save_model(tmp_path / "half.safetensors", model, half=True)
    assert (tmp_path / "half.safetensors").stat().st_size < 0.6 * (tmp_path / "full.safetensors").stat().st_size
    image = np.random.default_rng(0).random((60, 60))
    full, half = (predict(load_model(tmp_path / f"{n}.safetensors"), image).probability for n in ("full", "half"))
    assert np.abs(full - half).max() < 0.01


def test_nothing_is_overwritten_unasked(model: Model, tmp_path: Path) -> None:
    save_model(tmp_path / "m.safetensors", model)
    with pytest.raises(InputError, match="--overwrite"):
        save_model(tmp_path / "m.safetensors", model)


def broken(path: Path, model: Model) -> None:
    save_model(path, model)
    path.write_bytes(path.read_bytes()[:-100])


def pickled(path: Path, model: Model) -> None:
    torch.save(model.net.state_dict(), path)


def foreign(path: Path, model: Model) -> None:
    safetensors.save_file({"weight": torch.zeros(3)}, path)


def other_architecture(path: Path, model: Model) -> None:
    save_model(path, model)
    with safetensors.safe_open(path, framework="pt") as archive:
        header = json.loads(archive.metadata()["celltrail"])
    header["architecture"]["width"] = 4
    tensors = {name: tensor.contiguous() for name, tensor in model.net.state_dict().items() if tensor.ndim}
    safetensors.save_file(tensors, path, metadata={"celltrail": json.dumps(header)})


def text(path: Path, model: Model) -> None:
    path.write_text("not a model")


def header_without_architecture(path: Path, model: Model) -> None:
    safetensors.save_file(
        {"w": torch.zeros(1)}, path, metadata={"celltrail": json.dumps({"schema": "celltrail.model/1"})}
    )


@pytest.mark.parametrize("make", [broken, pickled, foreign, other_architecture, text, header_without_architecture])
def test_files_that_are_no_models(make, model: Model, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    make(path, model)
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert len(caught.value.problems) == 1
    assert "x.safetensors" in str(caught.value)


HOSTILE = {
    "a net of 5 GB": {"architecture": {"depth": 30}},
    "wider than any": {"architecture": {"width": 2**40}},
    "too many levels": {"architecture": {"depth": 8, "width": 1024}},
    "a negative width": {"architecture": {"width": -4}},
    "a width of text": {"architecture": {"width": "16"}},
    "true for a number": {"architecture": {"depth": True}},
    "three channels": {"architecture": {"channels": 3}},
    "another norm": {"architecture": {"norm": "group"}},
    "an unknown word": {"architecture": {"norm_": "batch"}},
    "NaN dropout": {"architecture": {"dropout": float("nan")}},
    "no architecture": {"architecture": None},
    "an architecture of numbers": {"architecture": [1, 2]},
    "a scale of nothing": {"preprocessing": {"scale": 0}},
    "a scale of everything": {"preprocessing": {"scale": 10**12}},
    "an infinite percentile": {"preprocessing": {"high": float("inf")}},
    "percentiles the wrong way round": {"preprocessing": {"low": 90, "high": 10}},
    "an unknown method": {"instances": {"method": "os.system"}},
    "a threshold of text": {"instances": {"threshold": "0.5"}},
    "a threshold beyond": {"instances": {"threshold": 1e300}},
    "a score of two": {"instances": {"score": [1, 2]}},
    "a score of texts": {"instances": {"score": ["a"] * 5}},
    "growing for ever": {"instances": {"grow": 10**9}},
    "info that is none": {"info": 7},
    "a diameter of NaN": {"info": {"diameter": float("nan")}},
    "a tiny diameter": {"info": {"diameter": -1e-320}},
    "a diameter of text": {"info": {"native_diameter": "20"}},
    "measures that are none": {"info": {"validation_measures": [1]}},
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_headers_are_refused_before_anything_is_allocated(
    name: str, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    save_model(path, model)
    with safetensors.safe_open(path, framework="pt") as archive:
        header = json.loads(archive.metadata()["celltrail"])
        tensors = {key: archive.get_tensor(key) for key in archive.keys()}  # noqa: SIM118
    for part, values in HOSTILE[name].items():
        header[part] = {**header[part], **values} if isinstance(values, dict) else values
    safetensors.save_file(tensors, path, metadata={"celltrail": json.dumps(header)})
    monkeypatch.setattr(checkpoint, "UNet", None)  # the net that would take memory
    with pytest.raises(InputError) as caught:
        load_model(path)
    assert len(caught.value.problems) == 1
    assert "x.safetensors" in str(caught.value)


@pytest.mark.parametrize(
    "text", ["[" * 100_000, '{"schema": ' * 5000, '{"schema": 1e999}', "[]", "7", "null", '"celltrail.model/1"']
)
def test_headers_that_are_no_description(text: str, tmp_path: Path) -> None:
    safetensors.save_file({"w": torch.zeros(1)}, tmp_path / "x.safetensors", metadata={"celltrail": text})
    with pytest.raises(InputError, match=r"x\.safetensors is not a model"):
        load_model(tmp_path / "x.safetensors")


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers(value: float, model: Model, tmp_path: Path) -> None:
    model.net.head.weight.data[0, 0] = value
    save_model(tmp_path / "x.safetensors", model)
    with pytest.raises(InputError, match="no numbers"):
        load_model(tmp_path / "x.safetensors")


def test_unknown_name_lists_the_shipped_ones() -> None:
    with pytest.raises(InputError, match="no model nonsense"):
        load_model("nonsense")


@pytest.mark.parametrize("name", sorted(list_models()))
def test_shipped_models_load_and_are_small(name: str) -> None:
    path = list_models()[name]
    assert path.stat().st_size <= 4 * 2**20
    card = path.with_suffix(".md").read_text(encoding="utf-8")
    assert "celltrail train" in card
    assert load_model(name).info["training"]
