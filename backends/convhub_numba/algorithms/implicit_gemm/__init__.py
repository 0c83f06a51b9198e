"""Computes a layer as a product of matrices whose columns are gathered as they are needed."""
