"""Lineage: the tree of all cells beside the image, each showing what the other points at."""

from __future__ import annotations

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.opening import content, state
from celltrail.dashboard.viewer import Pane, show_viewer
from celltrail.dashboard.viewer.tree import show_tree
from celltrail.data.words import counted


def take_branch() -> None:
    """A branch of the tree was clicked: its track and frame become the selection."""
    pick = st.session_state.tree.pick
    if pick:
        state.look_at(t=int(pick["frame"]), track=int(pick["label"]))


def take_frame() -> None:
    """The viewer has come to rest."""
    state.take_frame(st.session_state.lineage_viewer.frame)


def take_cell() -> None:
    """A cell was clicked in the image."""
    pick = st.session_state.lineage_viewer.pick
    if pick:
        state.take_frame(pick["frame"])
        st.session_state.track = int(pick["label"])


def choose_root(result: content.Result, selected: int) -> int:
    """First ancestor of the only lineage to draw; 0: all."""
    scope = st.segmented_control(
        "Show", ["All lineages", "Selected lineage"], default="All lineages", key="tree_scope", required=True
    )
    if scope == "All lineages":
        return 0
    root = result.tracks.roots().get(selected, 0)
    if not root:
        st.caption("No track is selected: all lineages are shown.")
    return root


@st.fragment
@parts.guarded
def show() -> None:
    """The page. A fragment: a click runs only this again."""
    selection = parts.selection()
    result = parts.tracked(selection, "No lineages yet")
    if result is None or selection.layer is None:
        return
    tracks = result.tracks
    frames, shape = state.clock_of(selection)
    st.caption(
        f"{counted(len(tracks), 'track')} in {counted(len(set(tracks.roots().values())), 'lineage')}, "
        f"{counted(len(tracks.divisions()), 'division')}; "
        "those that divide come first. Point at a branch to see the cell; click to stay there."
    )
    left, right = st.columns([2, 3], vertical_alignment="bottom")
    with left:
        root = choose_root(result, selection.track)
    with right:
        parts.colour_choice(result)
    colour = st.session_state.colour_by
    image, tree = st.columns(2, gap="medium")
    with image:
        show_viewer(
            [Pane(selection.movie, selection.layer, colour=colour)],
            key="lineage_viewer",
            frames=frames,
            shape=shape,
            t=selection.t,
            revision=st.session_state.revision,
            selected={selection.layer.id: selection.track},
            focus=st.session_state.get("focus"),
            place=selection.movie.id,
            compact=True,
            on_frame_change=take_frame,
            on_pick_change=take_cell,
        )
    with tree:
        show_tree(
            result,
            key="tree",
            t=selection.t,
            selected=selection.track,
            revision=st.session_state.revision,
            colour=colour,
            root=root,
            place=selection.movie.id,
            on_pick_change=take_branch,
        )
    if selection.track in set(tracks.label.tolist()):
        st.markdown(f"Track **{selection.track}** selected, frame **{selection.t}**")
    state.write_address()


st.title("Lineage")
show()
