"""Run one command and write down what it took: ``launch.py RESULT SECONDS COMMAND...``.

This is a process of its own because a child inherits the peak RSS of the process that forked
it: this one is small (it runs with ``-I -S`` and imports little), the harness is not.
"""

import json
import os
import signal
import sys
import time


def main() -> None:
    result, seconds, *command = sys.argv[1:]
    started = time.monotonic()
    child = os.posix_spawnp(command[0], command, {**os.environ, "BENCH_STARTED": repr(started)})

    def stop(_number: int, _frame: object) -> None:
        os.kill(child, signal.SIGKILL)

    signal.signal(signal.SIGALRM, stop)
    signal.alarm(int(seconds))
    _, status, used = os.wait4(child, 0)
    wall = time.monotonic() - started
    measured = {
        "status": os.waitstatus_to_exitcode(status),
        "wall": wall,
        "cpu": used.ru_utime + used.ru_stime,
        "rss": used.ru_maxrss * 1024,
    }
    with open(result, "w") as file:
        json.dump(measured, file)


main()
