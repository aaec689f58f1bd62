"""What may follow what: candidate links and divisions, and their features."""
