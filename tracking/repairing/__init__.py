"""Masks that are wrong for a few frames: two cells in one mask, one cell in several; what else they may be."""
