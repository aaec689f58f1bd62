"""The ground floor: files on disk ↔ arrays and tables. Imports no other package of Celltrail."""

from data.ctc import Sequence, find_sequence, find_sequences
from data.errors import InputError, MissingExtra
from data.frames import open_frames, open_images, open_labels
from data.graph import Candidates, Solution, load_graph, save_graph
from data.movie import Frames
from data.tracks import Tracks, read_tracks

__all__ = [
    "Candidates",
    "Frames",
    "InputError",
    "MissingExtra",
    "Sequence",
    "Solution",
    "Tracks",
    "find_sequence",
    "find_sequences",
    "load_graph",
    "open_frames",
    "open_images",
    "open_labels",
    "read_tracks",
    "save_graph",
]
