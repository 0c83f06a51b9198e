"""What asv measures of convhub over its history; ``docs/benchmarks.md`` has the commands.

`common` has the rows (every backend that is installed, and torch itself) and the layers that all share;
`layers` times these, `memory` has peaks, `overhead` imports, first calls and tiny calls, `accuracy` errors.
"""
