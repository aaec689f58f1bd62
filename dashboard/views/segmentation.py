"""Segmentation: every true cell with the mask that fits it best, the worst first; and what training sees."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from numpy.typing import NDArray

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, model_cards, objects, review
from celltrail.dashboard.opening import content, registry, state
from celltrail.dashboard.opening.finding import Kind
from celltrail.dashboard.opening.registry import Layer
from celltrail.dashboard.viewer import Pane, show_viewer
from celltrail.data.errors import MissingExtra, import_extra
from celltrail.evaluation.measures.catalogue import definition

MEANING = {
    "Weights of the loss": "Bright pixels count more in training: narrow gaps between cells, so that cells are parted.",
    "Variations in training": "Training never sees the same tile twice: it is turned, bent, and made brighter or darker.",
    "Probability of a model": "What the model makes of this frame: how sure it is, pixel by pixel, that there is a cell.",
}
FULL_MASKS: tuple[Kind, ...] = ("annotated", "silver", "truth")


def choose_truth(selection: state.Selection, layer: Layer) -> Layer | None:
    """The truth to compare with: full masks of some frames, silver truth, or the tracking truth."""
    truths = {one.id: one for kind in FULL_MASKS for one in selection.movie.of_kind(kind) if one.id != layer.id}
    if not truths:
        return None
    key = st.selectbox(
        "Compared with",
        list(truths),
        key="truth_masks",
        width=320,
        format_func=lambda key: f"{truths[key].name} ({registry.KIND_NAMES[truths[key].kind]})",
    )
    return truths[key]


def show_objects(selection: state.Selection, truth: content.Result, result: content.Result) -> None:
    """Mean and histogram of the IoU, the table, and image, truth and prediction side by side."""
    with st.spinner("Comparing masks …"):
        table = objects.object_scores(truth, result)
    if table.empty:
        parts.empty("No common frame", "The truth and these masks have no frame in common.")
        return
    parts.show_tiles(
        [
            ("True cells", parts.figure(len(table)), ""),
            ("Mean IoU", parts.figure(float(table["IoU"].mean())), "With the best mask of each."),
            ("IoU below 0.5", parts.figure(int((table["IoU"] <= 0.5).sum())), "Cells whose best mask fits badly."),
            ("Missed", parts.figure(int((table["mask"] == 0).sum())), "Cells that no mask touches."),
        ]
    )

    def take_row() -> None:
        rows = st.session_state.objects_table.selection.rows
        if rows:
            show_row(rows[0])

    def show_row(index: int) -> None:
        row = table.iloc[index]
        st.session_state.object_shown = {"truth": int(row["true cell"]), "mask": int(row["mask"])}
        focus = {"y": row["y"] + 0.5, "x": row["x"] + 0.5, "zoom": review.close_up(truth, 300)}
        state.look_at(t=int(row["frame"]), focus=focus)

    if st.session_state.get("objects_of") != (truth.layer.id, result.layer.id):
        st.session_state.objects_of = (truth.layer.id, result.layer.id)
        show_row(0)
    shown = st.session_state.get("object_shown", {"truth": 0, "mask": 0})
    frames, shape = state.clock_of(selection)
    panes = [
        Pane(selection.movie, None, "image"),
        Pane(selection.movie, truth.layer, "truth"),
        Pane(selection.movie, result.layer, "result"),
    ]
    show_viewer(
        panes,
        key="objects_viewer",
        frames=frames,
        shape=shape,
        t=st.session_state.t,
        columns=3,
        selected={truth.layer.id: shown["truth"], result.layer.id: shown["mask"]},
        revision=st.session_state.revision,
        height="clamp(220px, 40vh, 1100px)",
        focus=st.session_state.get("focus"),
        place=f"{selection.movie.id} objects",
    )
    left, right = st.container(key="beside_objects").columns([3, 2])
    with left:
        st.dataframe(
            table.drop(columns=["y", "x"]),
            key="objects_table",
            hide_index=True,
            height=280,
            on_select=take_row,
            selection_mode="single-row",
            alt="True cells, the worst segmented first",
        )
    with right:
        st.plotly_chart(
            charts.draw_histogram(table["IoU"].to_numpy(), "IoU", "true cells"),
            key="iou_histogram",
            config=parts.plot_config(),
            alt="Histogram of the IoU of the true cells",
        )


def show_previews(selection: state.Selection) -> None:
    """Weights of the loss, variations in training, probability of a model: made on request."""
    movie = selection.movie
    kinds = ["Weights of the loss", "Variations in training"] if movie.of_kind("silver", "annotated") else []
    kinds += ["Probability of a model"] if movie.images is not None else []
    if not kinds or movie.images is None:
        st.caption("There are no images to draw on.")
        return
    left, middle, right = st.columns([2, 2, 1], vertical_alignment="bottom")
    kind = left.selectbox("Preview", kinds, key="preview_kind")
    known = model_cards.list_models(parts.dataset())
    model = middle.selectbox("Model", list(known), key="preview_model") if kind == "Probability of a model" else None
    about = (movie.id, kind, model)
    if right.button("Show", key="preview_show"):
        with st.spinner("Drawing …"):
            st.session_state.preview = (about, *draw_preview(selection, kind, None if model is None else known[model]))
    shown = st.session_state.get("preview")
    if shown is None or shown[0] != about:
        st.caption(MEANING[kind])
        return
    _, number, panels = shown
    st.caption(f"Frame {number}. {MEANING[kind]}")
    for start in range(0, len(panels), 3):
        for column, (title, picture) in zip(st.columns(3), panels[start : start + 3], strict=False):
            column.image(as_picture(picture), caption=f"{title}{range_of(picture)}", width="stretch")


def draw_preview(selection: state.Selection, kind: str, model: Path | None) -> tuple[int, list[tuple[str, Any]]]:
    """Number of the frame nearest to the one that is shown, and its pictures by title."""
    import_extra("torch", "segmentation")
    from celltrail.segmentation.net.checkpoint import load_model
    from celltrail.segmentation.preview import show_augmentation, show_prediction, show_weights
    from celltrail.segmentation.training.annotated import open_movie
    from celltrail.segmentation.training.settings import preset

    movie = selection.movie
    if model is not None:
        images = content.open_movie(movie)
        assert images is not None
        number = min(images.numbers, key=lambda number: abs(number - selection.t))
        return number, show_prediction(images[number], load_model(model))
    training = open_movie(movie.root, movie.name, "ST" if movie.of_kind("silver") else "GT")
    number = min(training.numbers, key=lambda number: abs(number - selection.t))
    draw = show_weights if kind == "Weights of the loss" else show_augmentation
    return number, draw(training, number, preset("fast"))


def range_of(values: NDArray[Any]) -> str:
    """What the colours of a map mean; nothing for a picture."""
    return "" if values.ndim == 3 else f": {float(values.min()):.2g} (dark) to {float(values.max()):.2g} (bright)"


def as_picture(values: NDArray[Any]) -> NDArray[np.uint8]:
    """A map of numbers in colours from dark blue (low) to yellow (high); pictures stay as they are."""
    if values.ndim == 3:
        return values.astype(np.uint8)
    from matplotlib import colormaps

    low, high = float(values.min()), float(values.max())
    scaled = (values - low) / ((high - low) or 1.0)
    return (colormaps["viridis"](scaled)[..., :3] * 255).astype(np.uint8)


def show_training() -> None:
    """How a model was trained: its curve, and what it reached on frames that it had not seen."""
    known = model_cards.list_models(parts.dataset())
    name = st.selectbox("Model", list(known), key="curve_model", width=320)
    facts, table = model_cards.training_facts(known[name]), model_cards.training_curve(known[name])
    reached = facts.get("validation_measures")
    reached = reached if isinstance(reached, dict) else {}
    tiles = [("Steps", parts.figure(facts.get("steps")), "Updates of the weights.")]
    tiles += [("Minutes", parts.figure(facts.get("minutes"), 1), "Computing time of the training.")]
    tiles += [
        (key, parts.figure(reached.get(key)), f"On frames held back. {definition(key)}") for key in model_cards.MEASURES
    ]
    parts.show_tiles(tiles)
    if table is None:
        st.caption("The learning curve of this model was not kept; 'celltrail train' writes it beside the model.")
        return
    left, right = st.columns(2)
    for column, wanted, title in (
        (left, model_cards.LOSSES, "loss"),
        (right, model_cards.MEASURES, "on frames held back"),
    ):
        names = [name for name in wanted if name in table]
        if names:
            column.plotly_chart(
                charts.draw_curve(table, names, title),
                key=f"curve_{title}",
                config=parts.plot_config(),
                alt=f"{', '.join(names)} over the steps of the training",
            )


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = selection.result
    if result is None:
        parts.empty("No masks yet", "Segment the images first.", "celltrail segment 01 --out 01_MASKS")
    else:
        truth = choose_truth(selection, result.layer)
        if truth is None:
            parts.empty(
                "No true masks",
                "Put full masks of some frames into NN_GT/SEG, or silver truth into NN_ST/SEG, to compare.",
            )
        else:
            show_objects(selection, content.open_result(truth), result)
    for title, section in (
        ("What training and prediction see", partial(show_previews, selection)),
        ("How a model was trained", show_training),
    ):
        st.subheader(title)
        try:
            section()
        except MissingExtra as error:
            st.text(str(error))


st.title("Segmentation")
show()
