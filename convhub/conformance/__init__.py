"""Checks whether a backend keeps the promises of `convhub.backend`: the conformance suite.

There are four ways to run it::

    convhub conformance mine                                      # everything, with a report
    pytest --pyargs convhub.conformance --convhub-backend mine    # the same, as pytest reports it
    convhub verify --random 100 --backend mine                    # random problems, no pytest needed
    convhub.conformance.verify.verify(problem, "mine")            # one problem, as data

and, in an author's test folder, `conformance_cases`. ``docs/conformance.md`` says what is checked.

Results are compared with an oracle that shares no code with any backend (`convhub.reference.oracle`), under
bounds that follow from the arithmetic alone (`convhub.reference.bounds`). Nothing here is imported by
``import convhub``.
"""

from .author import conformance_cases

__all__ = ["conformance_cases"]
