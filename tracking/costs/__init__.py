"""From features to costs: cost models, learned or calibrated."""
