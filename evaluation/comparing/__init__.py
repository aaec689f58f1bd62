"""Several results on several sequences: differences and how sure they are."""
