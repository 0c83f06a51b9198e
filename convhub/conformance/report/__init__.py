"""Holds what the suite found, applies expected failures, and writes, prints and compares it."""
