"""Lists the problems on which backends are checked, with their operands and layouts."""
