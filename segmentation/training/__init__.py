"""From annotated movies to a trained model."""
