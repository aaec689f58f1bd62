"""The image viewer: a canvas in the browser, fed by the routes of :mod:`celltrail.dashboard.serving.api`.

Its scripts are plain modules that the browser loads from those routes; nothing is built. Frames,
playing and zooming never touch the page script: it hears only where the clock came to rest and
which cell was clicked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import streamlit as st

from celltrail.dashboard.opening import content
from celltrail.dashboard.opening.registry import Layer, Movie

_HERE = Path(__file__).parent
_LOADER = """
export default function (component) {
  let leave = () => {};
  let left = false;
  const address = new URL(`${component.data.api}/viewer/SCRIPT.js`, document.baseURI).href;
  const load = (attempt) => import(attempt ? `${address}?attempt=${attempt}` : address).then(
    (script) => { if (!left) leave = script.mount(component); },
    (error) => { if (attempt < 3) setTimeout(load, 500 * 2 ** attempt, attempt + 1); else throw error; },
  );
  load(0);
  return () => { left = true; leave(); };
}
"""


def component(name: str, script: str) -> Any:
    """A part of a page that ``SCRIPT.js``, and ``.html`` and ``.css`` where there are some, of this folder make."""
    files = {kind: _HERE / f"{script}.{kind}" for kind in ("html", "css")}
    texts = {kind: file.read_text(encoding="utf-8") for kind, file in files.items() if file.is_file()}
    return st.components.v2.component(name, js=_LOADER.replace("SCRIPT", script), **texts)


def api_address() -> str:
    """Where the routes of this server begin."""
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"/{base}/api" if base else "/api"


_component = component("celltrail_viewer", "viewer")
_history = component("celltrail_history", "history")


def keep_history_short() -> None:
    """One step back in the browser leads to the page before; nothing is shown for it."""
    with st.container(key="history"):
        _history(key="history_steps", data={"api": api_address()})


@dataclass(frozen=True)
class Pane:
    """One picture of the viewer.

    Attributes
    ----------
    movie : Movie
        Where the grey image comes from.
    layer : Layer | None
        The labels drawn on it, or ``None``.
    offset : int
        Frames after the clock's (−1: the frame before).
    marks : Sequence[Mapping[str, Any]]
        Places to ring, ``{t, y, x}``, with a ``colour`` where it means something; with ``line`` (``{y, x}``) the way
        from there, ``dashed`` or not.
    colour : str
        What the colours of the tracks mean, see `celltrail.dashboard.opening.content.FEATURES`.
    paint : Mapping[int, Mapping[int, str]] | None
        Frame → label → colour of the cells that are spoken of; all others are quiet.
    """

    movie: Movie
    layer: Layer | None = None
    title: str = ""
    offset: int = 0
    marks: Sequence[Mapping[str, Any]] = field(default_factory=tuple)
    colour: str = "track"
    paint: Mapping[int, Mapping[int, str]] | None = None

    def describe(self) -> dict[str, Any]:
        """The pane in the words of ``viewer.js``."""
        spec: dict[str, Any] = {"title": self.title, "offset": self.offset, "marks": list(self.marks)}
        if self.paint is not None:
            spec["paint"] = {str(frame): [*cells.items()] for frame, cells in self.paint.items()}
        if self.movie.images is not None:
            spec |= {
                "image": f"/movies/{self.movie.id}/frames",
                "imageVersion": content.images_stamp(self.movie),
            }
        if self.layer is not None:
            version = content.stamp(self.layer.folder)
            result = content.open_result(self.layer)
            spec |= {
                "layer": self.layer.id,
                "labels": f"/layers/{self.layer.id}/frames",
                "labelVersion": version,
                "labelFrames": list(result.labels.numbers),
            }
            if len(result.tracks):
                spec["tracks"] = f"/layers/{self.layer.id}/tracks?by={self.colour}&v={version}"
        return spec


def show_viewer(
    panes: Sequence[Pane],
    *,
    key: str,
    frames: Sequence[int],
    shape: Sequence[int],
    t: int,
    selected: dict[str, int],
    revision: int,
    columns: int = 1,
    height: str = "clamp(300px, 62vh, 1500px)",
    focus: dict[str, float] | None = None,
    place: str = "",
    chosen: Mapping[str, Sequence[int]] | None = None,
    compact: bool = False,
    pen: bool = False,
    strokes: Sequence[dict[str, Any]] = (),
    on_frame_change: Callable[[], None] = lambda: None,
    on_pick_change: Callable[[], None] = lambda: None,
    on_stroke_change: Callable[[], None] = lambda: None,
) -> Any:
    """Show panes that share one clock and one view.

    Parameters
    ----------
    frames : Sequence[int]
        Frame numbers of the clock.
    shape : Sequence[int]
        (Y, X) or (Z, Y, X) of the frames.
    t, selected, focus
        Frame, label selected in each layer, and place to look at; taken over by the browser only when ``revision``
        changes.
    place : str
        Viewers with the same non-empty text share their zoom, also from page to page.
    chosen : Mapping[str, Sequence[int]] | None
        Id of a layer → the tracks that have colours; the others are quiet.
    compact : bool
        Without the controls of colours and light.
    pen : bool
        Dragging draws a stroke instead of moving the image.
    strokes : Sequence[dict[str, Any]]
        Strokes to show, ``{t, points}``, points as (y, x).

    Returns
    -------
    The component's state: ``frame`` (where the clock rests), ``pick`` (the cell clicked just now) and ``stroke`` (drawn just
    now: ``{layer, frame, points}``).
    """
    data = {
        "place": place,
        "api": api_address(),
        "panes": [pane.describe() for pane in panes],
        "frames": list(frames),
        "shape": list(shape),
        "t": t,
        "selected": selected,
        "revision": revision,
        "columns": columns,
        "height": height,
        "focus": focus,
        "pen": pen,
        "strokes": list(strokes),
        "palette": list(content.PALETTE),
        "chosen": {layer: list(labels) for layer, labels in (chosen or {}).items()},
        "compact": compact,
    }
    return _component(
        key=key,
        data=data,
        default={"frame": t},
        on_frame_change=on_frame_change,
        on_pick_change=on_pick_change,
        on_stroke_change=on_stroke_change,
    )
