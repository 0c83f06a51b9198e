"""Integrates with torch's autograd and transforms; importing this imports torch."""
