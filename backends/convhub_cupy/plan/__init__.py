"""Decides which kernels run a problem, in which tiles and as how many blocks; nothing here knows a device."""
