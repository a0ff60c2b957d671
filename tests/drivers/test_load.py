"""The load test: what it decides, what it counts, and the command on a real store."""

from __future__ import annotations

import compileall
import json
import os
import random
import re
import signal
import statistics
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from neuro_sdk import ConfigError, IllegalArgumentError
from neuro_sdk.cli import main
from neuro_sdk.drivers.load import (
    LoadPlan,
    LoadResult,
    Sizes,
    parse_mix,
    parse_sizes,
    plot_load,
    run_load,
)
from neuro_sdk.drivers.load.figures import Latencies, Timeline
from neuro_sdk.drivers.s3 import DummyDriver, get_driver, register_driver
from neuro_sdk.drivers.s3 import registry as known

ROOT = Path(__file__).parent.parent.parent
ANY = {"bucket": "any"}


@pytest.fixture
def registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(known, "_registered", dict(known._registered))


# What is decided


@pytest.mark.parametrize(
    ("text", "sizes"),
    [
        ("0", Sizes(0, 0)),
        ("512", Sizes(512, 512)),
        ("64KiB", Sizes(65536, 65536)),
        ("4 kib - 1MiB", Sizes(4096, 1 << 20)),
    ],
)
def test_sizes_are_read(text: str, sizes: Sizes) -> None:
    assert parse_sizes(text) == sizes


