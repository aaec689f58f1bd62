"""How commands run: console, log, workers, compiled loops, JSON."""
