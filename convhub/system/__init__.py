"""Queries and controls the system: GPU drivers, versions, threads, processes and floating-point modes."""
