"""What an evaluation or a comparison says: pages, tables, JSON."""
