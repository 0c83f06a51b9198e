"""Chooses the register tile where vectors run along output channels."""

from __future__ import annotations

from .stage import Tile
from .tiling import ceil_div, round_up

__all__ = ["channel_tile", "fills", "weight_channel_tile"]


def channel_tile(channels: int, tile: Tile) -> Tile:
    """Return the tile whose width leaves the fewest vectors of output channels empty."""
    registers = 24 if tile.height == 8 else 12
    vectors = ceil_div(channels, tile.lanes)
    widths = (3, 4, 2) if registers == 24 else (3, 2)
    best = min(widths, key=lambda width: round_up(vectors, width))
    best = min(best, vectors)
    return Tile(min(12, registers // best), best, tile.lanes, tile.item)


def weight_channel_tile(channels: int, tile: Tile) -> Tile:
    """Return the tile with the fewest empty columns whose rows divide a vector of channels."""
    vectors = ceil_div(channels, tile.lanes)
    best = min((3, 2), key=lambda width: round_up(vectors, width))
    return Tile(min(tile.height, tile.lanes), min(best, vectors), tile.lanes, tile.item)


def fills(channels: int, tile: Tile) -> bool:
    """Say whether the vectors of a register tile are nearly full."""
    return round_up(channels, tile.width) <= 1.2 * channels
