"""Export: take the result away, as files that other programs read."""

from __future__ import annotations

import shlex
from pathlib import Path

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import exports
from celltrail.dashboard.opening import state
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.working import jobs


def show_files(selection: state.Selection, result: Result) -> None:
    """Each kind of file with a button; it is made when the button is pressed."""
    name = f"{selection.movie.root.name}-{result.layer.folder.name}"
    kinds = [
        (
            "CTC folder",
            "Masks and res_track.txt, as the Cell Tracking Challenge wants them.",
            f"{name}.zip",
            lambda: exports.ctc_zip(result),
        ),
        (
            "CSV",
            "One row per cell and frame; inTRACKtive reads it, and so does any spreadsheet.",
            f"{name}.csv",
            lambda: exports.csv_table(result),
        ),
        (
            "GEFF",
            "The lineage as a graph, for napari, TrackMate, Mastodon, traccuracy and others.",
            f"{name}.geff.zip",
            lambda: exports.geff_zip(result),
        ),
    ]
    truth = selection.movie.truth
    if truth is not None and truth.id != result.layer.id:
        kinds.append(
            (
                "Report",
                "Measures, certificate, pictures and errors in one page of HTML.",
                f"{name}.html",
                lambda: exports.html_report(selection.movie, truth, result),
            )
        )
    for title, meaning, file, make in kinds:
        st.markdown(f"**{title}**")
        with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
            st.caption(meaning, width="content")
            st.download_button(f"Download {title}", make, file_name=file, key=f"export_{title}", on_click="ignore")


def show_film(selection: state.Selection, result: Result) -> None:
    """A film of the movie with its tracks, drawn by a job."""
    if selection.movie.images is None:
        return
    out = selection.movie.root / f"{result.layer.folder.name}.mp4"
    command = ["render", str(result.layer.folder), "--images", str(selection.movie.images), "--out", str(out)]
    st.subheader("Film")
    st.code(shlex.join(["celltrail", *command]), language=None, wrap_lines=True)
    if st.button("Draw the film", key="film", disabled=out.exists()):
        jobs.start_job(f"Film of {result.layer.name}", [command])
    going = any(job.commands == [command] and job.state == "running" for job in jobs.list_jobs())
    st.fragment(show_job, run_every=1.0 if going else None)(command, str(out))


def show_job(command: list[str], out: str) -> None:
    """How far the film is; the page Run shows its log."""
    job = next((job for job in jobs.list_jobs() if job.commands == [command]), None)
    if job is None:
        return
    if job.state == "running":
        st.progress(min(job.share, 1.0), text=parts.plain(job.stage or "starting"))
    elif job.state == "done" and Path(out).is_file():
        st.video(out, width=560, loop=True)
        data = Path(out).read_bytes()
        st.download_button("Download the film", data, file_name=Path(out).name, key="film_take", on_click="ignore")
        st.text(f"done, written to {out}")
    else:
        st.text(f"{job.state}: the page Run shows its log.")


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = parts.tracked(selection, "Nothing to export yet")
    if result is None:
        return
    show_files(selection, result)
    show_film(selection, result)


st.title("Export")
show()
