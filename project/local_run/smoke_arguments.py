"""Arguments for the small workload of the local run."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ...core.output_folders import LiteralOutput, literal_outputs, model_folder, variable_outputs
from ...core.placeholders import expand, fill, folder_values
from ..settings.settings import Settings
from .places.data_links import placeholders
from .places.run_storage import RunStorage
from .script_options import Options, shows_usage

_EPOCHS = ("epochs", "num_epochs", "n_epochs", "max_epochs", "num_train_epochs", "epoch", "nepochs", "nb_epochs",
           "n_epoch", "nepoch", "nb_epoch", "num_epoch", "total_epochs", "train_epochs", "training_epochs",
           "epochs_num", "max_epoch", "numepochs")  # fmt: skip
_STEPS = ("max_steps", "steps", "num_steps", "train_steps", "max_iter", "iterations", "num_iterations", "max_iters",
          "n_iter", "n_iters", "niter", "niters", "num_iter", "num_iters", "iters", "max_iterations", "n_iterations",
          "total_steps", "total_iters", "training_steps", "num_train_steps", "max_train_steps", "max_step")  # fmt: skip
_TIMESTEPS = ("total_timesteps", "timesteps", "n_timesteps", "num_timesteps", "max_timesteps", "total_env_steps")
_FAMILIES = ((_EPOCHS, "1"), (_STEPS, "1"), (_TIMESTEPS, "512"))
"""Names of options that limit the work, and the value that makes it small. Of reinforcement learning's steps in an
environment, which are collected before anything is learned, one would be none."""


@dataclass(frozen=True, slots=True)
class SmokeArguments:
    """The arguments of the local run.

    Attributes:
        own: The run's own arguments, with folders of this machine for the outputs.
        added: What limits the work, behind or in place of `own`'s.
        all: Both.
        places: Folders of this machine for outputs in a bucket that the arguments or variables name.
    """

    own: tuple[str, ...]
    added: tuple[str, ...]
    all: tuple[str, ...]
    places: Mapping[LiteralOutput, Path]


def limits(options: Options) -> dict[str, str]:
    """The options, or keys of a Hydra configuration, that limit the work, each with its value."""
    found: dict[str, str] = {}
    for family, value in _FAMILIES:
        ranked = [(family.index(name), key) for key, name in _named(options) if name in family]
        if ranked:
            found[min(ranked, key=lambda pair: pair[0])[1]] = value
    return found


def _named(options: Options) -> Iterator[tuple[str, str]]:
    if options.keys:
        for key in options.keys:
            yield key, key.rpartition(".")[2].lower()
        return
    yield from options.flags.items()


def smoke_arguments(
    options: Options, settings: Settings, args: Sequence[str], storage: RunStorage, env: Mapping[str, str] | None = None
) -> SmokeArguments:
    """The arguments of the local run.

    The setting `verify-args` is used as it is. Without it the run's own arguments are used, limited to one epoch or
    step if the script has such an option. Placeholders and outputs in a bucket become folders in `outputs`.

    Args:
        options: The options of the script.
        settings: The project's settings.
        args: The arguments of the run.
        storage: The place for what the local run writes.
        env: The script's variables, for `$(NAME)` in arguments.
    """
    fixed = settings.verify_args is not None
    values = {**folder_values(storage.path, storage.uri), **placeholders(settings.data)}
    chosen = [expand(fill(text, values), env or {}) for text in (settings.verify_args if fixed else args) or ()]
    if settings.model_dir_argument:
        chosen += [settings.model_dir_argument, model_folder(storage.path)]
    flags = [settings.model_dir_argument] if settings.model_dir_argument else []
    places: dict[LiteralOutput, Path] = {}
    for found in literal_outputs(chosen, options.positional, flags):
        places[found] = local_place(found, storage.outputs)
        chosen[found.position] = f"{found.before}{storage.shown(places[found], found.address)}"
    wanted = {} if fixed else limits(options)
    if options.keys:
        added = tuple(f"{key}={value}" for key, value in wanted.items())
        whole = tuple(word for word in chosen if word.lstrip("+").partition("=")[0] not in wanted) + added
    else:
        added = tuple(word for pair in wanted.items() for word in pair)
        whole = _with_options(chosen, wanted)
    return SmokeArguments(tuple(chosen), added, whole, places)


def _with_options(words: Sequence[str], wanted: Mapping[str, str]) -> tuple[str, ...]:
    """The words with the wanted values: in place of those that are given, because docopt refuses an option twice."""
    whole = list(words)
    for flag, value in wanted.items():
        at = next((at for at, word in enumerate(whole) if word.partition("=")[0] == flag), None)
        if at is not None and "=" in whole[at]:
            whole[at] = f"{flag}={value}"
        elif at is not None and at + 1 < len(whole) and not whole[at + 1].startswith("-"):
            whole[at + 1] = value
        else:
            whole += [flag, value]
    return tuple(whole)


def redirected_variables(
    env: Mapping[str, str], storage: RunStorage
) -> tuple[dict[str, str], dict[LiteralOutput, Path]]:
    """Variables with outputs in a bucket replaced by places of the local run, and the folders of those."""
    places = {found: local_place(found, storage.outputs) for found in variable_outputs(env)}
    shown = {found.name: storage.shown(place, found.address) for found, place in places.items()}
    return {**env, **shown}, places


def local_place(output: LiteralOutput, outputs: Path) -> Path:
    """The folder, or the file in it, that stands for an output in a bucket."""
    name = output.name.lower().replace("_", "-").replace("/", "-").strip("-.")
    return outputs / name / output.file if output.file else outputs / name


def needs_help(declared: Options, settings: Settings) -> bool:
    """Whether only the script's own `--help` can show an option that limits its work."""
    return settings.verify_args is None and not limits(declared)


def refuses(lines: Iterable[str], code: int, added: Sequence[str]) -> bool:
    """Whether a failed script seems to have refused what was added to its arguments.

    Args:
        lines: Its last lines of output.
        code: Its exit code.
        added: What was added.
    """
    if not added or code < 0:
        return False
    lines = list(lines)
    if shows_usage(lines):
        return True
    names = {word.lstrip("-").partition("=")[0].rpartition(".")[2] for word in added} - {"1", "512"}
    return code == 2 or any(name in line for line in lines[-5:] for name in names)
