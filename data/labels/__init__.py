"""What label images hold: outlines, and how two of them overlap."""
