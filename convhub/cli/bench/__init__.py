"""Carries out ``convhub bench``: layers are timed, a saved report is shown, or first calls are timed."""
