"""What training sees, what a model makes of an image, and how it was trained."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest

from celltrail.dashboard.judging import model_cards
from celltrail.dashboard.opening import registry
from celltrail.data import InputError
from celltrail.segmentation.net.checkpoint import list_models, load_model
from celltrail.segmentation.training.curve import write_curve

OpenPage = Callable[..., AppTest]


def button_of(test: AppTest, label: str) -> Any:
    return next(button for button in test.button if button.label == label)


@pytest.mark.parametrize(
    ("kind", "titles"),
    [
        ("Weights of the loss", ["image and cells", "weights"]),
        ("Variations in training", ["as it is", "variation 1", "variation 2"]),
        ("Probability of a model", ["image and cells", "scaled image", "probability"]),
    ],
)
def test_a_preview_is_drawn_and_stays(open_page: OpenPage, dataset: Path, kind: str, titles: list[str]) -> None:
    test = open_page(dataset, "segmentation", t="2")
    test.selectbox(key="preview_kind").select(kind).run()
    test.session_state.t = 2
    button_of(test, "Show").click().run()
    test.run()  # what was drawn does not vanish with the next click elsewhere
    assert not test.exception
    assert any(caption.value.startswith("Frame 2. ") for caption in test.caption)
    _, number, panels = test.session_state.preview
    assert number == 2
    assert [title for title, _ in panels][: len(titles)] == titles
    for title, picture in panels:
        assert np.isfinite(picture).all(), title
        assert picture.min() < picture.max(), title


def test_the_header_tells_the_training_without_reading_the_weights() -> None:
    for path in list_models().values():
        assert model_cards.training_facts(path) == load_model(path).info


@pytest.mark.parametrize(
    "content", [b"", b"x" * 100, (2**60).to_bytes(8, "little") + b"{}", (2).to_bytes(8, "little") + b"{}"]
)
def test_what_is_no_model_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a.safetensors"
    path.write_bytes(content)
    with pytest.raises(InputError, match="is not a model of Celltrail"):
        model_cards.training_facts(path)


def own_model(folder: Path) -> Path:
    (folder / "mine").mkdir()
    path = folder / "mine" / "a_model.safetensors"
    shutil.copy(list_models()["sim-fluo"], path)
    rows = [
        {"step": 100, "train_loss": 0.5, "loss": 0.6, "IoU": 0.4},
        {"step": 200, "train_loss": 0.3, "loss": 0.45, "IoU": 0.7},
    ]
    write_curve(path, rows)
    return path


def test_the_curve_of_a_model_is_drawn(open_page: OpenPage, copy_of: Path) -> None:
    path = own_model(copy_of)
    assert next(iter(model_cards.list_models(registry.open_dataset(copy_of)))) == "mine/a_model.safetensors"
    table = model_cards.training_curve(path)
    pd.testing.assert_series_equal(table["loss"], pd.Series([0.6, 0.45], name="loss"))
    test = open_page(copy_of, "segmentation")
    test.selectbox(key="curve_model").select("mine/a_model.safetensors").run()
    assert not test.exception
    charts = {chart.proto.id.rsplit("-", 1)[-1]: json.loads(chart.proto.spec) for chart in test.get("plotly_chart")}
    assert [trace["name"] for trace in charts["curve_loss"]["data"]] == ["training loss", "validation loss"]
    assert [trace["name"] for trace in charts["curve_on frames held back"]["data"]] == ["IoU"]
    shown = {metric.label: metric.value for metric in test.metric}
    info = load_model(path).info
    assert shown["Steps"] == f"{info['steps']:,}"
    assert shown["SEG"] == f"{info['validation_measures']['SEG']:.3f}"


def test_a_broken_curve_becomes_one_card(open_page: OpenPage, copy_of: Path) -> None:
    path = own_model(copy_of)
    for text in ("a,b\n1,2\n", "step,loss\n1,many\n", ""):
        path.with_suffix(".csv").write_text(text)
        with pytest.raises(InputError, match="is not a learning curve"):
            model_cards.training_curve(path)
    test = open_page(copy_of, "segmentation")
    test.selectbox(key="curve_model").select("mine/a_model.safetensors").run()
    assert not test.exception
    assert "is not a learning curve" in " ".join(part.value for part in test.text)


def test_a_shipped_model_without_curve_says_so(open_page: OpenPage, dataset: Path) -> None:
    test = open_page(dataset, "segmentation")
    test.selectbox(key="curve_model").select("sim-fluo").run()
    assert "learning curve of this model was not kept" in " ".join(part.value for part in test.caption)
