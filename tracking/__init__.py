"""Masks or hypotheses → tracks."""

from tracking.pipeline import TrackResult, track, write_result
from tracking.preparation import candidate_graph
from tracking.solver import solve

__all__ = ["TrackResult", "candidate_graph", "solve", "track", "write_result"]
