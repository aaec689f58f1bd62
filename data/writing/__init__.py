"""Results that appear whole or not at all, written by one run at a time."""
