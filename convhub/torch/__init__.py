"""Serves torch beyond taking its tensors; importing this imports torch."""
