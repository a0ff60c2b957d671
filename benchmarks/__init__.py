"""How fast neuro_sdk is beside what a user would take instead: ``python -m benchmarks --help``."""
