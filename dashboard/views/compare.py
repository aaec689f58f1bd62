"""Compare: two results side by side, their measures, and every place where they differ."""

from __future__ import annotations

import pandas as pd
import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, differences, review, scores
from celltrail.dashboard.judging.events import Event
from celltrail.dashboard.opening import content, registry, state
from celltrail.dashboard.opening.registry import Layer, Movie
from celltrail.dashboard.viewer import Pane, show_viewer
from celltrail.dashboard.working import findings, outcomes, plans
from celltrail.evaluation.measures.catalogue import LOWER_IS_BETTER, definition


def variant_of(movie: Movie, layer: Layer) -> str:
    """The name of a variant, the same for all movies of a data set: ``greedy/01_RES`` → ``greedy/_RES``."""
    return (
        layer.name.replace(movie.name, "", 1) if "/" not in layer.name else layer.name.replace(f"/{movie.name}", "/", 1)
    )


def choose_two(selection: state.Selection) -> tuple[Layer, Layer] | None:
    """The two results, A and B; ``None`` where there are not two."""
    names = {layer.id: layer.name for layer in selection.movie.of_kind("result", "truth")}
    if len(names) < 2:
        return None
    keys = list(names)
    chosen = selection.layer.id if selection.layer is not None and selection.layer.id in names else keys[0]
    left, right = st.columns(2)
    for column, name, default in ((left, "A", chosen), (right, "B", next(key for key in keys if key != chosen))):
        column.selectbox(
            f"Result {name}", keys, index=keys.index(default), format_func=names.__getitem__, key=f"compare_{name}"
        )
    return registry.layer(st.session_state.compare_A), registry.layer(st.session_state.compare_B)


def show_measures(movies: tuple[Movie, ...], variants: tuple[str, ...]) -> None:
    """Measures of both results on every movie that has both, and the paired differences."""
    rows = []
    for movie in movies:
        layers = {variant_of(movie, layer): layer for layer in movie.of_kind("result", "truth")}
        if movie.truth is None or not set(variants) <= set(layers):
            continue
        if any(layers[name].id == movie.truth.id for name in variants):
            continue
        a, b = (scores.measures(movie, layers[name]) or {} for name in variants)
        rows += [(movie.name, name, a[name], b[name]) for name in scores.in_order(a) if name in b]
    table = pd.DataFrame(rows, columns=["movie", "measure", "A", "B"]).dropna()
    if table.empty:
        st.caption("Measures need a ground truth that is not one of the two results.")
        return
    table["B − A"] = table["B"] - table["A"]
    better = table["measure"].map(lambda name: -1 if name in LOWER_IS_BETTER else 1) * table["B − A"]
    table["better"] = better.map(lambda value: "B" if value > 1e-12 else "A" if value < -1e-12 else "equal")
    table["meaning"] = table["measure"].map(definition)
    first = table[table["measure"].isin(scores.FIRST)]
    left, right = st.columns([3, 2])
    left.dataframe(first, hide_index=True, height=300, alt="Measures of both results")
    right.plotly_chart(
        charts.draw_differences(first),
        key="differences",
        config=parts.plot_config(),
        alt="Paired differences of the measures",
    )
    with st.expander("All measures"):
        st.dataframe(table, hide_index=True, alt="All measures of both results")


def show_pair(selection: state.Selection, a: content.Result, b: content.Result, event: Event | None) -> None:
    """Both results with one clock and one view."""
    frames, shape = state.clock_of(selection)
    marks = () if event is None else ({"t": event.frame, "y": event.y + 0.5, "x": event.x + 0.5},)
    selected = {} if event is None else {a.layer.id: event.track, b.layer.id: event.truth_track}
    panes = [
        Pane(movie=selection.movie, layer=one.layer, title=f"{name}: {one.layer.name}", offset=0, marks=marks)
        for name, one in (("A", a), ("B", b))
    ]
    show_viewer(
        panes,
        key="compare_viewer",
        frames=frames,
        shape=shape,
        t=selection.t if event is None else event.frame,
        selected=selected,
        revision=st.session_state.revision,
        columns=2,
        height="clamp(260px, 52vh, 1500px)",
        focus=st.session_state.get("focus"),
        place=f"{selection.movie.id} compare",
    )


def show() -> None:
    """The page."""
    selection = parts.selection()
    pair = choose_two(selection)
    if pair is None:
        parts.empty(
            "Nothing to compare",
            "Put a second result of this movie into a folder beside the first, for example greedy/01_RES.",
            "celltrail track 01_MASKS --method greedy --out greedy/01_RES",
        )
        return
    if pair[0].id == pair[1].id:
        st.info("Choose two different results.")
        return
    a, b = (content.open_result(layer) for layer in pair)
    differences, measures, stored = st.tabs(
        ["Where they differ", "Measures", "With intervals"], on_change="rerun", key="compare_tabs"
    )
    if measures.open:
        with measures:
            show_measures(parts.dataset().movies, tuple(variant_of(selection.movie, layer) for layer in pair))
    if stored.open:
        with stored:
            show_stored(selection)
    if differences.open:
        with differences:
            show_differences(selection, a, b)


def show_stored(selection: state.Selection) -> None:
    """A comparison that the command has made, with intervals."""
    folders = {folder.name: folder for folder in outcomes.list_comparisons(selection.movie.root)}
    if not folders:
        variants = " ".join(f"{name}={folder}" for name, folder in list(plans.variants_of(parts.dataset()).items())[:2])
        parts.empty(
            "No comparison yet",
            "The page Run compares results with intervals: it tells a difference from chance.",
            f"celltrail compare {selection.movie.root} {variants or 'A=FOLDER B=FOLDER'} --out comparison1",
        )
        return
    name = st.selectbox("Comparison", list(folders), key="compare_stored", width=320)
    findings.show_comparison(outcomes.read_comparison(folders[name]), "stored")


def show_differences(selection: state.Selection, a: content.Result, b: content.Result) -> None:
    """Step through the places where two results differ."""
    part = differences.common_frames(a, b)
    if part is None:
        st.info("The two results have no frame in common.")
        return
    if any(tuple(one.labels.numbers[i] for i in (0, -1)) != part for one in (a, b)):
        st.caption(f"Both results cover frames {part[0]} to {part[1]}: they are compared on these.")
    with st.spinner("Looking for differences …"):
        found = differences.disagreements(a, b)
    if not found:
        st.success("Both results have the same cells and links.")
        show_pair(selection, a, b, None)
        return
    shown = review.choose_kinds(found, "compare")
    about = (a.layer.id, b.layer.id, len(shown))
    review.step_through(
        "compare", shown, review.close_up(a, 560), about, lambda event: show_pair(selection, a, b, event)
    )


st.title("Compare")
show()
