"""Tests that need a CUDA device, and what they share."""
