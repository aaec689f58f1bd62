"""The network, its loss, and models on disk."""
