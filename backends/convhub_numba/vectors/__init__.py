"""Writes the inner loops as LLVM vector code."""
