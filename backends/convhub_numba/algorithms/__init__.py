"""Holds the algorithms, a folder each: how its blocks are chosen, and its kernels."""
