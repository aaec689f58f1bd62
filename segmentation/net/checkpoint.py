"""Models on disk: safetensors with a JSON header. Never a pickle, so that a model from a stranger is only numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch

from celltrail.data.errors import InputError, import_extra
from celltrail.data.writing.output import output_file
from celltrail.segmentation.net.instance_settings import InstanceSettings
from celltrail.segmentation.net.model import Model, Preprocessing
from celltrail.segmentation.net.unet import UNet

SCHEMA = "celltrail.model/1"
SHIPPED = Path(__file__).parents[1] / "models"


def save_model(path: Path, model: Model, *, half: bool = False, overwrite: bool = False) -> None:
    """Write a model; ``half`` stores the weights with 16 bits (half the size, no visible change of results)."""
    weights = {
        name: (tensor.half() if half and tensor.is_floating_point() else tensor).contiguous().cpu()
        for name, tensor in model.net.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    header = {
        "schema": SCHEMA,
        "architecture": model.net.architecture,
        "preprocessing": asdict(model.preprocessing),
        "instances": asdict(model.instances),
        "info": model.info,
    }
    save_tensors(path, weights, header, overwrite=overwrite)


def save_tensors(path: Path, tensors: dict[str, torch.Tensor], header: dict[str, Any], *, overwrite: bool) -> None:
    """Write tensors and a JSON header as safetensors, whole or not at all."""
    safetensors = import_extra("safetensors.torch", "segmentation")
    with output_file(path, overwrite=overwrite) as work:
        work.write_bytes(safetensors.save(tensors, metadata={"celltrail": json.dumps(header)}))


def load_tensors(path: Path, schema: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and header.

    Raises
    ------
    InputError
        If the file is missing, is no safetensors file, or was not written by Celltrail with this schema.
    """
    import_extra("safetensors.torch", "segmentation")
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(
            f"{path} does not exist: give a model file, or one of the names that 'celltrail models' lists."
        )
    try:
        with safe_open(path, framework="pt") as archive:
            header = json.loads((archive.metadata() or {}).get("celltrail", "{}"))
            tensors = {name: archive.get_tensor(name) for name in archive.keys()}  # noqa: SIM118 (not a dict)
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path} is not a model of Celltrail ({' '.join(str(error).split())[:80]}): "
            "give a .safetensors file made by 'celltrail train'."
        ) from None
    found = header.get("schema", "none") if isinstance(header, dict) else "none"
    if found != schema:
        raise InputError(
            f"{path} is not a model of Celltrail (its header says {found}, expected {schema}): "
            "give a .safetensors file made by 'celltrail train'."
        )
    return tensors, header


def load_model(name: str | Path) -> Model:
    """Read a model: a file, or the name of a shipped one.

    Raises
    ------
    InputError
        If there is no such model, or the file does not hold one (foreign, damaged, other architecture).
    """
    path = find_model(name)
    tensors, header = load_tensors(path, SCHEMA)
    try:
        net = UNet(**header["architecture"])
        expected = net.state_dict()
        given = {
            key: tensors[key].to(value.dtype) if key in tensors else value
            for key, value in expected.items()
            if key in tensors or key.endswith("num_batches_tracked")
        }
        net.load_state_dict(given)
        instances = InstanceSettings(**header["instances"])
        model = Model(
            net=net.eval(),
            preprocessing=Preprocessing(**header["preprocessing"]),
            instances=replace(instances, score=tuple(instances.score)),
            info=header["info"],
        )
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{path}: weights and description do not fit together "
            f"({' '.join(str(error).split())[:120]}): train the model again."
        ) from None
    unexpected = set(tensors) - set(expected)
    if unexpected:
        raise InputError(
            f"{path} holds weights of another architecture ({', '.join(sorted(unexpected)[:3])}): "
            "train the model again."
        )
    return model


def find_model(name: str | Path) -> Path:
    """Path of a model given as a file, or by the name of a shipped one."""
    path = Path(name)
    if path.is_file():
        return path
    shipped = list_models()
    if str(name) in shipped:
        return shipped[str(name)]
    raise InputError(f"There is no model {name}: give a .safetensors file, or one of {', '.join(shipped) or 'none'}.")


def list_models() -> dict[str, Path]:
    """The shipped models by name."""
    return {path.stem: path for path in sorted(SHIPPED.glob("*.safetensors"), key=lambda path: path.stem)}
