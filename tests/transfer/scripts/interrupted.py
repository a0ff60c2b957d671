"""A script with a transfer that is interrupted from outside."""

from __future__ import annotations

import asyncio
import signal
import sys
from pathlib import Path

import neuro_sdk
from tests.transfer.scripts.trees import STEPS
from tests.transfer.scripts.verbs import run


async def main(verb: str, home: str, folder: str) -> None:
    async with neuro_sdk.local(home, transfer=STEPS) as client:
        await run(client, verb, Path(folder), lambda _: None)


print("begun", flush=True)
asyncio.run(main(*sys.argv[1:]))
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("done", flush=True)
