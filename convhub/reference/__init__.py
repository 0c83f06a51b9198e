"""Computes right results and the allowed errors, independently of all backends."""
