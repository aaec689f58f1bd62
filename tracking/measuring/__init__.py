"""From masks or hypotheses to a table of detections."""
