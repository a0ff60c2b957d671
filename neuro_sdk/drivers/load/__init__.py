"""A load test of S3 drivers: a mixed workload, its latencies and its errors."""

from .figures import LoadResult
from .plan import OPERATIONS, LoadPlan, Sizes, parse_mix, parse_sizes
from .plot import plot_load
from .run import run_load

__all__ = [
    "OPERATIONS",
    "LoadPlan",
    "LoadResult",
    "Sizes",
    "parse_mix",
    "parse_sizes",
    "plot_load",
    "run_load",
]
