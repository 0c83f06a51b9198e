"""Talks to CuPy: compiles and launches kernels, says what is missing, explains failures."""
