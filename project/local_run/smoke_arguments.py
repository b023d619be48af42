"""Arguments for the small workload of the local run."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...core.output_folders import model_folder
from ..settings.settings import Settings

_EPOCHS = ("--epochs", "--num-epochs", "--num_epochs", "--n-epochs", "--n_epochs", "--max-epochs", "--max_epochs",
           "--num-train-epochs", "--num_train_epochs", "--epoch")  # fmt: skip
_STEPS = ("--max-steps", "--max_steps", "--steps", "--num-steps", "--num_steps", "--train-steps", "--train_steps",
          "--max-iter", "--max_iter", "--iterations", "--num-iterations", "--num_iterations")  # fmt: skip
_DECLARING_CALLS = {"add_argument", "option", "Option", "Argument"}
_ABSL_CALLS = {"DEFINE_integer", "DEFINE_float"}
_PARSING = re.compile(rb"arg[pv]|Argument|\bclick\b|\btyper\b|\babsl\b|\bfire\b|\btyro\b|cyclopts|hydra|docopt|CLI\b")
"""Matches a file that parses arguments, with any of the common libraries."""
_OUTPUT = re.compile(
    r"^--?(?:[a-z]+[-_])*(?:model|output|out|save|checkpoint|checkpoints|ckpt|export|log|logs|logging|job"
    r"|tensorboard|result|results|artifact|artifacts|run)(?:[-_](?:dir|path|folder|directory|uri|to))?$"
)


def smoke_arguments(flags: frozenset[str], settings: Settings, args: Sequence[str], outputs: Path) -> tuple[str, ...]:
    """The arguments of the local run.

    The setting `verify-args` is used as it is. Without it the run's own arguments are used, limited to one epoch or
    step if `flags` has such a flag. Output folders in a bucket are replaced by folders in `outputs`.

    Args:
        flags: The flags of the script.
        settings: The project's settings.
        args: The arguments of the run.
        outputs: The folder for what the local run writes.
    """
    if settings.verify_args is not None:
        chosen = list(settings.verify_args)
    else:
        chosen = list(args)
        for family in (_EPOCHS, _STEPS):
            flag = next((flag for flag in family if flag in flags), None)
            chosen += [flag, "1"] if flag else []
    if settings.model_dir_argument:
        chosen += [settings.model_dir_argument, model_folder(str(outputs))]
    return tuple(_redirected(chosen, outputs, settings))


def needs_help(declared: frozenset[str], settings: Settings) -> bool:
    """Whether only the script's own `--help` can show a flag that limits its work."""
    return settings.verify_args is None and declared.isdisjoint((*_EPOCHS, *_STEPS))


def may_parse_flags(sources: Iterable[Path]) -> bool:
    """Whether any of the Python files parses arguments; a script that doesn't would start to train on `--help`."""
    return any(_PARSING.search(source.read_bytes()) for source in sources if source.suffix == ".py")


def help_flags(lines: Iterable[str]) -> frozenset[str]:
    """The flags in the output of a script's `--help`."""
    return frozenset(flag for line in lines for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", line))


def declared_flags(script: Path) -> frozenset[str]:
    """The flags that a script declares with argparse, click, typer or absl, found in its source."""
    return frozenset(flag for node in _nodes(script) if isinstance(node, ast.Call) for flag in _flags(node))


def texts_of(script: Path) -> list[str]:
    """All string literals in a script."""
    return [node.value for node in _nodes(script) if isinstance(node, ast.Constant) and isinstance(node.value, str)]


def _nodes(script: Path) -> Iterator[ast.AST]:
    try:
        return ast.walk(ast.parse(script.read_bytes()))
    except (OSError, SyntaxError, ValueError):
        return iter(())  # the run itself will report it


def _flags(call: ast.Call) -> Iterator[str]:
    function = call.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    texts = [item.value for item in call.args if isinstance(item, ast.Constant) and isinstance(item.value, str)]
    if name in _DECLARING_CALLS:
        yield from (text for text in texts if text.startswith("--"))
    elif name in _ABSL_CALLS and texts:
        yield f"--{texts[0]}"


def _redirected(args: Sequence[str], outputs: Path, settings: Settings) -> Iterator[str]:
    """The arguments with output folders in a bucket replaced by local ones."""
    flag = ""
    for argument in args:
        name, equals, value = argument.partition("=") if argument.startswith("-") else (flag, "", argument)
        if _in_bucket(value) and (_OUTPUT.match(name.lower()) or name == settings.model_dir_argument):
            folder = outputs / name.strip("-").replace("_", "-")
            yield f"{name}={folder}" if equals else str(folder)
        else:
            yield argument
        flag = argument if argument.startswith("-") else ""


def _in_bucket(value: str) -> bool:
    return value.startswith(("gs://", "/gcs/"))
