"""Compiles kernels, keeps them, and runs them on threads with scratch memory."""
