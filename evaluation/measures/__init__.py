"""Every measure, from the tables of what overlaps."""
