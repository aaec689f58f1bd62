"""Browse: the movie with its tracks, and everything about the track that is selected."""

from __future__ import annotations

from functools import partial

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.correcting import mend_panel, panel
from celltrail.dashboard.judging import charts, track_list
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.viewer import Pane, show_viewer
from celltrail.dashboard.viewer.tree import show_tree

VIEWER = "browse_viewer"


def take_frame() -> None:
    """The viewer has come to rest."""
    state.take_frame(st.session_state[VIEWER].frame)


def show_track(selection: state.Selection, result: content.Result) -> None:
    """The selected track: life and kin."""
    label = selection.track
    if label not in set(result.tracks.label.tolist()):
        st.subheader("No track selected")
        st.caption("Click a cell in the image, or a row of the table below.")
        return
    tracks = result.tracks
    row = tracks.row_of(label)
    begin, end, parent = int(tracks.begin[row]), int(tracks.end[row]), int(tracks.parent[row])
    st.subheader(f"Track {label}")
    st.caption(f"Frames {begin} to {end}, {end - begin + 1} in all")
    kin = [("Mother", parent)] if parent else []
    kin += [("Daughter", child) for child in tracks.children().get(label, [])]
    if kin:
        with st.container(horizontal=True):
            for name, other in kin:
                at = int(tracks.end[tracks.row_of(other)] if name == "Mother" else tracks.begin[tracks.row_of(other)])
                st.button(
                    f"{name} {other}", key=f"kin_{other}", on_click=state.look_at, kwargs={"t": at, "track": other}
                )
    else:
        st.caption("No mother and no daughters.")


def show_measures(selection: state.Selection, result: content.Result) -> None:
    """Area and speed of the selected track over time, and its lineage."""
    label, tracks = selection.track, result.tracks
    if label not in set(tracks.label.tolist()):
        return
    cells = content.cell_table(result)
    mine = cells[cells["track"] == label].reset_index(drop=True)
    mine = mine.assign(speed=content.speed_of(mine))
    colours = content.colours_by(result, st.session_state.get("colour_by", "track"))
    units = "pixels" if len(result.labels.shape) == 2 else "voxels"
    for feature, unit in (("area", units), ("speed", "px per frame")):
        st.plotly_chart(
            charts.draw_feature(mine, feature, unit, t=selection.t, colour=colours.get(label, charts.QUIET)),
            key=f"feature_{feature}",
            config=parts.plot_config(),
            alt=f"{feature} of track {label} over time",
            on_select=partial(take_point, f"feature_{feature}"),
            selection_mode="points",
        )
    show_tree(
        result,
        key="family",
        t=selection.t,
        selected=label,
        revision=st.session_state.revision,
        colour=st.session_state.get("colour_by", "track"),
        root=tracks.roots()[label],
        place=selection.movie.id,
        height="200px",
        on_pick_change=partial(take_branch, "family"),
    )


def take_branch(key: str) -> None:
    """A branch of the tree was clicked."""
    pick = st.session_state[key].pick
    if pick:
        state.look_at(t=int(pick["frame"]), track=int(pick["label"]))


def take_point(key: str) -> None:
    """A point of a plot was clicked: go to its frame, and to its track where it names one."""
    points = st.session_state[key].selection.points
    if points:
        data = charts.carried(points[0])
        state.look_at(t=data[-1], track=data[0] if len(data) == 2 else None)


@st.fragment
@parts.guarded
def show() -> None:
    """The page. A fragment: a click in the viewer runs only this again."""
    selection = parts.selection()
    result = selection.result
    frames, shape = state.clock_of(selection)
    if not frames:
        parts.empty("Nothing to browse", "This movie has neither images nor a result.")
        return
    left, right = st.container(key="beside").columns([7, 3], gap="medium")
    with left:
        show_viewer(
            [
                Pane(
                    selection.movie,
                    selection.layer,
                    marks=panel.marks(),
                    colour=st.session_state.get("colour_by", "track"),
                )
            ],
            key=VIEWER,
            frames=frames,
            shape=shape,
            t=selection.t,
            revision=st.session_state.revision,
            selected={} if selection.layer is None else {selection.layer.id: selection.track},
            focus=st.session_state.get("focus"),
            place=selection.movie.id,
            chosen={} if result is None else {result.layer.id: track_list.chosen_tracks(result)},
            on_frame_change=take_frame,
            pen=mend_panel.tool() is not None,
            strokes=mend_panel.strokes(result),
            on_pick_change=partial(panel.take_pick, VIEWER),
            on_stroke_change=partial(mend_panel.take_stroke, VIEWER),
        )
        if result is not None and len(result.tracks):
            parts.colour_choice(result)
        st.caption(
            "← → step (Shift: ten) · Space play · O outlines · T tails · I numbers · [ mother · ] daughter · "
            "drag to move, + − to zoom"
        )
    with right:
        if result is None:
            parts.invite(selection, "No result yet")
        elif not len(result.tracks):
            parts.invite(selection, "Masks without tracks")
        else:
            show_track(selection, result)
            panel.show_panel(selection, result)
            mend_panel.show_mending(result)
            show_measures(selection, result)
    if result is not None and len(result.tracks):
        track_list.show(result, selection.track)
    state.write_address()


st.title("Browse")
show()
