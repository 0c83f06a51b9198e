"""Asks the machine: GPU drivers, versions, threads, processes and modes of the floating-point unit."""
