"""Lineage: the forest of all cells, or one lineage; a click on a track selects it everywhere."""

from __future__ import annotations

import streamlit as st

from dashboard import charts, content, lineage, parts, state

PER_PAGE = 60


def take_point() -> None:
    """A point of the tree was clicked: its track and frame become the selection."""
    points = st.session_state.tree.selection.points
    if points:
        label, frame = points[0]["customdata"][:2]
        state.look_at(t=int(frame), track=int(label))


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = selection.result
    if result is None or not len(result.tracks):
        parts.empty("No lineages yet", "Track the movie first.", "celltrail track 01_MASKS --out 01_RES")
        return
    whole = lineage.arrange(result.tracks)
    divisions = len(result.tracks.divisions())
    roots = len(set(whole.root.tolist()))
    st.caption(f"{len(result.tracks):,} tracks in {roots:,} lineages, {divisions:,} divisions")
    known = set(result.tracks.label.tolist())
    controls = st.columns([2, 2, 3], vertical_alignment="bottom")
    choice = controls[0].segmented_control(
        "Show", ["All lineages", "Selected lineage"], default="All lineages", key="tree_scope", required=True
    )
    tracks, layout = result.tracks, whole
    if choice == "Selected lineage":
        if selection.track not in known:
            st.info("Select a track first: click it in the tree or in the image.")
            return
        root = result.tracks.roots()[selection.track]
        tracks = lineage.only(result.tracks, whole, [root])
        layout = lineage.arrange(tracks)
    colours = content.track_colours(result)
    if selection.track in known:
        controls[1].markdown(f"Track **{selection.track}** selected")
    figure = charts.draw_lineages(
        tracks, layout, colours, t=selection.t, selected=selection.track, height=min(2400, max(280, 14 * layout.height))
    )
    st.plotly_chart(
        figure, key="tree", on_select=take_point, selection_mode="points", config=charts.CONFIG,
        alt=f"Lineage tree with {len(tracks)} tracks",
    )  # fmt: skip


st.title("Lineage")
show()
