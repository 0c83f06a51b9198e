"""Computes layers of few outputs as dot products."""
