"""Computes layers of stride one by Winograd's minimal filtering, in tiles of a few outputs."""
