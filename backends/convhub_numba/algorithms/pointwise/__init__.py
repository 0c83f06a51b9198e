"""Computes layers of one tap as products of matrices that lie in memory already."""
