"""From the table of detections to a priced problem: what the movie itself decides before it is solved."""
