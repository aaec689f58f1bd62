"""Run: segment, track and evaluate as a job of its own; the equal command line stands beside it."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import streamlit as st

from dashboard import jobs, parts, state
from dashboard.registry import Layer
from data.errors import MissingExtra, import_extra

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,40}")


def choose_masks(selection: state.Selection) -> tuple[Layer | None, str | None]:
    """Masks to track (a folder), or the model that makes them (a name); both ``None`` where there is no choice."""
    folders = {layer.id: layer for layer in selection.movie.layers if layer.kind != "annotated"}
    ways = (["Masks that are there"] if folders else []) + (["Segment the images"] if selection.movie.images else [])
    if not ways:
        return None, None
    way = st.segmented_control("Cells from", ways, default=ways[0], key="run_way", required=True)
    if way == "Segment the images":
        import_extra("torch", "segmentation")
        from segmentation.checkpoint import list_models

        model = st.selectbox("Model", [*list_models(), "Another file"], key="run_model")
        if model == "Another file":
            model = st.text_input("Model file (.safetensors)", key="run_model_file") or None
        return None, model
    key = st.selectbox("Masks", list(folders), format_func=lambda key: folders[key].name, key="run_masks")
    return folders[key], None


def make_commands(
    selection: state.Selection, masks: Layer | None, model: str | None, name: str, settings: list[str], evaluate: bool
) -> list[list[str]]:
    """The commands of a job; results go to ``NAME/NN_RES`` beside the data."""
    movie = selection.movie
    folder = movie.root / name
    commands = []
    if model is not None:
        made = folder / f"{movie.name}_MASKS"
        commands.append(["segment", str(movie.images), "--model", model, "--out", str(made)])
        source = made
    else:
        assert masks is not None
        source = masks.folder
    out = folder / f"{movie.name}_RES"
    images = [] if movie.images is None else ["--images", str(movie.images)]
    commands.append(["track", str(source), "--out", str(out), *images, *settings])
    if evaluate and movie.truth is not None:
        commands.append(["evaluate", str(movie.truth.folder.parent), str(out)])
    return commands


def choose_settings() -> list[str]:
    """Settings of the tracker as options of the command; what is left automatic is not named."""
    left, middle, right = st.columns(3)
    method = left.selectbox("Method", ["ilp", "lap", "greedy"], key="run_method", help="ilp: proven optimum.")
    costs = middle.selectbox("Costs", ["automatic", "calibrated", "learned", "mixed"], key="run_costs")
    fill = right.selectbox("Paint missing masks", ["auto", "always", "never"], key="run_fill")
    automatic = left.toggle("Longest gap from the movie", value=True, key="run_auto_gap")
    gap = 0 if automatic else middle.slider("Longest gap (frames)", 0, 5, 1, key="run_gap")
    foi = right.slider(
        "Field of interest (pixels)", 0, 100, 0, key="run_foi", help="Cells within it of the side are dropped."
    )
    options = ["--method", method, "--fill", fill]
    options += [] if costs == "automatic" else ["--costs", costs]
    options += [] if automatic else ["--max-gap", str(gap)]
    return options + (["--foi", str(foi)] if foi else [])


@st.fragment(run_every=1.0)
def show_running() -> None:
    """Jobs that run, each with progress, log and a button to stop it."""
    before = st.session_state.get("jobs_running", set())
    running = set()
    for job in jobs.list_jobs()[:5]:
        if job.state == "running":
            running.add(job.id)
        with st.container(border=True):
            st.text(f"{job.title}: {job.state}")
            if job.state == "running":
                st.progress(min(job.share, 1.0), text=job.stage or "starting")
                st.button("Cancel", key=f"cancel_{job.id}", on_click=jobs.cancel_job, args=(job.id,))
            with st.expander("Log and commands", key=f"log_{job.id}"):
                st.code(job.command_line, language=None, wrap_lines=True)
                st.code("\n".join(job.log.splitlines()[-20:]) or "(nothing yet)", language=None, wrap_lines=True)
    st.session_state.jobs_running = running
    if before - running:
        st.rerun(scope="app")  # a new result is there


def show() -> None:
    """The page."""
    selection = parts.selection()
    try:
        masks, model = choose_masks(selection)
    except MissingExtra as error:
        st.text(str(error))
        return
    if masks is None and model is None:
        parts.empty("Nothing to run", "This movie has neither images nor masks, or no model was named.")
        return
    settings = choose_settings()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    name = left.text_input("Name of the result", "run1", key="run_name", help="A folder beside the data: NAME/NN_RES")
    evaluate = right.toggle("Evaluate against the truth", value=selection.movie.truth is not None, key="run_evaluate")
    if not NAME.fullmatch(name):
        st.warning("Use letters, digits, - and _ for the name.")
        return
    taken = (selection.movie.root / name / f"{selection.movie.name}_RES").exists()
    if taken:
        st.warning(f"There is a result named {name} already: choose another name.")
    commands = make_commands(selection, masks, model, name, settings, evaluate)
    st.code("\n".join(shlex.join(["celltrail", *command]) for command in commands), language=None, wrap_lines=True)
    if st.button("Run", type="primary", disabled=taken, key="run_start"):
        jobs.start_job(f"{Path(selection.movie.root).name}, movie {selection.movie.name}: {name}", commands)
    st.subheader("Jobs")
    show_running()


st.title("Run")
show()
