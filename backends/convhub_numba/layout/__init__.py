"""Brings memory into an order that vectors can read, and back."""
