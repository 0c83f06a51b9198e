"""Computes layers of few input channels, such as the first of a network."""
