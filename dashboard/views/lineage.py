"""Lineage: the forest of all cells, or one lineage; a click on a track selects it everywhere."""

from __future__ import annotations

import streamlit as st

from celltrail.dashboard import parts
from celltrail.dashboard.judging import charts, lineage_layout
from celltrail.dashboard.opening import content, state
from celltrail.data import Tracks

PER_PAGE = 150  # lineages drawn at once


def take_point() -> None:
    """A point of the tree was clicked: its track and frame become the selection."""
    points = st.session_state.tree.selection.points
    if points:
        label, frame = points[0]["customdata"][:2]
        state.look_at(t=int(frame), track=int(label))


def choose_roots(tracks: Tracks, layout: lineage_layout.Layout, selected: int) -> list[int] | None:
    """First ancestors of the lineages to draw; ``None`` where the choice needs a selection that is missing."""
    left, middle, _ = st.columns([3, 2, 3], vertical_alignment="bottom")
    scope = left.segmented_control(
        "Show",
        ["All lineages", "With divisions", "Selected lineage"],
        default="All lineages",
        key="tree_scope",
        required=True,
    )
    roots = tracks.roots()
    if scope == "Selected lineage":
        return [roots[selected]] if selected in roots else None
    tops = lineage_layout.biggest(tracks, layout, len(tracks))
    if scope == "With divisions":
        divided = {roots[mother] for mother in tracks.divisions()}
        tops = [top for top in tops if top in divided]
    if len(tops) <= PER_PAGE:
        return tops
    pages = -(-len(tops) // PER_PAGE)
    home = next((i // PER_PAGE for i, top in enumerate(tops) if top == roots.get(selected)), 0)
    page = int(middle.number_input(f"Part of {pages}", 1, pages, home + 1, key=f"tree_page_{scope}_{home}"))
    return tops[(page - 1) * PER_PAGE : page * PER_PAGE]


def choose_colours(result: content.Result) -> dict[int, str]:
    """Colours of the tracks, by the feature that was chosen."""
    name = st.session_state.get("colour_by", "track")
    if name == "track":
        return content.track_colours(result)
    colours, (low, high) = content.feature_colours(result, name)
    st.caption(f"Colour: {content.FEATURES[name]}, from {low:.4g} (dark blue) to {high:.4g} (yellow)")
    return colours


def show() -> None:
    """The page."""
    selection = parts.selection()
    result = selection.result
    if result is None or not len(result.tracks):
        parts.empty("No lineages yet", "Track the movie first.", "celltrail track 01_MASKS --out 01_RES")
        return
    tracks = result.tracks
    layout = lineage_layout.arrange(tracks)
    st.caption(
        f"{len(tracks):,} tracks in {len(set(layout.root.tolist())):,} lineages, {len(tracks.divisions()):,} divisions. "
        "Click the end of a track to select it."
    )
    roots = choose_roots(tracks, layout, selection.track)
    if roots is None:
        parts.empty("No track selected", "Click a track in the tree of all lineages, or a cell on the page Browse.")
        return
    parts.colour_choice()
    colours = choose_colours(result)
    shown = lineage_layout.only(tracks, layout, roots)
    rows = lineage_layout.arrange(shown)
    if selection.track in set(tracks.label.tolist()):
        st.markdown(f"Track **{selection.track}** selected, frame **{selection.t}**")
    figure = charts.draw_lineages(
        shown, rows, colours, t=selection.t, selected=selection.track, height=min(3000, max(260, 14 * rows.height + 60))
    )
    st.plotly_chart(
        figure,
        key="tree",
        on_select=take_point,
        selection_mode="points",
        config=parts.plot_config(),
        alt=f"Lineage tree with {len(shown)} tracks",
    )


st.title("Lineage")
show()
