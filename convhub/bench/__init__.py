"""Compares a backend with torch or another backend, on layers of published networks: ``convhub bench``.

Read in this order: `layers` (what is timed), `classes` and `selection` (how layers are sorted and chosen),
`sides` (the two calls compared), `timing` and `memory` (how they are timed; on a GPU `device` and `cuda`),
`worker` and `run` (in which process), `results` (the data), `machine` and `gpu` (the hardware), `summary`
(means), `formatting`, `markdown` and `plot` (output), `archive` (file names).
Nothing here is imported by ``import convhub``.
"""
