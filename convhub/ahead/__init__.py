"""Compiles ahead of calls, so that no process waits for a compiler: ``convhub compile``.

`problems` reads what to compile from tables and logs, `model` from a torch model; `run` starts processes, in
each of which `worker` has backends compile. Nothing here is imported by ``import convhub``.
"""
