"""Computes layers of few output channels through tables of addresses."""
