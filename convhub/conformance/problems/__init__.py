"""Lists the problems that backends are checked on, with their layouts in memory."""
