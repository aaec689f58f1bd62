"""Candidates with costs to the proven best solution."""
