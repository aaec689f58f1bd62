"""The commands of tracking beside track and fit: solve a kept graph, why, review."""
