"""How the images of a movie are read, where that is open: which channel, what the axes are, which position.

It is chosen in the sidebar, once for all pages, the viewer and the jobs. Nothing is asked where nothing is open.
"""

from __future__ import annotations

import hashlib
import threading
from dataclasses import dataclass

CHOICES = ("--channel", "--series", "--axes")


@dataclass(frozen=True)
class Reading:
    """What the user has chosen; ``None``: as the files say."""

    channel: int | None = None
    axes: str | None = None
    series: int | None = None

    @property
    def options(self) -> dict[str, int | str | None]:
        """As keywords of `celltrail.data.open_images`."""
        return {"channel": self.channel, "axes": self.axes, "series": self.series}

    @property
    def words(self) -> list[str]:
        """As options of ``segment``."""
        given = {f"--{name}": value for name, value in self.options.items() if value is not None}
        return [word for name, value in given.items() for word in (name, str(value))]

    @property
    def words_for_track(self) -> list[str]:
        """As options of ``track``, where masks have axes of their own."""
        return ["--image-axes" if word == "--axes" else word for word in self.words]

    @property
    def mark(self) -> str:
        """A short text that changes with the choice; empty where nothing is chosen."""
        return hashlib.sha256(" ".join(self.words).encode()).hexdigest()[:6] if self.words else ""


AS_THE_FILES_SAY = Reading()
_chosen: dict[str, Reading] = {}
_lock = threading.Lock()


def reading_of(movie: str) -> Reading:
    """How the movie with this id is read."""
    return _chosen.get(movie, AS_THE_FILES_SAY)


def choose_reading(movie: str, reading: Reading) -> None:
    """From now on the movie with this id is read so, for everybody who looks at it."""
    with _lock:
        _chosen[movie] = reading


def is_open_choice(problem: str) -> bool:
    """Whether a sentence asks for something that can be chosen in the sidebar."""
    return any(option in problem for option in CHOICES)
