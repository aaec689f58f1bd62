"""Simulated movies with exact truth."""