@pytest.mark.parametrize("text", ["", "1KB", "x", "-1", "2MiB-1MiB", "1-2-3", "5GiB", "1.5MiB"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(IllegalArgumentError):
        parse_sizes(text)


def test_sizes_of_a_range_are_spread_over_its_doublings() -> None:
    chance = random.Random(7)
    chosen = [Sizes(1 << 10, 1 << 20).choose(chance) for _ in range(4000)]
    assert all(1 << 10 <= size <= 1 << 20 for size in chosen)
    assert 1 << 14 < statistics.median(chosen) < 1 << 16


def test_the_mix_is_kept() -> None:
    plan = LoadPlan(count=1, mix=parse_mix("put=1, get=3,list=0"))
    chance = random.Random(7)
    chosen = Counter(plan.choose(chance, has_objects=True) for _ in range(4000))
    assert set(chosen) == {"put", "get"}
    assert 2850 < chosen["get"] < 3150
    assert {plan.choose(chance, has_objects=False) for _ in range(50)} == {"put"}


@pytest.mark.parametrize("text", ["", "put", "put=x", "put=-1", "push=1", "put=1,put=2", "put=inf"])
def test_what_is_no_mix_is_refused(text: str) -> None:
    with pytest.raises(IllegalArgumentError):
        parse_mix(text)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"count": 0},
        {"duration": 0.0},
        {"count": 1, "users": 0},
        {"count": 1, "users": 1001},
        {"count": 1, "objects": 0},
        {"count": 1, "mix": {"put": 0}},
        {"count": 1, "mix": {"push": 1}},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(IllegalArgumentError):
        LoadPlan(**wrong)


def test_percentiles_are_right_to_one_per_cent() -> None:
    chance = random.Random(7)
    times = [chance.lognormvariate(-5, 2) for _ in range(20_000)]
    latencies = Latencies()
    for seconds in times:
        latencies.add(seconds)
    times.sort()
    for percent in (50, 90, 99, 100):
        exact = times[max(0, -(-len(times) * percent // 100) - 1)]
        found = latencies.percentile(percent)
        assert found is not None
        assert exact <= found * 1.000001 <= exact * 1.0101
    assert len(latencies._counts) < 2500
    assert Latencies().percentile(50) is None


def test_a_long_test_takes_no_more_memory() -> None:
    timeline = Timeline()
    for second in range(5000):
        timeline.add(second + 0.5, 10, second % 100 == 0)
    told = timeline.told()
    assert timeline.width == 16
    assert len(told) == 313
    assert [slot["second"] for slot in told[:3]] == [0, 16, 32]
    assert sum(slot["count"] for slot in told) == 5000
    assert sum(slot["errors"] for slot in told) == 50
    assert sum(slot["bytes"] for slot in told) == 50_000


# What is done


@pytest.mark.parametrize("name", ["dummy", "opendal", "s5cmd"])
def test_it_counts_and_leaves_nothing(name: str, s3_config: dict[str, Any]) -> None:
    made: list[LoadResult] = []
    plan = LoadPlan(users=3, count=60, sizes=parse_sizes("0-8KiB"), objects=4)
    result = run_load(name, s3_config, plan, progress=made.append)
    everything = result.operations["all"]
    assert everything["count"] == 60
    assert result.errors == 0
    assert result.left == 0
    assert not result.interrupted
    each = {key: told for key, told in result.operations.items() if key != "all"}
    assert {"put", "get"} <= set(each)
    for key in ("count", "bytes", "errors"):
        assert sum(told[key] for told in each.values()) == everything[key]
    assert 0 < everything["p50_ms"] <= everything["p90_ms"] <= everything["p99_ms"]
    assert everything["p99_ms"] <= everything["max_ms"]
    assert everything["per_second"] == pytest.approx(60 / result.elapsed, rel=0.02)
    assert sum(slot["count"] for slot in result.timeline) == 60
    assert json.loads(json.dumps(result.to_json()))["operations"]["all"] == everything
    with get_driver(name)(s3_config) as driver:
        assert driver.list_objects() == []


def test_the_same_seed_makes_the_same_choices() -> None:
    plan = LoadPlan(users=1, count=300, seed=5)

    def counts(plan: LoadPlan) -> dict[str, int]:
        told = run_load("dummy", ANY, plan).operations
        return {name: figures["count"] for name, figures in told.items()}

    assert counts(plan) == counts(plan)
    assert counts(plan) != counts(LoadPlan(users=1, count=300, seed=6))


@pytest.mark.usefixtures("registered")
def test_what_fails_or_is_wrong_is_counted() -> None:
    @register_driver("forgetful")
    class Forgetful(DummyDriver):
        thread_safe = False

        def download(self, key: str) -> bytes | None:
            data = super().download(key)
            return data and data + b"?"

        def list_objects(self, prefix: str = "", max_keys: int = 1000) -> list[str]:
            return []

        def delete(self, key: str) -> bool:
            return False

    plan = LoadPlan(users=2, count=200, mix=parse_mix("put=1,get=1,head=1,list=1,delete=1"))
    result = run_load("forgetful", ANY, plan)
    told = result.operations
    assert told["put"]["errors"] == told["head"]["errors"] == 0
    for name in ("get", "delete"):
        assert told[name]["errors"] == told[name]["count"] > 0
    assert told["list"]["errors"] > 0
    assert result.left == told["put"]["count"]


@pytest.mark.usefixtures("registered")
def test_each_user_has_a_driver_where_they_cannot_share() -> None:
    made = []

    @register_driver("counted")
    class Counted(DummyDriver):
        thread_safe = False

        def __init__(self, config: Any) -> None:
            super().__init__(config)
            made.append(self)

        def close(self) -> None:
            made.remove(self)

    most = 0

    def look(_: LoadResult) -> None:
        nonlocal most
        most = max(most, len(made))

    run_load("counted", ANY, LoadPlan(users=5, count=50), progress=look)
    assert most == 5
    assert made == []


def test_it_ends_in_time_and_when_told() -> None:
    began = time.monotonic()
    result = run_load("dummy", ANY, LoadPlan(users=2, duration=0.5))
    assert 0.4 < time.monotonic() - began < 5
    assert result.operations["all"]["count"] > 10
    stop = threading.Event()
    threading.Timer(0.3, stop.set).start()
    stopped = run_load("dummy", ANY, LoadPlan(users=2, duration=60), stop=stop)
    assert stopped.interrupted
    assert stopped.left == 0
    assert 0.2 < stopped.elapsed < 5


def test_plots_are_images(tmp_path: Path) -> None:
    results = [run_load("dummy", ANY, LoadPlan(users=2, count=count)) for count in (1, 100)]
    plot_load(results, tmp_path / "load.png")
    assert (tmp_path / "load.png").read_bytes().startswith(b"\x89PNG")
    plot_load(results, tmp_path / "load.svg")
    with pytest.raises(ConfigError, match="png"):
        plot_load(results, tmp_path / "load.doc")


# The command


def _environment(config: dict[str, Any]) -> dict[str, str]:
    return {
        "AWS_ACCESS_KEY_ID": config["access_key"],
        "AWS_SECRET_ACCESS_KEY": config["secret_key"],
    }


def test_two_drivers_side_by_side(s3_config: dict[str, Any], tmp_path: Path) -> None:
    place = ["--endpoint", s3_config["endpoint"], "--bucket", s3_config["bucket"]]
    bounds = ["--users", "2", "--count", "24", "--size", "1KiB-8KiB", "--plain"]
    drivers = ["--driver", "opendal", "--driver", "s5cmd"]
    out = ["--json", "-", "--plot", str(tmp_path / "load.png")]
    done = CliRunner().invoke(
        main, ["load", *drivers, *place, *bounds, *out], env=_environment(s3_config)
    )
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert [result["driver"] for result in told] == ["opendal", "s5cmd"]
    assert [result["operations"]["all"]["count"] for result in told] == [24, 24]
    assert re.search(r"s5cmd +all +24 ", done.stderr)
    assert (tmp_path / "load.png").stat().st_size > 1000
    assert s3_config["secret_key"] not in done.output


def test_errors_make_it_fail_with_their_reasons() -> None:
    place = ["--endpoint", "http://127.0.0.1:9", "--bucket", "any"]
    keys = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "sesame"}
    done = CliRunner().invoke(
        main, ["load", "--driver", "s5cmd", *place, "--count", "6", "--users", "1"], env=keys
    )
    assert done.exit_code == 1
    assert "connection refused" in done.stderr
    assert "could not be removed" in done.stderr
    assert "sesame" not in done.output


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (["--driver", "nope"], "known are: dummy, opendal, s5cmd"),
        (["--mix", "push=1"], "'push=1' is no share"),
        (["--size", "1KB"], "'1KB' is no size"),
        (["--users", "0"], "users must be at least 1"),
        (["--store", "seaweedfs", "--bucket", "b"], "leave --endpoint and --bucket"),
    ],
)
def test_wrong_usage_is_told(wrong: list[str], told: str) -> None:
    done = CliRunner().invoke(main, ["load", *wrong])
    assert done.exit_code == 2
    assert told in done.stderr


def test_what_is_missing_is_told() -> None:
    done = CliRunner().invoke(main, ["load"], env={"AWS_ACCESS_KEY_ID": None})
    assert done.exit_code == 1
    assert "AWS_ACCESS_KEY_ID" in done.stderr


def test_ctrl_c_shows_the_figures_and_leaves_nothing(
    s3_config: dict[str, Any], tmp_path: Path
) -> None:
    arguments = [
        *("--endpoint", s3_config["endpoint"], "--bucket", s3_config["bucket"]),
        *("--duration", "60", "--plain", "--json", str(tmp_path / "load.json")),
    ]
    running = subprocess.Popen(
        [sys.executable, "-c", "from neuro_sdk.cli import main; main()", "load", *arguments],
        env={**os.environ, **_environment(s3_config)},
        stderr=subprocess.PIPE,
        text=True,
    )
    with get_driver("opendal")(s3_config) as driver:
        deadline = time.monotonic() + 30
        while not driver.list_objects() and time.monotonic() < deadline:
            time.sleep(0.05)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=30)
        assert running.returncode == 130, errors
        assert "interrupted" in errors
        assert re.search(r"opendal +all +\d+", errors)
        (told,) = json.loads((tmp_path / "load.json").read_text())
        assert told["interrupted"]
        assert told["left"] == 0
        assert driver.list_objects() == []


# Locust


@pytest.mark.parametrize("name", ["opendal", "s5cmd"])
def test_the_locust_file_runs(name: str, s3_config: dict[str, Any]) -> None:
    assert compileall.compile_file(ROOT / "examples/locustfile.py", quiet=1, force=True)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "locust", "-f", str(ROOT / "examples/locustfile.py")),
            *("--headless", "-u", "2", "-r", "2", "-t", "2s", "--json"),
        ],
        env={
            **os.environ,
            **_environment(s3_config),
            "LOCUST_SKIP_MONKEY_PATCH": "1",
            "S3_DRIVER": name,
            "S3_ENDPOINT": s3_config["endpoint"],
            "S3_BUCKET": s3_config["bucket"],
        },
        capture_output=True,
        text=True,
        timeout=90,
    )
    assert done.returncode == 0, done.stderr
    told = {row["name"]: row for row in json.loads(done.stdout)}
    assert told["put"]["num_requests"] > 0
    assert sum(row["num_failures"] for row in told.values()) == 0
    with get_driver("opendal")(s3_config) as driver:
        assert driver.list_objects() == []
