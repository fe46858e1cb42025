"""Gradient ascent on the violation of every inequality of the theory, and what it finds made small."""
