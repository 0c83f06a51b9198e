"""Computes the input gradient of strided layers, one phase of the stride at a time."""
