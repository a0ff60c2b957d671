"""Values and rules. Nothing here does I/O, reads a clock or looks at the environment."""
