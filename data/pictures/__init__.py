"""Pictures and films of movies and results."""
