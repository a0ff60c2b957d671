"""Draws terminal.svg, the picture of the README, from a real session: python docs/terminal.py"""

from __future__ import annotations

import io
import os
import pty
import re
import subprocess
import sys
import tempfile
from pathlib import Path

from rich.console import Console
from rich.text import Text

COLUMNS = 96
SESSION = (
    "neuro-sdk blob mb photos",
    "neuro-sdk blob cp -r --exclude '*.tmp' pictures blob:photos/2026",
    "neuro-sdk blob ls blob:photos/2026/",
    "neuro-sdk blob glob 'blob:photos/**/*.jpg'",
    "neuro-sdk blob sync --delete --dry-run pictures blob:photos/2026",
    "neuro-sdk blob du --json blob:photos",
)


def main() -> None:
    """Run the session in a folder of its own, and draw what the terminal showed."""
    console = Console(record=True, width=COLUMNS, file=io.StringIO(), force_terminal=True)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        for name, size in (
            ("readme.txt", 40),
            ("cats/tom.jpg", 1 << 20),
            ("cats/kit.jpg", 3 << 20),
            ("raw/film.mov", 96 << 20),
            ("raw/cut.tmp", 9),
        ):
            path = work / "pictures" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(os.urandom(size))
        for command in SESSION:
            console.print(Text.assemble(("$ ", "bold green"), command), soft_wrap=True)
            for line in _shown(command, work).splitlines():
                console.print(Text.from_ansi(line.replace(folder, "/home/me")), soft_wrap=True)
    picture = console.export_svg(title="neuro-sdk")
    # Fonts from elsewhere are not fetched for a picture.
    picture = re.sub(r"@font-face \{.*?\}\n", "", picture, flags=re.DOTALL)
    picture = picture.replace("<text ", '<text xml:space="preserve" ')  # columns begin with blanks
    Path(__file__).with_name("terminal.svg").write_text(
        "\n".join(line.rstrip() for line in picture.splitlines()) + "\n"
    )


def _shown(command: str, work: Path) -> str:
    """What a terminal shows once the command has ended."""
    ours, theirs = pty.openpty()
    environment = {
        **os.environ,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "NEURO_SDK_PLATFORM": f"local:{work / 'platform'}",
        "LOGNAME": "me",
        "TERM": "xterm-256color",
        "COLUMNS": str(COLUMNS),
    }
    with subprocess.Popen(
        ["bash", "-c", command], cwd=work, env=environment, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        sent = b""
        while piece := _read(ours):
            sent += piece
        os.close(ours)
    if process.returncode:
        raise SystemExit(f"{command} ended with {process.returncode}")
    return "\n".join(_screen(sent.decode()))


def _screen(sent: str) -> list[str]:
    """The lines on a terminal in the end, colours left in: all that rich does to the rest."""
    lines, at = [""], 0
    for sequence, end, text in re.findall(
        r"(\x1b\[[0-9;?]*[A-Za-z])|([\r\n])|([^\x1b\r\n]+)", sent
    ):
        if end == "\n":
            at += 1
            lines += [""] * (at + 1 - len(lines))
        elif sequence.endswith("A"):
            at -= int(sequence[2:-1] or 1)
        elif sequence == "\x1b[2K":
            lines[at] = ""
        elif text or sequence.endswith("m"):
            lines[at] += text or sequence
    return lines


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # how the end of a terminal looks on Linux
        return b""


if __name__ == "__main__":
    main()
