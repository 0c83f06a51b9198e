"""Takes a problem and its operands to a result: which backend runs it, and how it is called."""
