"""The HTTP routes of the viewer, and who may use them."""
