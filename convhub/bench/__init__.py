"""``convhub bench``: a backend against torch, or against another backend, on layers of published networks.

Read in this order: `layers` (what is timed), `classes` and `selection` (how it is sorted and chosen),
`sides` (the two calls that are compared), `timing` and `memory` (how; on a GPU `device` and `cuda`),
`worker` and `run` (in which process), `results` (what comes out), `machine` and `gpu` (of what), `summary`
(means), `formatting`, `markdown` and `plot` (how it is shown), `archive` (under which name it is kept).
Nothing here is imported by ``import convhub``.
"""
