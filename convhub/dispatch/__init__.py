"""Computes a problem's result from its operands: chooses the backend that runs it, and calls it."""
