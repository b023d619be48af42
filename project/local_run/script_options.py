"""The options of a script, from the source that declares them and from its `--help`."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

_DECLARING_CALLS = {"add_argument", "option", "Option", "Argument"}
_ABSL_CALLS = {"DEFINE_integer", "DEFINE_float", "DEFINE_string"}
_WITHOUT_VALUE = {"store_true", "store_false", "store_const", "count", "help", "version", "append_const"}
_PARSING = re.compile(rb"arg[pv]|Argument|\bclick\b|\btyper\b|\babsl\b|\bfire\b|\btyro\b|cyclopts|hydra|docopt|CLI\b")
"""Matches a file that parses arguments, with any of the common libraries."""
_HELP_OPTION = re.compile(r"(?<![\w-])(--[A-Za-z][\w.-]*\w)(\])?")
_LONG_WITH_ONE_DASH = re.compile(r"(?<![\w-])(-[A-Za-z][\w-]*\w)[ =](?:<?[A-Z][A-Z0-9_]*|\d+)\b")
_SWITCH = re.compile(r"(--[A-Za-z][\w-]*\w) ?/ ?--no-")
"""An option of click and typer that is switched on or off."""
_SHORT_WITH_NAME = re.compile(r"(?<![\w-])(-[A-Za-z])[ =]<?([A-Z][A-Z0-9_]+)\b")
_YAML_KEY = re.compile(r"^(?P<indent> *)(?P<key>[A-Za-z_][\w-]*):(?P<value>.*)$")
_SUBCOMMANDS = re.compile(r"\{(\w[\w-]*(?:,\w[\w-]*)*)\} \.\.\.")
_COMMANDS = re.compile(r"^\W*(?:(?:Sub)?Commands:?|COMMANDS|COMMAND is one of the following:?)\W*$")
_USAGE = re.compile(r"^\W*(?:usage:|SYNOPSIS$)", re.IGNORECASE)
_ABSL_HELP = re.compile(r"^Try --helpfull")
_HYDRA = "Override anything in the config"


@dataclass(frozen=True)
class Options:
    """What a script takes.

    Attributes:
        flags: Each option that takes a value, by its name: `--num-epochs` or `-e` gives `num_epochs`.
        positional: Names of the positional arguments, in order.
        defaults: Default texts by option.
        keys: Keys of a Hydra configuration, with dots; they are set as `key=value`.
        commands: Names of the subcommands, of which a run needs one.
    """

    flags: Mapping[str, str] = field(default_factory=dict)
    positional: tuple[str, ...] = ()
    defaults: Mapping[str, str] = field(default_factory=dict)
    keys: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()

    def with_help(self, shown: Options, imported: Options) -> Options:
        """These options and those that `--help` shows.

        Args:
            shown: From `--help`.
            imported: What the script's imports declare; it counts where `--help` shows it too.
        """
        known = {flag: name for flag, name in imported.flags.items() if flag in shown.flags}
        return Options(
            {**shown.flags, **known, **self.flags},
            self.positional or imported.positional,
            {**imported.defaults, **self.defaults},
            shown.keys,
            shown.commands,
        )


def plain_name(flag: str) -> str:
    """An option's or key's name in one spelling: `--trainer.max-epochs` gives `max_epochs`."""
    return flag.lstrip("-").lower().replace("-", "_").rpartition(".")[2]


def may_parse_flags(sources: Iterable[Path]) -> bool:
    """Whether any of the Python files parses arguments; a script that doesn't would start to train on `--help`."""
    return any(_PARSING.search(source.read_bytes()) for source in sources if source.suffix == ".py")


def declared_options(sources: Iterable[Path]) -> Options:
    """The options that sources declare with argparse, click, typer or absl; the first source counts first."""
    flags: dict[str, str] = {}
    defaults: dict[str, str] = {}
    positional: list[str] = []
    for source in sources:
        for call in (node for node in _nodes(source) if isinstance(node, ast.Call)):
            for flag, name in _flags(call):
                flags.setdefault(flag, name)
                default = _keyword(call, "default")
                if isinstance(default, str):
                    defaults.setdefault(flag, default)
            positional += _positional(call)
    return Options(flags, tuple(positional), defaults)


def declared_values(sources: Iterable[Path]) -> dict[str, str | int | float | bool]:
    """The default values of options that sources declare, numbers as numbers, by the option's name without dashes."""
    found: dict[str, str | int | float | bool] = {}
    for source in sources:
        for call in (node for node in _nodes(source) if isinstance(node, ast.Call)):
            default = _keyword(call, "default")
            if isinstance(default, (str, int, float)):
                for flag, _ in _flags(call):
                    found.setdefault(flag.lstrip("-"), default)
    return found


