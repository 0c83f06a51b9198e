"""The conformance suite: whether a backend keeps the promises of `convhub.backend`.

Three ways in::

    pytest --pyargs convhub.conformance --convhub-backend mine    # everything
    convhub verify --random 100 --backend mine                    # random problems, no pytest needed
    convhub.conformance.verify.verify(problem, "mine")            # one problem, as data

Results are compared with an oracle that shares no code with any backend (`oracle`), under bounds that
follow from the arithmetic alone (`bounds`). Nothing here is imported by ``import convhub``.
"""
