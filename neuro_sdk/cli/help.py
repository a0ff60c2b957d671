"""What stands at the end of a command's help."""

from __future__ import annotations

__all__ = ["notes"]

_EXIT_CODES = """\b
Exit codes:
  0    all done
  1    something failed; the standard error says what
  2    wrong usage; nothing was touched
  130  interrupted by Ctrl-C, 143 terminated; nothing is half done"""


def notes(*examples: str) -> str:
    """The epilog of a command: *examples* as they are typed, then the exit codes."""
    shown = "\n".join(f"  {example}" for example in examples)
    return f"\b\nExamples:\n{shown}\n\n{_EXIT_CODES}"
