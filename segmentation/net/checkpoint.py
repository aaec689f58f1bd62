"""Models on disk: safetensors with a JSON header. Never a pickle, so that a model from a stranger is only numbers."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from celltrail.data.errors import InputError, import_extra
from celltrail.data.regular import parse_json
from celltrail.data.running.json_text import to_json
from celltrail.data.writing.output import output_file
from celltrail.segmentation.net.header import read_header
from celltrail.segmentation.net.model import Model
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
        work.write_bytes(safetensors.save(tensors, metadata={"celltrail": to_json(header, indent=None)}))


NO_MODEL = "{} is not a model of Celltrail ({}): give a .safetensors file made by 'celltrail train'."


@contextmanager
def open_tensors(path: Path, schema: str) -> Iterator[tuple[Any, dict[str, Any]]]:
    """The archive of tensors, from which none is read yet, and its header; errors as `load_tensors`, also in the block."""
    import_extra("safetensors.torch", "segmentation")
    from safetensors import SafetensorError, safe_open

    if not Path(path).is_file():
        raise InputError(
            f"{path} does not exist: give a model file, or one of the names that 'celltrail models' lists."
        )
    try:
        with safe_open(path, framework="pt") as archive:
            header = parse_json((archive.metadata() or {}).get("celltrail", "{}"))
            found = header.get("schema", "none") if isinstance(header, dict) else "none"
            if found != schema:
                raise InputError(NO_MODEL.format(path, f"its header says {str(found)[:40]}, expected {schema}"))
            yield archive, header
    except InputError:
        raise
    except (SafetensorError, OSError, ValueError, RuntimeError) as error:
        raise InputError(NO_MODEL.format(path, " ".join(str(error).split())[:80])) from None


def load_tensors(path: Path, schema: str) -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
    """Read tensors and header.

    Raises
    ------
    InputError
        If the file is missing, is no safetensors file, or was not written by Celltrail with this schema.
    """
    with open_tensors(path, schema) as (archive, header):
        return {name: archive.get_tensor(name) for name in archive.keys()}, header  # noqa: SIM118 (not a dict)


def load_model(name: str | Path) -> Model:
    """Read a model: a file, or the name of a shipped one. What its header says is checked before anything is allocated.

    Raises
    ------
    InputError
        If there is no such model, or the file does not hold one (foreign, damaged, other architecture).
    """
    path = find_model(name)
    with open_tensors(path, SCHEMA) as (archive, content):
        try:
            header = read_header(content)
        except InputError as error:
            raise InputError(NO_MODEL.format(path, " ".join(error.problems)[:200].rstrip("."))) from None
        expected = header.architecture.shapes()
        given = {name: tuple(archive.get_slice(name).get_shape()) for name in archive.keys()}  # noqa: SIM118
        counters = {name for name in expected if name.endswith("num_batches_tracked")}
        wrong = [name for name in {**expected, **given} if given.get(name) != expected.get(name)]
        wrong = [name for name in wrong if name not in counters or name in given]
        if wrong:
            raise InputError(
                f"{path}: weights and description do not fit together ({', '.join(wrong[:3])}): train the model again."
            )
        tensors = {name: archive.get_tensor(name) for name in given}
    if not all(tensor.is_floating_point() and bool(tensor.isfinite().all()) for tensor in tensors.values()):
        raise InputError(f"{path} holds weights that are no numbers: train the model again.")
    net = UNet(**vars(header.architecture))
    zeros = {name: torch.zeros(expected[name], dtype=torch.long) for name in counters}
    net.load_state_dict({**zeros, **{name: tensor.float() for name, tensor in tensors.items()}})
    return Model(net.eval(), header.preprocessing, header.instances, header.info)


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
