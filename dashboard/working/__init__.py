"""Jobs that are started from the page, and what they have made."""
