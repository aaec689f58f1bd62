"""The ground floor: files on disk ↔ arrays and tables. Imports no other package of Celltrail."""

from celltrail.data.errors import InputError, MissingExtra
from celltrail.data.files.ctc import Sequence, find_sequence, find_sequences
from celltrail.data.files.movie import Frames
from celltrail.data.files.opening import open_frames, open_images, open_labels
from celltrail.data.files.tracks import Tracks, read_tracks
from celltrail.data.graph.candidates import Candidates, Solution, load_graph, save_graph

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
