"""The S3 drivers under locust:

    LOCUST_SKIP_MONKEY_PATCH=1 locust -f examples/locustfile.py --headless -u 8 -t 30s

The driver is that of S3_DRIVER (opendal); the store that of S3_ENDPOINT and S3_BUCKET, with the
keys in AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.

Locust replaces Python's threads and processes by its own, which programs with native threads
cannot work with. So that is switched off, and each operation runs in a thread of its pool.
"""

import os
import random
import sys
import time
import uuid

import gevent
import gevent.monkey
from locust import User, constant, events, task

from neuro_sdk.drivers.s3 import get_driver

if gevent.monkey.is_module_patched("threading"):
    sys.exit("start locust with LOCUST_SKIP_MONKEY_PATCH=1 in its environment")

SIZE = 64 << 10
_driver = None


@events.test_start.add_listener
def open_driver(**_):
    global _driver
    _driver = get_driver(os.environ.get("S3_DRIVER", "opendal"))(
        {
            "endpoint": os.environ.get("S3_ENDPOINT"),
            "bucket": os.environ.get("S3_BUCKET"),
            "access_key": os.environ.get("AWS_ACCESS_KEY_ID"),
            "secret_key": os.environ.get("AWS_SECRET_ACCESS_KEY"),
            "region": os.environ.get("AWS_REGION", "us-east-1"),
        }
    )
    gevent.get_hub().threadpool.maxsize = 64


@events.test_stop.add_listener
def close_driver(**_):
    _call(_driver.close)


def _call(function, *args):
    return gevent.get_hub().threadpool.apply(function, args)


class S3User(User):
    wait_time = constant(0)

    def on_start(self):
        self.prefix = f"locust-{uuid.uuid4().hex[:12]}"
        self.begun, self.keys = [], []

    def on_stop(self):
        for key in self.begun:
            _call(_driver.delete, key)

    def measure(self, name, function, *args):
        began = time.perf_counter()
        result = _call(function, *args)
        failed = result is None or result is False
        events.request.fire(
            request_type="S3",
            name=name,
            response_time=(time.perf_counter() - began) * 1000,
            response_length=len(result) if isinstance(result, bytes) else 0,
            exception=RuntimeError(f"{name} failed; its reason is in the log") if failed else None,
        )
        return result

    @task(4)
    def put(self):
        key = f"{self.prefix}/{len(self.begun):08}"
        self.begun.append(key)  # before, for the end of the test may come meanwhile
        if self.measure("put", _driver.upload, key, os.urandom(SIZE)):
            self.keys.append(key)

    @task(4)
    def get(self):
        if self.keys:
            self.measure("get", _driver.download, random.choice(self.keys))

    @task(1)
    def head(self):
        if self.keys:
            self.measure("head", _driver.head_object, random.choice(self.keys))

    @task(1)
    def list(self):
        self.measure("list", _driver.list_objects, f"{self.prefix}/", 100)
