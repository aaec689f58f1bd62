"""How sure each decision is: calibrated probabilities, what they say of a movie, and what a person should look at."""
