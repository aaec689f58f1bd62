"""The lineage tree: a canvas that draws what is in view, and speaks with the viewer of the same page."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.content import Result
from celltrail.dashboard.viewer import api_address, component

_component = component("celltrail_tree", "tree")


def show_tree(
    result: Result,
    *,
    key: str,
    t: int,
    selected: int,
    revision: int,
    colour: str = "track",
    root: int = 0,
    place: str = "",
    height: str = "clamp(300px, 62vh, 1500px)",
    on_pick_change: Callable[[], None] = lambda: None,
) -> Any:
    """Show the lineages of a result.

    Parameters
    ----------
    result : Result
        With tracks.
    t, selected : int
        Frame and track; taken over by the browser only when ``revision`` changes.
    colour : str
        What the colours of the tracks mean, see `celltrail.dashboard.opening.content.FEATURES`.
    root : int
        First ancestor of the only lineage that is shown; 0: all lineages.
    place : str
        That of the viewer on the same page: where the pointer is on a branch, it shows the cell.

    Returns
    -------
    The component's state: ``pick`` (the branch clicked just now: ``label`` and ``frame``).
    """
    tracks = result.tracks
    version = content.stamp(result.layer.folder)
    data = {
        "api": api_address(),
        "tracks": f"/layers/{result.layer.id}/tracks?by={colour}&v={version}",
        "layer": result.layer.id,
        "span": [int(tracks.begin.min()), int(tracks.end.max())],
        "t": t,
        "selected": selected,
        "revision": revision,
        "root": root,
        "place": place,
        "height": height,
    }
    return _component(key=key, data=data, default={}, on_pick_change=on_pick_change)
