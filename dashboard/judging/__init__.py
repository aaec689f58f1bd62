"""What is worth a look: events, scores, differences, numbers, plots."""
