"""Holds the commands, a file for each."""
