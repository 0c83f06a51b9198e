"""Computes any layer by plain loops, where nothing faster suits."""
