"""Tracks and truth → measures, errors, reports."""
