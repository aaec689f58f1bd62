"""Corrections as pins, and the solution that obeys them."""
