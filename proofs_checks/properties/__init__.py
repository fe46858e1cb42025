"""What is true, as properties that Hypothesis tries to break: the claims that hold, and the corrected ones."""
