"""Settings: frozen dataclasses <-> flags <-> yaml, which is flags written differently.

Needs no torch, so that `--help` is quick.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import itertools
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from numbers import Integral, Real
from pathlib import Path
from typing import Any, TypeVar

import tyro
import yaml

from routed_rl.utils.errors import UserError, nearest, one_line
from routed_rl.utils.files import write_text

Settings = TypeVar("Settings")


def whole_number(text: str) -> int:
    """Read a whole number as people write it: 1000000, 1_000_000, 1e6, or 2.0e+3 as yaml has it.

    Raises:
        ValueError: if it is none, or so large that nothing can have so many.
    """
    try:
        value = Decimal(text)
    except InvalidOperation:
        value = Decimal("nan")
    sane = value.is_finite() and value.adjusted() < _MOST_DIGITS
    if not sane or value != value.to_integral_value():
        raise ValueError(f"{text!r} is no whole number")
    return int(value)


_MOST_DIGITS = 19
"""Seeds go up to 2 to the power of 63, and nothing goes further."""
_READERS = tyro.constructors.ConstructorRegistry()


@_READERS.primitive_rule
def _read_whole_numbers(info: Any) -> Any:
    """Let tyro read an int by `whole_number`."""
    if info.type is not int:
        return None
    return tyro.constructors.PrimitiveConstructorSpec(
        nargs=1,
        metavar="INT",
        instance_from_str=lambda args: whole_number(args[0]),
        is_instance=lambda given: isinstance(given, int),
        str_from_instance=lambda given: [str(given)],
    )


class UnknownFlagError(UserError):
    """A flag that there is not."""

    def __init__(self, flag: str, known: Iterable[str]) -> None:
        """Suggest the nearest of those that there are."""
        super().__init__(f"there is no flag {flag!r}. {nearest(flag, known)}")
        self.flag = flag


def parse(
    settings: type[Settings], args: Sequence[str], *, prog: str, description: str
) -> Settings:
    """Build a dataclass from flags.

    Args:
        settings: a dataclass; a field that is a dataclass gives flags with a dot.
        args: the flags; of one given twice the last counts.
        prog: the program's name in the help.
        description: what the help begins with.

    Returns:
        The dataclass.

    Raises:
        UserError: if a flag or a value is wrong, in one line.
        SystemExit: after `--help` has been printed.
    """
    boxed = io.StringIO()
    try:
        with contextlib.redirect_stderr(boxed):
            result, unknown = tyro.cli(
                settings,
                args=args,
                prog=prog,
                description=description,
                return_unknown_args=True,
                registry=_READERS,
                config=(tyro.conf.HelptextFromCommentsOff,),  # ours are docstrings; a third faster
            )
    except SystemExit as error:
        if not error.code:
            raise
        raise UserError(
            f"{_plainly(_first_sentence(boxed.getvalue()))} (See {prog} --help.)"
        ) from None
    except (UserError, OSError):  # the second where nobody reads --help to its end
        raise
    except Exception as error:  # a plug-in's `Config` may be of any kind
        raise UserError(
            f"the settings cannot be read ({one_line(error)}): mend the Config."
        ) from error
    if unknown:
        known = _flags(settings)
        _refuse_stray_word(args, unknown[0], switches=[name for name in known if known[name]])
        raise UnknownFlagError(unknown[0], known)
    return result


def _refuse_stray_word(args: Sequence[str], word: str, switches: Sequence[str]) -> None:
    """Raise UserError if a word stands behind a switch, all values of a flag, or no flag."""
    behind: list[str] = []  # a word may be a value elsewhere, so several flags
    flag = ""
    for arg in args:
        flag = arg.split("=")[0] if arg.startswith("--") else flag
        if arg == word and not word.startswith("-"):
            behind.append(flag)
    if "" in behind:
        raise UserError(f"{word!r} stands before all flags: leave it out, or name its flag.")
    for switch in switches:
        if {switch, _off(switch)} & {*behind}:
            raise UserError(
                f"{switch} was given {word!r}, and a switch takes no value: "
                f"write {switch}, or {_off(switch)} to switch it off."
            )
    if behind:
        told = " or ".join(dict.fromkeys(behind))
        raise UserError(f"{told} was given {word!r} too, which is one value too many.")


def _off(switch: str) -> str:
    """Write the flag that switches off what `switch` switches on."""
    part, dot, name = switch.removeprefix("--").rpartition(".")
    return f"--{part}{dot}no-{name}"


def split_first(args: Sequence[str]) -> tuple[str | None, Sequence[str]]:
    """Take a first argument that is no flag from the others; None if there is none."""
    if args and not args[0].startswith("-"):
        return args[0], args[1:]
    return None, args


def split_path(args: Sequence[str]) -> tuple[Path | None, Sequence[str]]:
    """Take a path likewise."""
    first, rest = split_first(args)
    return None if first is None else Path(first), rest


def to_plain(settings: Any) -> Any:
    """Turn a dataclass into dicts, lists and plain values, as yaml and json have them."""
    if dataclasses.is_dataclass(settings):
        return {
            field.name: to_plain(getattr(settings, field.name))
            for field in dataclasses.fields(settings)
        }
    if isinstance(settings, tuple | list):
        return [to_plain(item) for item in settings]
    if isinstance(settings, bool | None):
        return settings
    if isinstance(settings, Integral):  # NumPy's too, which yaml cannot write
        return int(settings)
    if isinstance(settings, Real):
        return float(settings)
    return str(settings) if isinstance(settings, Path) else settings


def flatten(plain: Mapping[str, Any]) -> dict[str, Any]:
    """Write nested settings as one mapping, with dots in the names."""
    flat: dict[str, Any] = {}
    for name, value in plain.items():
        if isinstance(value, Mapping):
            flat |= {f"{name}.{k}": v for k, v in flatten(value).items()}
        else:
            flat[name] = value
    return flat


def to_flags(plain: Mapping[str, Any], prefix: str = "--") -> list[str]:
    """Write nested settings as flags; None is left out, so that the default holds.

    Settings called `kwargs` are of somebody else's function. No `Config` knows them, so they have
    no flags of their own: a mapping of them is written as words key=value.
    """
    flags: list[str] = []
    for name, value in plain.items():
        flag = prefix + str(name).replace("_", "-")
        if isinstance(value, Mapping) and re.split(r"--|\.", flag)[-1] == "kwargs":
            flags += [flag, *_pairs(value)]
        elif isinstance(value, Mapping):
            flags += to_flags(value, f"{flag}.")
        elif isinstance(value, bool):
            flags.append(flag if value else _off(flag))
        elif isinstance(value, list):
            flags += [flag, *_leaves(value)]
        elif value is not None:
            flags += [flag, str(value)]
    return flags


def to_name(title: Sequence[str], flags: Mapping[str, Any], seed: int) -> str:
    """Name a run after what was chosen for it, so that a folder can be called so.

    Args:
        title: words that it begins with.
        flags: names of flags, without dashes in front -> values.
        seed: of the run.
    """
    words = [word(flag.split(".")[-1], value) for flag, value in flags.items()]
    return re.sub(r"[^\w.,=+-]+", "-", "_".join([*title, *words, f"seed-{seed}"]))


def word(flag: str, value: Any, between: str = "-") -> str:
    """Write a flag and its value as a part of a name or, with a blank `between`, of a title."""
    if isinstance(value, bool):
        return flag if value else f"no-{flag}"
    if isinstance(value, list):
        value = "+".join(map(str, value))
    return f"{flag}{between}{value}"


def read_yaml(path: Path) -> dict[str, Any]:
    """Read a yaml file of settings.

    Raises:
        UserError: if there is no such file, or it is not a mapping.
    """
    try:
        content = parse_yaml(path.read_text("utf-8-sig"))  # some editors mark their files
    except OSError as error:
        raise UserError(
            f"cannot read {path}: {error.strerror}. Give an existing yaml file."
        ) from None
    except ValueError as error:
        raise UserError(f"{path} is not valid yaml: {' '.join(str(error).split())}.") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no settings: write lines such as 'steps: 1000000'.")
    return content


def parse_yaml(text: str) -> Any:
    """Read yaml, of which no more is settings than a person would write.

    Raises:
        ValueError: if it is none, or too much.
    """
    try:
        content = yaml.safe_load(text)
    except Exception as error:  # what it says of a wrong tag may be of any kind
        raise ValueError(str(error) or type(error).__name__) from None
    demand_few(content)
    return content


MOST_SETTINGS = 10_000
"""In one file. An alias of yaml counts as often as it is used: nine of nine would be endless."""
MOST_DEPTH = 20


def demand_few(content: Any) -> None:
    """Raise ValueError if nested settings are more or deeper than any use of them, or hold NUL."""
    waiting = [(content, 1)]
    for count in itertools.count(1):
        if not waiting:
            return
        part, depth = waiting.pop()
        if count > MOST_SETTINGS or depth > MOST_DEPTH:
            raise ValueError(
                f"it has over {MOST_SETTINGS:,} settings, or over {MOST_DEPTH} levels of them"
            )
        if isinstance(part, str) and "\0" in part:
            raise ValueError(f"it holds {part[:80]!r}, and no name or word has a \\0")
        if isinstance(part, Mapping | list):
            parts = (*part, *part.values()) if isinstance(part, Mapping) else part
            waiting += [(inner, depth + 1) for inner in parts]


def write_yaml(path: Path, plain: Mapping[str, Any]) -> None:
    """Write settings as yaml, in the order they have."""
    write_text(path, yaml.safe_dump(dict(plain), sort_keys=False))


def _leaves(items: Iterable[Any]) -> list[str]:
    """List the leaves of nested lists as strings, those of mappings as words key=value."""
    leaves: list[str] = []
    for item in items:
        if isinstance(item, Mapping):
            leaves += _pairs(item)
        else:
            leaves += _leaves(item) if isinstance(item, list) else [str(item)]
    return leaves


def _pairs(plain: Mapping[str, Any]) -> list[str]:
    """Write each entry as key=value, the value as yaml has it in one line."""
    pairs: list[str] = []
    for key, value in plain.items():
        # In a list of its own, since yaml marks the end of what stands alone.
        text = yaml.safe_dump([value], default_flow_style=True, width=math.inf, allow_unicode=True)
        pairs.append(f"{key}={text.strip()[1:-1]}")
    return pairs


def _first_sentence(boxed: str) -> str:
    """Return what tyro's error box says above its rule, as one line."""
    lines = [line.strip("│╭╮╰╯─ ") for line in boxed.splitlines()[1:]]
    lines = ["" if set(line) == {"-"} else line for line in lines]
    while lines and not lines[0]:
        lines.pop(0)
    return " ".join(lines[: lines.index("")] if "" in lines else lines)


def _plainly(sentence: str) -> str:
    """Say plainly what tyro says of a value: the flag, the value, and where to look."""
    found = re.fullmatch(r"Error parsing ([^:]+): (.*)", sentence)
    if found is None:
        return sentence
    what, why = found.groups()
    if not what.startswith("--"):
        return why  # a dataclass refused a value, in words of ours
    values = re.search(r"\[(.*)\]$|with base 10: (.*)$|to float: (.*)$", why)
    if values is None:
        return f"{what}: {why}"
    given = " ".join(re.findall(r"'([^']*)'", values.group(0)))
    return f"cannot read {what} {given}: give values of the kind that its help names."


def _flags(settings: type, prefix: str = "--") -> dict[str, bool]:
    """Map the flags of a dataclass to whether each is a switch."""
    flags: dict[str, bool] = {}
    for field in dataclasses.fields(settings):
        name = prefix + field.name.replace("_", "-")
        given = field.default
        kind = field.default_factory if given is dataclasses.MISSING else type(given)
        flags |= (
            _flags(kind, f"{name}.") if dataclasses.is_dataclass(kind) else {name: kind is bool}
        )
    return flags
