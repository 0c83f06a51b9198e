"""Checks a backend's promises, each by one function on one problem."""
