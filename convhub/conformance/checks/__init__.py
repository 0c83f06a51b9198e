"""Checks one promise of a backend each, on one problem."""
