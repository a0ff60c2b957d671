"""``neuro-sdk load``: a mixed workload on an S3 store, by one driver or several in turn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from .help import notes

__all__ = ["load"]


@click.command(
    epilog=notes(
        "neuro-sdk load --store seaweedfs --duration 5",
        "neuro-sdk load --driver opendal --driver s5cmd --store seaweedfs --json results.json",
        "neuro-sdk load --endpoint http://127.0.0.1:8333 --bucket box --count 1000 --users 16",
    )
)
@click.option(
    "--driver",
    "drivers",
    multiple=True,
    default=["opendal"],
    show_default=True,
    help="Which driver to try; several are tried one after the other.",
)
@click.option("--endpoint", help="URL of the S3 store.")
@click.option("--bucket", help="Name of the bucket at the store; it must be there.")
@click.option("--region", default="us-east-1", show_default=True, help="Region of the store.")
@click.option(
    "--store",
    type=click.Choice(["seaweedfs"]),
    help="Start a store for the test instead, and make the bucket there.",
)
@click.option("--users", default=8, show_default=True, help="How many work at once.")
@click.option("--duration", type=float, help="Seconds; 10 if there is no --count either.")
@click.option("--count", type=int, help="Operations, all users together.")
@click.option(
    "--mix",
    default="put=40,get=40,head=10,list=5,delete=5",
    show_default=True,
    help="The share of each operation.",
)
@click.option(
    "--size", default="64KiB", show_default=True, help="Of the objects, or a range 4KiB-1MiB."
)
@click.option("--objects", default=200, show_default=True, help="At most so many for each user.")
@click.option("--seed", default=0, show_default=True, help="Another one makes other choices.")
@click.option(
    "--json",
    "json_path",
    type=click.Path(path_type=Path, dir_okay=False, allow_dash=True),
    help="Write the results there; - for the standard output.",
)
@click.option(
    "--plot", "plot_path", type=click.Path(path_type=Path, dir_okay=False), help="Draw them there."
)
@click.option("--plain", is_flag=True, help="Lines instead of a table that changes.")
def load(**asked: Any) -> None:
    """Put an S3 store under load and measure it.

    Users put, get, look at, list and delete objects, each with a driver, and rates, latencies and
    errors are shown as they come. The keys are read from AWS_ACCESS_KEY_ID,
    AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN. What the test makes in the bucket is removed at
    its end. The exit code is 1 if an operation failed.
    """
    # The drivers and the tables take their time to import, and few commands need them.
    from .loading import run_loads

    run_loads(**asked)
