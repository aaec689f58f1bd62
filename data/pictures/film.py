"""Films of results: outlines and ids of tracks, their tails, divisions, a scale bar and the time."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from celltrail.data.errors import InputError, import_extra
from celltrail.data.formats.points import Points
from celltrail.data.pictures.colours import (
    CERTAINTY_TICKS,
    CERTAINTY_UNIT,
    PLAIN,
    Colour,
    certainty_at,
    certainty_colour,
    certainty_place,
    colour_of_tracks,
    neighbours_in,
)
from celltrail.data.pictures.render import Picture, flatten_stack, grey_limits, outline_image
from celltrail.data.progress import Progress, silent

DIVISION_FRAMES = 2  # frames after a division in which mother and daughters stay joined by lines
SMALLEST_SIDE = 480  # pixels; smaller movies are enlarged by a whole number, so that ids can be read


@dataclass(frozen=True)
class Style:
    """What is drawn besides the outlines.

    Attributes
    ----------
    tail : int
        Frames of the past shown as a line.
    ids : bool
        Label beside each cell.
    zoom : int
        Enlargement by a whole number, 0 for as much as small images need.
    voxel : tuple[float, float, float] | None
        Μm (z, y, x);
    interval : float | None
        Seconds.
    """

    tail: int = 10
    ids: bool = True
    zoom: int = 0
    voxel: tuple[float, float, float] | None = None
    interval: float | None = None


class Scenes:
    """One result, ready to be drawn frame by frame."""

    def __init__(
        self,
        points: Points,
        masks: Mapping[int, NDArray[Any]],
        images: Mapping[int, NDArray[Any]] | None,
        style: Style,
        title: str = "",
        right: Mapping[tuple[int, int], float] | None = None,
    ) -> None:
        """``right``: (frame, label) → the probability that the past of a cell is right, shown by colours; see `draw`."""
        self.right = right
        self.points, self.masks, self.images, self.style, self.title = points, masks, images, style, title
        self.colours = colour_of_tracks(points.tracks, neighbours_in(masks))
        self.limits = _steady_limits(images)
        self.rows: dict[int, list[int]] = {}
        for row, frame in enumerate(points.frame.tolist()):
            self.rows.setdefault(frame, []).append(row)
        self.place = {
            (int(label), int(frame)): (float(p[1]), float(p[2]))
            for label, frame, p in zip(points.label, points.frame, points.position, strict=True)
        }
        self.parent = dict(zip(points.tracks.label.tolist(), points.tracks.parent.tolist(), strict=True))
        self.divided = points.tracks.divisions()
        self.begin = dict(zip(points.tracks.label.tolist(), points.tracks.begin.tolist(), strict=True))
        self.end = dict(zip(points.tracks.label.tolist(), points.tracks.end.tolist(), strict=True))

    def draw(self, frame: int) -> Picture:
        """The picture of one frame, uint8 (Y, X, 3); frames without masks show the image alone."""
        image = (self.images or {}).get(frame)
        labels = self.masks.get(frame)
        if labels is None:
            if image is None:
                raise KeyError(frame)
            labels = np.zeros(image.shape, dtype=np.uint16)
        flat = flatten_stack(labels, labels=True)
        grey = np.where(flat > 0, 60.0, 0.0) if image is None else flatten_stack(image)
        if grey.shape != flat.shape:
            raise InputError(
                f"Frame {frame} has an image of shape {grey.shape} and masks of shape {flat.shape}: "
                "use the images that the masks were made from."
            )
        zoom = self.style.zoom or max(1, math.ceil(SMALLEST_SIDE / min(flat.shape)))
        big = [np.repeat(np.repeat(array, zoom, axis=0), zoom, axis=1) for array in (grey, flat)]
        limits = self.limits if image is not None else (0.0, 255.0)
        if self.right is not None:
            shown = (int(self.points.label[row]) for row in self.rows.get(frame, []))
            self.colours = {label: certainty_colour(self.right.get((frame, label), 1.0)) for label in shown}
        picture = Image.fromarray(outline_image(big[0], big[1], self.colours, limits=limits))
        pen = ImageDraw.Draw(picture)
        font = ImageFont.truetype(_font_file(), size=max(11, min(picture.size) // 45))
        for row in self.rows.get(frame, []):
            self._draw_cell(pen, font, int(self.points.label[row]), frame, zoom)
        self._draw_captions(pen, font, picture.size, frame, zoom)
        return np.asarray(picture)

    def _at(self, label: int, frame: int, zoom: int) -> tuple[float, float]:
        y, x = self.place[label, frame]
        return (x + 0.5) * zoom, (y + 0.5) * zoom

    def _draw_cell(self, pen: Any, font: Any, label: int, frame: int, zoom: int) -> None:
        colour: Colour = self.colours.get(label, PLAIN)
        here = self._at(label, frame, zoom)
        path, age, current = [here], frame, label
        while frame - age < self.style.tail:
            # The tail goes on into the mother, across a gap where there is one.
            age -= 1
            if age < self.begin[current]:
                current = self.parent[current]
                if not current:
                    break
                age = self.end[current]
            path.append(self._at(current, age, zoom))
        if len(path) > 1 and self.style.tail:
            pen.line(path, fill=colour, width=max(1, zoom // 2))
        mother = self.parent[label]
        if mother in self.divided and frame - self.begin[label] < DIVISION_FRAMES:
            born = self._at(mother, self.end[mother], zoom)
            pen.line([born, here], fill=PLAIN, width=max(1, zoom // 2))
            radius = 2 + zoom
            pen.ellipse([born[0] - radius, born[1] - radius, born[0] + radius, born[1] + radius], outline=PLAIN)
        if self.style.ids:
            pen.text(here, str(label), fill=colour, font=font, anchor="mm", stroke_width=1, stroke_fill=(0, 0, 0))

    def _draw_captions(self, pen: Any, font: Any, size: tuple[int, int], frame: int, zoom: int) -> None:
        black = {"stroke_width": 2, "stroke_fill": (0, 0, 0), "font": font, "fill": PLAIN}
        pen.text((8, 6), time_text(frame, self.style.interval), anchor="la", **black)
        if self.title:
            pen.text((size[0] - 8, 6), self.title, anchor="ra", **black)
        if self.right is not None:
            _draw_colour_bar(pen, size, black)
        if self.style.voxel is not None:
            length = bar_length(size[0] / zoom * self.style.voxel[2])
            pixels = length / self.style.voxel[2] * zoom
            left, bottom = 10, size[1] - 10
            pen.rectangle([left, bottom - 4, left + pixels, bottom], fill=PLAIN)
            pen.text((left, bottom - 8), f"{length:g} µm", anchor="ld", **black)


def _draw_colour_bar(pen: Any, size: tuple[int, int], text: dict[str, Any]) -> None:
    """What the colours of certainty stand for, at the lower right."""
    width, right, bottom = size[0] // 3, size[0] - 16, size[1] - 26
    for x in range(width):
        pen.line([right - width + x, bottom, right - width + x, bottom + 6], fill=certainty_at(x / (width - 1)))
    for value in CERTAINTY_TICKS:
        pen.text((right - width * (1 - certainty_place(value)), bottom + 8), f"{value:g}", anchor="ma", **text)
    pen.text((right, bottom - 4), CERTAINTY_UNIT, anchor="rd", **text)


def _font_file() -> str:
    """DejaVu Sans, which comes with matplotlib and knows the letter µ."""
    import matplotlib

    return str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")


def _steady_limits(images: Mapping[int, NDArray[Any]] | None) -> tuple[float, float]:
    """Grey values for black and white, the same in all frames: from up to five frames of the movie."""
    if images is None:
        return 0.0, 255.0
    numbers = sorted(images)
    picked = sorted({numbers[i] for i in np.linspace(0, len(numbers) - 1, 5).astype(int)})
    limits = [grey_limits(flatten_stack(images[number])) for number in picked]
    return min(low for low, _ in limits), max(high for _, high in limits)


def bar_length(width: float) -> float:
    """The length of a scale bar, 1, 2 or 5 times a power of ten, at most a quarter of the width (same unit)."""
    power = 10.0 ** math.floor(math.log10(width / 4))
    return next(factor * power for factor in (5.0, 2.0, 1.0) if factor * power <= width / 4)


def time_text(frame: int, interval: float | None) -> str:
    """``"frame 12"``, or the time as h:mm:ss where the interval (in seconds) is known."""
    if interval is None:
        return f"frame {frame}"
    seconds = round(frame * interval)
    return f"{seconds // 3600}:{seconds // 60 % 60:02d}:{seconds % 60:02d}"


def draw_film(scenes: list[Scenes], frames: list[int], *, progress: Progress = silent) -> Iterator[tuple[int, Picture]]:
    """The pictures of some frames; of several results side by side."""
    for done, frame in enumerate(frames, start=1):
        pictures = [scene.draw(frame) for scene in scenes]
        height = max(picture.shape[0] for picture in pictures)
        padded = [np.pad(picture, ((0, height - picture.shape[0]), (0, 0), (0, 0))) for picture in pictures]
        gap = np.full((height, 4, 3), 255, dtype=np.uint8)
        row = [part for picture in padded for part in (gap, picture)][1:]
        yield frame, np.concatenate(row, axis=1)
        progress("render", done, len(frames))


def write_mp4(pictures: Iterator[tuple[int, Picture]], path: Path, *, fps: float) -> None:
    """Write a film as MP4 (H.264) with the ffmpeg that imageio-ffmpeg brings.

    Raises
    ------
    MissingExtra
        If imageio-ffmpeg is not installed.
    """
    ffmpeg = import_extra("imageio_ffmpeg", "interop")
    writer = None
    try:
        for _, picture in pictures:
            # H.264 wants even sides.
            even = np.pad(picture, ((0, picture.shape[0] % 2), (0, picture.shape[1] % 2), (0, 0)))
            if writer is None:
                writer = ffmpeg.write_frames(
                    str(path),
                    (even.shape[1], even.shape[0]),
                    fps=fps,
                    codec="libx264",
                    quality=6,
                    macro_block_size=2,
                    ffmpeg_log_level="error",
                )
                writer.send(None)
            writer.send(np.ascontiguousarray(even))
    finally:
        if writer is not None:
            writer.close()


def write_gif(pictures: Iterator[tuple[int, Picture]], path: Path, *, fps: float) -> None:
    """Write a film as an animated GIF that repeats for ever."""
    frames = (Image.fromarray(picture).quantize(colors=128) for _, picture in pictures)
    first = next(frames)
    first.save(path, save_all=True, append_images=frames, duration=round(1000 / fps), loop=0)


def write_pngs(pictures: Iterator[tuple[int, Picture]], folder: Path) -> None:
    """Write a film as ``frameTTTT.png`` files into a folder."""
    for frame, picture in pictures:
        Image.fromarray(picture).save(folder / f"frame{frame:04d}.png")
