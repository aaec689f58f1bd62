"""The tracking problem and its solution as arrays, as a file, and as a NetworkX graph."""
