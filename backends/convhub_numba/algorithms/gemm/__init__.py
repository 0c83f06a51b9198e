"""Computes a layer as a product of matrices that are packed first."""
