"""Masks or hypotheses → tracks."""
