"""Run: segment, track, compare and search as jobs of their own; the equal command line stands beside each."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path
from typing import Any

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import model_cards
from celltrail.dashboard.opening import state
from celltrail.dashboard.opening.finding import Kind
from celltrail.dashboard.opening.registry import Layer
from celltrail.dashboard.working import findings, jobs, plans, trial
from celltrail.dashboard.working.jobs import Job
from celltrail.dashboard.working.plans import NAME, Plan
from celltrail.data.errors import MissingExtra, import_extra
from celltrail.data.settings import options_of, to_words
from celltrail.tracking.settings import TrackSettings

SHOWN_JOBS = 5
OTHER = "Another file"
KINDS = {
    "Segment and track": "From images or masks to lineages.",
    "Train a model": "Learn from a few frames of this movie that have masks; some tens of cells are a start.",
    "Compare results": "Which result is better, and does the difference mean anything?",
    "Search settings": "Try settings on movies with truth, and keep the best. Optional: the defaults need no tuning.",
}


SEARCHES = {
    "Tracking": "Tracks the movies with other settings; ends with a file of settings, and whether they beat the defaults.",
    "Segmentation": "Short trainings, judged by frames held back; ends with a model that is trained with the best.",
}


def choose_cells(selection: state.Selection) -> tuple[Layer | None, str | None]:
    """Masks to track (a folder), or the model that makes them (a name); both ``None`` where there is no choice."""
    layers = selection.movie.of_kind("masks") + selection.movie.of_kind("result", "truth", "silver")
    folders = {layer.id: layer for layer in layers}
    ways = (["Masks that are there"] if folders else []) + (["Segment the images"] if selection.movie.images else [])
    if not ways:
        return None, None
    way = st.segmented_control("Cells from", ways, default=ways[0], key="run_way", required=True)
    if way == "Segment the images":
        import_extra("torch", "segmentation")
        known = model_cards.list_models(parts.dataset())
        name = st.selectbox("Model", [*known, OTHER], key="run_model")
        if name == OTHER:
            return None, st.text_input("Model file (.safetensors)", key="run_model_file") or None
        return None, str(known[name]) if name.endswith(".safetensors") else name  # shipped ones are known by name
    key = st.selectbox("Masks", list(folders), format_func=lambda key: folders[key].name, key="run_masks")
    return folders[key], None


def choose_segmentation(model: str) -> list[str]:
    """Options of ``segment``; one frame can be tried before."""
    selection = parts.selection()
    diameter = st.number_input(
        "Diameter of a cell (pixels)",
        min_value=2.0,
        value=None,
        step=1.0,
        placeholder="found from the movie",
        key="run_diameter",
        width=260,
        help="The scale is found on a few frames. Say it where the trial below shows that it was not.",
    )
    if st.button(f"Try on frame {selection.t}", icon=":material/visibility:", key="run_try"):
        st.session_state.run_tried = (selection.movie.id, model, selection.t, diameter)
    if st.session_state.get("run_tried") == (selection.movie.id, model, selection.t, diameter):
        with st.spinner("Segmenting one frame …"):
            found = trial.try_model(selection.movie, model, selection.t, diameter)
        st.image(found.picture, caption=found.in_words, width=560)
    careful = st.toggle("Average over rotations and mirror images", key="run_tta", help="Slower, a little better.")
    size = [] if diameter is None else ["--diameter", f"{diameter:g}"]
    return size + (["--tta"] if careful else [])


def choose_scale() -> tuple[list[float], float | None]:
    """Size of a pixel (for each axis) and seconds between frames, where the user says them."""
    left, right = st.columns(2)
    pixel = left.number_input(
        "Pixel size (µm)", min_value=0.0, value=None, key="run_pixel", placeholder="as the files say", format="%g"
    )
    interval = right.number_input(
        "Seconds between frames", min_value=0.0, value=None, key="run_interval", placeholder="as the files say"
    )
    axes = len(state.clock_of(parts.selection())[1])
    if not pixel or axes < 3:
        return [pixel] * 2 if pixel else [], interval or None
    depth = left.number_input("Distance of planes (µm)", min_value=0.0, value=pixel, key="run_depth", format="%g")
    return [depth or pixel, pixel, pixel], interval or None


def choose_tracking() -> list[str]:
    """Settings of the tracker as options of the command; what is left automatic is not named."""
    about, default = options_of(TrackSettings), TrackSettings()
    left, middle, right = st.columns(3)
    chosen: dict[str, Any] = {}
    chosen["method"] = left.selectbox(
        "Method", about["method"].choices, key="run_method", help=about["method"].sentence
    )
    costs = middle.selectbox(
        "Costs",
        ["automatic", "calibrated", "learned", "mixed"],
        key="run_costs",
        help="calibrated: from this movie alone. learned: from movies with truth. mixed: both.",
    )
    chosen["fill"] = right.selectbox(
        "Paint missing masks", about["fill"].choices, key="run_fill", help=about["fill"].sentence
    )
    chosen["costs"] = None if costs == "automatic" else costs
    automatic = left.toggle("Longest gap from the movie", value=True, key="run_auto_gap")
    drop = left.toggle("Small cells may be left out", key="run_drop", help=about["allow_drop"].sentence)
    if not automatic:
        chosen["max_gap"] = middle.slider(
            "Longest gap (frames)", 0, 5, 1, key="run_gap", help=about["max_gap"].sentence
        )
    chosen["allow_drop"] = drop
    foi = right.slider("Field of interest (pixels)", 0, 100, default.foi, key="run_foi", help=about["foi"].sentence)
    chosen["foi"] = foi or None
    return to_words(chosen)


def choose_name(stem: str, root: Path) -> str | None:
    """A name for the result, of which a fresh one stands there already; ``None`` for what is no name."""
    key = f"run_name_{stem}"
    if key not in st.session_state:
        going = [job.result for job in jobs.list_jobs() if job.state == "running" and job.result is not None]
        st.session_state[key] = plans.free_name(root, stem, [*going, *(result.parent for result in going)])
    name: str = st.text_input("Name of the result", key=key, help="A folder beside the data.")
    if NAME.fullmatch(name):
        return name
    st.warning("Use letters, digits, - and _ for the name.")
    return None


def plan_tracks() -> Plan | None:
    """Segment, track and evaluate the movie that is shown."""
    selection = parts.selection()
    masks, model = choose_cells(selection)
    if masks is None and model is None:
        parts.empty("Nothing to run", "This movie has neither images nor masks, or no model was named.")
        return None
    segment = [] if model is None else choose_segmentation(model)
    voxel, interval = choose_scale()
    track = choose_tracking()
    left, right = st.columns([2, 1], vertical_alignment="bottom")
    with left:
        name = choose_name("run", selection.movie.root)
    products = right.toggle("Tables and a film", key="run_products", help="To look at and to take away.")
    evaluate = right.toggle(
        "Measure against the truth", value=True, key="run_evaluate", disabled=selection.movie.truth is None
    )
    if name is None:
        return None
    return plans.plan_tracks(
        selection.movie,
        name,
        masks=None if masks is None else masks.folder,
        model=model,
        segment=segment,
        track=track,
        evaluate=evaluate,
        voxel=voxel,
        interval=interval,
        products=products,
    )


def plan_training() -> Plan | None:
    """Train on the frames of this movie that have masks."""
    import_extra("torch", "segmentation")
    movie = parts.selection().movie
    kinds: tuple[Kind, ...] = ("annotated", "silver", "masks", "result", "truth")
    layers = [layer for kind in kinds for layer in movie.of_kind(kind)] if movie.images is not None else []
    if not layers:
        parts.empty(
            "Nothing to learn from",
            "Draw the cells of a few frames, as label images named like the frames, and open them with --masks.",
            "celltrail dashboard FOLDER --masks MY_MASKS",
        )
        return None
    names = {layer.id: layer for layer in layers}
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    key = left.selectbox("Learn from", list(names), format_func=lambda key: names[key].name, key="run_learn")
    minutes = middle.number_input("Minutes", min_value=1.0, value=5.0, step=1.0, key="run_minutes")
    with right:
        name = choose_name("model", movie.root)
    return None if name is None else plans.plan_training(movie, name, names[key].folder, minutes=minutes)


def plan_comparison() -> Plan | None:
    """Compare results of all movies with truth."""
    dataset = parts.dataset()
    variants = plans.variants_of(dataset)
    if len(variants) < 2:
        parts.empty(
            "Nothing to compare yet",
            "A comparison needs a ground truth (NN_GT) and two results. Make another result above, with other settings.",
            "celltrail track 01_MASKS --method greedy --out greedy/01_RES",
        )
        return None
    chosen = st.multiselect("Results", list(variants), default=list(variants)[:2], key="run_variants")
    if len(chosen) < 2:
        st.text("Choose two results or more.")
        return None
    left, right = st.columns(2)
    baseline = left.selectbox("Compare the others with", chosen, key="run_baseline")
    with right:
        name = choose_name("comparison", plans.home_of(dataset))
    if name is None:
        return None
    return plans.plan_comparison(dataset, name, {variant: variants[variant] for variant in chosen}, baseline)


def plan_search() -> Plan | None:
    """Search for settings of the tracker or of a training."""
    dataset = parts.dataset()
    import_extra("optuna", "tune")
    what = st.segmented_control(
        "Settings of", list(SEARCHES), default=next(iter(SEARCHES)), key="run_search", required=True
    )
    st.caption(SEARCHES[what])
    training = what == "Segmentation"
    if training:
        usable = [movie.name for movie in dataset.movies if movie.images and movie.of_kind("silver", "annotated")]
        remedy = "Put full masks of some frames into NN_GT/SEG, or silver truth into NN_ST/SEG, beside the images."
    else:
        usable = [movie.name for movie in dataset.movies if movie.truth is not None]
        remedy = "Put the true lineages of a movie into NN_GT/TRA."
    if not usable:
        parts.empty("Nothing to learn from", remedy)
        return None
    movies = st.multiselect("Movies to judge by", usable, default=usable, key=f"run_movies_{what}")
    if not movies:
        st.text("Choose a movie.")
        return None
    left, middle, right = st.columns(3, vertical_alignment="bottom")
    trials = left.slider("Trials", 2, 100, 20, key="run_trials", help="Each tries other settings.")
    steps = middle.slider("Steps of a short training", 20, 1000, 200, 20, key="run_steps") if training else None
    with right:
        name = choose_name("search", plans.home_of(dataset))
    return None if name is None else plans.plan_search(dataset, name, movies, trials=trials, steps=steps)


def offer(plan: Plan) -> None:
    """The command line, and the button that runs it."""
    going = any(job.result == plan.result for job in jobs.list_jobs() if job.state == "running")
    taken = plan.result.exists() or going
    if going:
        st.warning(f"{parts.plain(plan.name)} is being made just now: see the jobs below, or choose another name.")
    elif taken:
        st.warning(f"There is a result named {parts.plain(plan.name)} already: choose another name.")
    if not os.access(plan.root, os.W_OK):
        st.warning("This folder is read-only: copy it to a place where results may be written.")
    st.code(plan.command_line, language=None, wrap_lines=True)
    st.button("Run", type="primary", disabled=taken, key="run_start", on_click=start, args=(plan,))


def start(plan: Plan) -> None:
    """Start a plan as a job; the next result gets a fresh name."""
    jobs.start_job(plan.title, plan.commands, plan.result)
    for key in [key for key in st.session_state if str(key).startswith("run_name_")]:
        del st.session_state[key]


def show_jobs() -> None:
    """The latest jobs; where one ends, the whole page runs again, because a new result is there."""
    running = {job.id for job in jobs.list_jobs()[:SHOWN_JOBS] if job.state == "running"}
    st.session_state.jobs_running = running
    st.fragment(show_cards, run_every=1.0 if running else None)()


def show_cards() -> None:
    """A card for each job: state, progress, log, and a button to stop it or to see what it made."""
    latest = jobs.list_jobs()[:SHOWN_JOBS]
    if not latest:
        st.caption("No job yet. A job goes on when this page is closed, and is found here again.")
    for job in latest:
        with st.container(border=True):
            show_job(job)
    if st.session_state.jobs_running - {job.id for job in latest if job.state == "running"}:
        st.rerun(scope="app")


def show_job(job: Job) -> None:
    """One job."""
    when = datetime.fromtimestamp(job.started).strftime("%d %b %H:%M")
    st.markdown(f":material/{ICONS[job.state]}: **{job.state}**")
    st.text(f"{job.title}, started {when}")
    if job.state == "running":
        st.progress(min(job.share, 1.0), text=parts.plain(job.stage or "starting"))
        st.button("Cancel", key=f"cancel_{job.id}", on_click=jobs.cancel_job, args=(job.id,))
    with st.expander("Log and commands", key=f"log_{job.id}", expanded=job.state == "failed"):
        st.code(job.command_line, language=None, wrap_lines=True)
        st.code("\n".join(job.log.splitlines()[-20:]) or "(nothing yet)", language=None, wrap_lines=True)
    if job.result is not None and job.result.exists():
        findings.show_result(job.result, job.id, finished=job.state == "done")


ICONS = {"running": "hourglass_top", "done": "check_circle", "failed": "error", "cancelled": "cancel"}


def show() -> None:
    """The page."""
    kind = st.segmented_control("What to do", list(KINDS), default="Segment and track", key="run_kind", required=True)
    st.caption(KINDS[kind])
    makers = {
        "Segment and track": plan_tracks,
        "Train a model": plan_training,
        "Compare results": plan_comparison,
        "Search settings": plan_search,
    }
    try:
        plan = makers[kind]()
    except MissingExtra as error:
        st.text(str(error))
        plan = None
    if plan is not None:
        offer(plan)
    st.subheader("Jobs")
    show_jobs()


st.title("Run")
show()
