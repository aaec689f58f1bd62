"""Images → instance masks, or hypotheses with scores."""
