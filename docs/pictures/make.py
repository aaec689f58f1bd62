"""Make the README's picture from a demo folder:  python docs/pictures/make.py demo"""

from __future__ import annotations

import sys
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt

from celltrail.data import Tracks, open_images, open_labels, read_tracks
from celltrail.data.pictures.colours import Colour, colour_of_tracks, neighbours_in
from celltrail.data.pictures.lineage_tree import tree_columns
from celltrail.data.pictures.render import grey_picture, outline_image

HERE = Path(__file__).parent
INK, PAPER = "#d7dce2", "#14181d"


def draw_lineage(axes: plt.Axes, tracks: Tracks, colours: dict[int, Colour]) -> None:
    """Time to the right, one line per track, a fork where a cell divides."""
    row = tree_columns(tracks)
    end = dict(zip(tracks.label.tolist(), tracks.end.tolist(), strict=True))
    for label, first, last, parent in tracks.rows().tolist():
        colour = [value / 255 for value in colours[label]]
        if parent:
            axes.plot([end[parent], first], [row[parent], row[label]], color=colour, linewidth=1.4)
        axes.plot([first, max(last, first + 0.2)], [row[label]] * 2, color=colour, linewidth=1.8)
    axes.set_yticks([])
    axes.set_xlabel("frame", color=INK)
    axes.tick_params(colors=INK)
    for side in ("top", "left", "right"):
        axes.spines[side].set_visible(False)
    axes.spines["bottom"].set_color(INK)
    axes.margins(x=0.02, y=0.02)


def main() -> None:
    """Draw one frame of the demo, its outlined cells, and the lineages of the whole movie."""
    demo = Path(sys.argv[1] if len(sys.argv) > 1 else "demo")
    images, masks = open_images(demo / "01"), open_labels(demo / "01_RES")
    tracks = read_tracks(demo / "01_RES" / "res_track.txt")
    colours = colour_of_tracks(tracks, neighbours_in(masks))
    frame = images.numbers[-8]
    figure, panels = plt.subplots(1, 3, figsize=(12, 4.1), facecolor=PAPER, layout="constrained")
    panels[0].imshow(grey_picture(images[frame]), cmap="gray", vmin=0, vmax=255)
    panels[1].imshow(outline_image(images[frame], masks[frame], colours), interpolation="nearest")
    draw_lineage(panels[2], tracks, colours)
    for panel, title in zip(panels, (f"frame {frame}", "cells, by track", "lineages"), strict=True):
        panel.set_title(title, color=INK, fontsize=11)
        panel.set_facecolor(PAPER)
    for panel in panels[:2]:
        panel.set_axis_off()
    figure.savefig(HERE / "sample.png", dpi=100, facecolor=PAPER, metadata={"Software": None})


if __name__ == "__main__":
    main()
