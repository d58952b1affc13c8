"""From a command line to a command. The root scripts and the `routed-rl` script call this."""

from __future__ import annotations

import errno
import importlib
import io
import os
import select
import sys
from collections.abc import Callable, Sequence

from routed_rl import __version__
from routed_rl.utils.errors import UserError, nearest, one_line, printable

Command = Callable[[Sequence[str], str], int]
"""(flags, name of the program) -> exit code."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EFBIG}
"""What a disk answers that is full, or may not be written to."""
NO_MEMORY = ("can't allocate memory", "out of memory", "Storage size calculation overflowed")
"""What torch says, which has no error of its own for it on a processor."""
UNUSABLE = {
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENOTEMPTY, errno.ELOOP),
    *(errno.EACCES, errno.EPERM, errno.ENAMETOOLONG, errno.EINVAL, errno.EILSEQ, errno.ENXIO),
    *(errno.EIO, errno.ESTALE, errno.EBUSY, errno.ENOLCK, errno.EMFILE, errno.ENFILE),
}
"""What it answers where a name is impossible, or a file gone, somebody else's, or broken."""

COMMANDS = {
    "train": "Train an agent in an environment, or continue a run.",
    "evaluate": "Say what the policies of a run really do.",
    "sweep": "Run every experiment of a file.",
    "plot": "Draw figures and tables from a folder of runs.",
    "report": "Write a page that shows a run, or a folder of runs.",
    "check": "Say whether an environment or an agent keeps its contract.",
    "new-env": "Write a commented template of an environment.",
}
"""Each command, and what it does. It is the function of its name in the file of its name."""


def main(program: str, args: Sequence[str]) -> int:
    """Run `train.py ...` and the like, or else `PROGRAM COMMAND ...`; return the exit code."""
    if "--version" in args:  # of any command: it has the version of the package
        print(f"routed_rl {__version__}")
        return 0
    script = program.removesuffix(".py")
    if script in COMMANDS:
        return run_command(command_of(script), args, program)
    name, *rest = args or ["--help"]
    if name in ("-h", "--help"):
        print(f"usage: {program} COMMAND ...\n")
        for command, summary in COMMANDS.items():
            print(f"  {command:<10} {summary}")
        print("\nAdd --help to a command to see its flags, or --version to see whose they are.")
        return 0
    if name not in COMMANDS:
        return _fail(UserError(f"there is no command {name!r}. {nearest(name, COMMANDS)}"))
    return run_command(command_of(name), rest, f"{program} {name}")


def command_of(name: str) -> Command:
    """Import a command; the others, and what they need, stay unimported."""
    file = name.replace("-", "_")
    return getattr(importlib.import_module(f"routed_rl.cli.{file}"), file)


def run_command(command: Command, args: Sequence[str], program: str = "train.py") -> int:
    """Run a command; what the caller can mend becomes one line and exit code 2, Ctrl-C code 130."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a file's name need not be in UTF-8
    try:
        code = command(args, program)
        sys.stdout.flush()
        return code
    except UserError as error:
        return _fail(error)
    except KeyboardInterrupt:
        print("stopped.", file=sys.stderr)
        return 130
    except (MemoryError, RuntimeError) as error:
        if not isinstance(error, MemoryError) and not any(x in str(error) for x in NO_MEMORY):
            raise
        what = one_line(error)
        return _fail(UserError(f"there is too little memory ({what}): give smaller numbers."))
    except OSError as error:
        if isinstance(error, BrokenPipeError) and _nobody_reads():
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return 1
        if error.errno not in NO_ROOM | UNUSABLE:  # a pipe to an environment's process, for one
            raise
        return _fail(_explained(error))


def _explained(error: OSError) -> UserError:
    """Say what the system refused, and what to do."""
    where = "a file" if error.filename is None else os.fsdecode(error.filename)
    if error.errno in NO_ROOM:
        return UserError(
            f"cannot write {where}: {error.strerror}. What was saved before is whole: "
            "make room, then go on with --resume."
        )
    return UserError(
        f"cannot use {where}: {error.strerror}. Give another name, or mend that; "
        "a run that had begun can go on with --resume."
    )


def _fail(error: UserError) -> int:
    """Print an error in one line; return the exit code."""
    print(f"error: {printable(str(error))}", file=sys.stderr)
    return 2


def _nobody_reads() -> bool:
    """Say whether whoever read our output, such as `head`, has read enough and left."""
    output = select.poll()
    output.register(sys.stdout.fileno(), 0)
    return any(event & (select.POLLERR | select.POLLHUP) for _, event in output.poll(0))
