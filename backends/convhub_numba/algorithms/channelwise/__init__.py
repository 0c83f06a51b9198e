"""Computes depthwise layers, and those of small groups, with channels in the lanes of a vector."""
