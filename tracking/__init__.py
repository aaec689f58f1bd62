"""Masks or hypotheses → tracks."""

from tracking.pipeline import TrackResult, track, write_result
from tracking.solver import solve

__all__ = ["TrackResult", "solve", "track", "write_result"]
