"""What a job has made, shown: the study of a search, a comparison, or the way to new tracks."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts
from celltrail.dashboard.opening import registry
from celltrail.dashboard.working import outcomes, plans
from celltrail.dashboard.working.outcomes import Compared
from celltrail.data import InputError
from celltrail.data.errors import MissingExtra
from celltrail.evaluation.measures.catalogue import LOWER_IS_BETTER, definition


def show_result(path: Path, key: str, *, finished: bool) -> None:
    """What lies at ``path``; ``key`` tells several on one page apart."""
    try:
        if path.suffix == outcomes.STUDY:
            show_study(path, key)
        elif not finished:
            return
        elif outcomes.is_comparison(path):
            show_comparison(outcomes.read_comparison(path), key)
        elif path.suffix == ".safetensors":
            st.text(f"The model is ready: choose {path.parent.name}/{path.name} under 'Segment and track'.")
        elif is_open(path):
            show_tracks(path, key)
    except (InputError, MissingExtra) as error:
        parts.show_problems(error if isinstance(error, InputError) else InputError(str(error)))


def show_tracks(path: Path, key: str) -> None:
    """The way to new tracks; the film that was made of them, and tables to take away."""
    tables = [path.parent / name for name in (plans.TABLE, plans.TABLE.replace(".csv", "-tracks.csv"))]
    film = path.parent / plans.FILM
    if film.is_file():
        st.video(str(film), width=480, loop=True)
    with st.container(horizontal=True):
        if st.button("Show this result", key=f"show_{key}", type="primary"):
            st.session_state.next_run = registry.opaque_id(path)
            st.switch_page("views/overview.py")
        for file in (*tables, film):
            if file.is_file():
                st.download_button(
                    f"Download {file.name}",
                    file.read_bytes(),
                    file_name=f"{path.parent.name}-{file.name}",
                    key=f"take_{file.name}_{key}",
                    on_click="ignore",
                )


def is_open(folder: Path) -> bool:
    """Whether the data set on the page holds this result."""
    return any(layer.folder == folder for movie in parts.dataset().movies for layer in movie.layers)


def show_study(path: Path, key: str) -> None:
    """The trials of a search, the best first, and how the best value rose."""
    table = outcomes.read_study(path)
    ended = table[table["value"].notna()]
    if ended.empty:
        st.caption("The first short training has not ended yet.")
        return
    best = ended.iloc[int(ended["value"].argmax())]
    st.markdown(f"Best so far: **{best['value']:.3f}** in trial **{int(best['trial'])}** of {len(table)}")
    left, right = st.columns([3, 2])
    left.dataframe(
        table.sort_values("value", ascending=False, kind="stable"),
        hide_index=True,
        height=240,
        key=f"study_{key}",
        alt="Trials of the search with their value and settings",
    )
    for name, command in plans.SETTINGS.items():
        if path.with_name(name).is_file():
            st.caption(f"The best settings, for  celltrail {command} --config {name}")
            st.code(path.with_name(name).read_text(encoding="utf-8"), language="toml", wrap_lines=True)
    right.plotly_chart(
        charts.draw_trials(ended),
        key=f"trials_{key}",
        config=parts.plot_config(),
        alt="Value of each trial and the best so far",
    )


def show_comparison(compared: Compared, key: str) -> None:
    """Values with intervals, differences to the baseline with intervals, and the report to take away."""
    place = compared.places[0]
    if len(compared.places) > 1:
        place = st.selectbox(
            "Movie",
            compared.places,
            key=f"place_{key}",
            width=220,
            format_func=lambda name: "mean of all" if name == "mean" else name,
        )
    table = outcomes.comparison_table(compared, place)
    left, right = st.columns([3, 2])
    shown = outcomes.in_columns(table)
    shown["meaning"] = shown["measure"].map(definition)
    left.dataframe(
        shown, hide_index=True, height=300, key=f"compared_{key}", alt="Measures of the results with intervals"
    )
    right.plotly_chart(
        charts.draw_intervals(table[table["difference"].notna()], compared.baseline),
        key=f"apart_{key}",
        config=parts.plot_config(),
        alt="Differences to the baseline with intervals",
    )
    sure = table[(table["difference_low"] > 0) | (table["difference_high"] < 0)]
    for row in sure.to_dict("records"):
        better = (row["difference"] > 0) != (row["measure"] in LOWER_IS_BETTER)
        st.text(
            f"{row['variant']} is {'better' if better else 'worse'} than {compared.baseline} in {row['measure']}: "
            f"{row['difference']:+.3f}, 95 % interval {row['difference_low']:+.3f} to {row['difference_high']:+.3f}."
        )
    if sure.empty:
        st.text("No difference is surer than chance: every 95 % interval holds zero.")
    report = compared.folder / "report.html"
    if report.is_file():
        st.download_button(
            "Download the report",
            report.read_bytes(),
            file_name=f"{compared.folder.name}.html",
            mime="text/html",
            key=f"report_{key}",
            on_click="ignore",
        )