def help_options(lines: Iterable[str]) -> Options:
    """The options in the output of a script's `--help`, and the keys of the configuration that Hydra's shows."""
    lines = list(lines)
    flags: dict[str, str] = {}
    valueless: set[str] = set()
    for line in lines:
        for flag, end in _HELP_OPTION.findall(line):
            flags.setdefault(flag, plain_name(flag))
            if end:  # argparse's usage: [--resume] takes no value, [--epochs EPOCHS] does
                valueless.add(flag)
        valueless.update(_SWITCH.findall(line))
        for flag in _LONG_WITH_ONE_DASH.findall(line):
            flags.setdefault(flag, plain_name(flag))
        for flag, name in _SHORT_WITH_NAME.findall(line):
            flags.setdefault(flag, name.lower())
    keys = tuple(_yaml_keys(lines)) if any(_HYDRA in line for line in lines) else ()
    taking = {flag: name for flag, name in flags.items() if flag not in valueless}
    return Options(taking, keys=keys, commands=commands_in(lines))


def is_help(lines: Iterable[str], code: int | None) -> bool:
    """Whether the output of `--help` is one: absl's ends with exit code 1."""
    return code == 0 or (code == 1 and any(_ABSL_HELP.match(line) for line in lines))


def shows_usage(lines: Iterable[str]) -> bool:
    """Whether lines of output are, or end with, how the script is to be called."""
    return any(_USAGE.match(line) for line in lines)


def commands_in(lines: Iterable[str]) -> tuple[str, ...]:
    """The subcommands that a usage or a help page names, as argparse, click, typer and fire write them."""
    lines = list(lines)
    if found := _SUBCOMMANDS.search(" ".join(line.strip() for line in lines)):
        return tuple(found[1].split(","))
    head = next((at for at, line in enumerate(lines) if _COMMANDS.match(line)), len(lines))
    names: list[str] = []
    for line in lines[head + 1 :]:
        name = re.match(r"^\W{2,}([a-z][\w-]*)(?=\W|$)", line)
        if name:
            names.append(name[1])
        elif names:
            break
    return tuple(names)


def texts_of(script: Path) -> list[str]:
    """All string literals in a script."""
    return [node.value for node in _nodes(script) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _nodes(script: Path) -> Iterator[ast.AST]:
    try:
        return ast.walk(ast.parse(script.read_bytes()))
    except (OSError, SyntaxError, ValueError, RecursionError):
        return iter(())  # the run itself will report it


def _called(call: ast.Call) -> tuple[str, list[str]]:
    """The called function's name and its arguments that are texts."""
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    return name, [item.value for item in call.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]


def _keyword(call: ast.Call, name: str) -> object:
    value = next((word.value for word in call.keywords if word.arg == name), None)
    return value.value if isinstance(value, ast.Constant) else None


def _flags(call: ast.Call) -> Iterator[tuple[str, str]]:
    function, texts = _called(call)
    if function in _ABSL_CALLS and texts:
        yield f"--{texts[0]}", plain_name(texts[0])
    if function not in _DECLARING_CALLS:
        return
    if _keyword(call, "action") in _WITHOUT_VALUE or _keyword(call, "is_flag") is True:
        return
    long = [text for text in texts if text.startswith("--")]
    yield from ((text, plain_name(text)) for text in long)
    name = _keyword(call, "dest")
    for text in texts if not long else ():
        if text.startswith("-") and (isinstance(name, str) or len(text) > 2):
            yield text, plain_name(name if isinstance(name, str) else text)


def _positional(call: ast.Call) -> Iterator[str]:
    function, texts = _called(call)
    if function in {"add_argument", "argument"} and len(texts) == 1 and not texts[0].startswith("-"):
        yield texts[0]


def _yaml_keys(lines: Iterable[str]) -> Iterator[str]:
    """The dotted keys of the values in a configuration as YAML."""
    above: list[tuple[int, str]] = []
    for line in lines:
        match = _YAML_KEY.match(line)
        if not match:
            continue
        indent = len(match["indent"])
        above = [(depth, key) for depth, key in above if depth < indent]
        if match["value"].strip():
            yield ".".join([*(key for _, key in above), match["key"]])
        else:
            above.append((indent, match["key"]))
