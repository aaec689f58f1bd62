"""The page script: opens the data set, lays out navigation and sidebar, and runs the page that was chosen."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Callable
from pathlib import Path

import streamlit as st

from celltrail.dashboard import parts, reading_panel
from celltrail.dashboard.opening import registry, sample, state
from celltrail.dashboard.opening.registry import Dataset, Given, Movie
from celltrail.dashboard.opening.warm import read_arguments
from celltrail.dashboard.viewer import keep_history_short
from celltrail.data import InputError
from celltrail.data.errors import Replaced
from celltrail.data.files.containment import inside
from celltrail.data.held import read_whole

HERE = Path(__file__).parent
# Streamlit writes white on every primary button; the light blue of the dark theme needs dark letters.
DARK_BUTTONS = '<style>[data-testid="stBaseButton-primary"] p { color: #0b1013; }</style>'


@st.cache_resource(show_spinner="Simulating and tracking the sample movie …")
def open_sample() -> Path:
    """The folder of the sample, made once per process."""
    return sample.sample_folder()


def open_data(given: Given | None) -> Dataset:
    """What the command line names, or a folder inside of it that was chosen; or the sample."""
    if given is None or given.data is None:
        return registry.open_dataset(open_sample())
    part = st.session_state.get("opened")
    if part is None:
        return registry.open_dataset(given.data, given)
    return registry.open_dataset(inside(given.data, given.data / part), Given(given.data, channel=given.channel))


def choose_folder(given: Given) -> None:
    """Sidebar: open another folder inside the one that was given."""
    if given.data is None or not given.data.is_dir():
        return
    wanted = st.sidebar.text_input(
        "Open folder",
        key="open_folder",
        placeholder=f"a folder in {given.data.resolve().name}",
        help="A data set, a result, images or masks inside the folder that the dashboard was started with.",
    ).strip()
    if wanted != (st.session_state.get("opened") or ""):
        try:
            registry.open_dataset(inside(given.data, given.data / wanted), Given(given.data))
        except InputError as error:
            st.sidebar.warning(parts.plain(" ".join(error.problems[:2])))
            return
        st.session_state.opened = wanted or None
        st.rerun()


def say_where_images_are(movie: Movie, given: Given | None) -> None:
    """A result whose images lie in a folder that was not given: the line that starts the dashboard with them."""
    if movie.images is None and movie.elsewhere is not None and given is not None:
        st.info("The images of this result lie outside of the folder that was opened. To see them, start with:")
        command = ["celltrail", "dashboard", str(given.data), "--images", str(movie.elsewhere)]
        st.code(shlex.join(command), language=None, wrap_lines=True)


def choose(dataset: Dataset, name: str) -> None:
    """Sidebar: which movie, and which result of it."""
    movies = {movie.id: movie.name for movie in dataset.movies}
    st.sidebar.caption("Data set")
    st.sidebar.text(name)
    st.sidebar.selectbox("Movie", list(movies), format_func=movies.__getitem__, key="movie", on_change=forget_place)
    movie = registry.movie(st.session_state.movie)
    names = {layer.id: f"{layer.name} ({registry.KIND_NAMES[layer.kind]})" for layer in movie.layers}
    if names:
        if st.session_state.run not in names:
            st.session_state.run = next(iter(names))
        st.sidebar.selectbox("Result", list(names), format_func=names.__getitem__, key="run", on_change=forget_track)
    else:
        st.sidebar.caption("This movie has no result yet.")
    parts.choose_picture_format()


def take_new_result(dataset: Dataset) -> None:
    """Show a result that has just been made, where one was."""
    wanted = st.session_state.pop("next_run", None)
    for movie in dataset.movies:
        if any(layer.id == wanted for layer in movie.layers):
            st.session_state.movie, st.session_state.run = movie.id, wanted
            state.look_at(track=st.session_state.pop("next_track", 0))


def forget_place() -> None:
    """Another movie: begin at its first frame."""
    st.session_state.run = None
    state.look_at(t=0, track=0)


def forget_track() -> None:
    """Another result: its labels mean other cells."""
    state.look_at(track=0)


def main() -> None:
    """Run the page."""
    st.set_page_config(page_title="Celltrail", page_icon=str(HERE / "icon.svg"), layout="wide")
    st.html(HERE / "page.css")
    if st.context.theme.type == "dark":
        st.html(DARK_BUTTONS)
    pages = [
        st.Page(HERE / "views/overview.py", title="Overview", icon=":material/dashboard:", default=True),
        st.Page(HERE / "views/browse.py", title="Browse", icon=":material/play_circle:"),
        st.Page(HERE / "views/lineage.py", title="Lineage", icon=":material/account_tree:"),
        st.Page(HERE / "views/review.py", title="Review", icon=":material/rule:"),
        st.Page(HERE / "views/errors.py", title="Errors", icon=":material/fact_check:"),
        st.Page(HERE / "views/compare.py", title="Compare", icon=":material/compare:"),
        st.Page(HERE / "views/segmentation.py", title="Segmentation", icon=":material/blur_on:"),
        st.Page(HERE / "views/measure.py", title="Measure", icon=":material/straighten:"),
        st.Page(HERE / "views/export.py", title="Export", icon=":material/download:"),
        st.Page(HERE / "views/run.py", title="Run", icon=":material/play_arrow:"),
    ]
    page = st.navigation(pages)
    keep_history_short()
    try:
        read_whole(lambda: show(page.run), tries=1)
    except Replaced:
        st.rerun()
    except InputError as error:
        parts.show_problems(error)


def show(run_page: Callable[[], None]) -> None:
    """Open the data, ask in the sidebar what is to be seen, and run a page."""
    given = read_arguments(sys.argv[1:])
    dataset = open_data(given)
    state.start(dataset)
    take_new_result(dataset)
    choose(dataset, "Sample" if given is None else dataset.root.name)
    state.start(dataset)
    if given is None:
        parts.sample_banner()
    else:
        choose_folder(given)
    parts.put(dataset)
    reading_panel.ask(parts.selection().movie)
    say_where_images_are(parts.selection().movie, given)
    run_page()
    state.write_address()


main()
