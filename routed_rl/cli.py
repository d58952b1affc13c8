"""From a command line to a command. The root scripts and the `routed-rl` script call this."""

from __future__ import annotations

import os
import select
import sys
from collections.abc import Callable, Iterable, Sequence
from typing import NoReturn

from routed_rl import config
from routed_rl.commands.check import check
from routed_rl.commands.evaluate import evaluate
from routed_rl.commands.new_env import new_env
from routed_rl.commands.plot import plot
from routed_rl.commands.sweep import sweep
from routed_rl.commands.train import train
from routed_rl.config import UserError

COMMANDS: dict[str, Callable[[Sequence[str], str], int]] = {
    "train": train,
    "evaluate": evaluate,
    "sweep": sweep,
    "plot": plot,
    "check": check,
    "new-env": new_env,
}


def main(program: str, args: Sequence[str]) -> int:
    """Run `train.py ...` or `evaluate.py ...`, or else `PROGRAM COMMAND ...`; return the exit code."""
    if program.removesuffix(".py") in COMMANDS:
        return run_command(lambda flags: COMMANDS[program.removesuffix(".py")](flags, program), args)
    command, *rest = args or ["--help"]
    if command in ("-h", "--help"):
        print(f"usage: {program} COMMAND ...\n")
        for name, run in COMMANDS.items():
            print(f"  {name:<10} {(run.__doc__ or '').splitlines()[0]}")
        print("\nAdd --help to a command to see its flags.")
        return 0
    if command not in COMMANDS:
        return run_command(lambda _: _unknown(command, COMMANDS), rest)
    return run_command(lambda flags: COMMANDS[command](flags, f"{program} {command}"), rest)


def run_command(command: Callable[[Sequence[str]], int], args: Sequence[str]) -> int:
    """Run a command; what the caller can mend becomes one line and exit code 2, Ctrl-C exit code 130."""
    try:
        code = command(args)
        sys.stdout.flush()
        return code
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        if not _nobody_reads():  # it was another pipe, such as one to an environment's process
            raise
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1


def _nobody_reads() -> bool:
    """Say whether whoever read our output, such as `head`, has read enough and left."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))


def _unknown(command: str, commands: Iterable[str]) -> NoReturn:
    raise UserError(f"there is no command {command!r}. {config.nearest(command, commands)}")
