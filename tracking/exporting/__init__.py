"""From a solution to tracks and masks."""
