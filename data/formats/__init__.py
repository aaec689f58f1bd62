"""Results in the formats of other programs, and as tables."""
