"""Masks or hypotheses → tracks."""

from celltrail.tracking.from_graph import track_graph
from celltrail.tracking.pipeline import TrackResult, track, write_result
from celltrail.tracking.preparing.preparation import candidate_graph
from celltrail.tracking.settings import TrackSettings
from celltrail.tracking.solving.solver import solve

__all__ = ["TrackResult", "TrackSettings", "candidate_graph", "solve", "track", "track_graph", "write_result"]
