"""Values of secrets: of a job's variables, read when it is submitted, and of a build; never stored."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from prefect.blocks.system import Secret

from .core.errors import ProjectError
from .core.security.masked_text import mask_from_now_on
from .core.security.secret_sources import SecretSource
from .prefect_private import load_saved
from .runtime import secret_variables
from .vertex.job_types import JobRequest

_SETTING = "secret-env"


def job_variables(sources: Mapping[str, SecretSource], *, local: bool) -> tuple[dict[str, str], dict[str, str]]:
    """What a job gets of its secret variables.

    Args:
        sources: The source of each variable.
        local: Whether the job runs on this machine, where a variable that is set here takes the place of Secret
            Manager, which this machine may have no account for.

    Returns:
        The values that are set in the job, and the versions in Secret Manager that the job reads by itself.

    Raises:
        ProjectError: A value can't be had.
    """
    versions = {
        name: source.name
        for name, source in sources.items()
        if source.kind == "secret-manager" and not (local and os.environ.get(name))
    }
    values = {name: _value(name, source, local=local) for name, source in sources.items() if name not in versions}
    mask_from_now_on(values.values())
    return values, versions


def with_secret_values(request: JobRequest, *, local: bool) -> JobRequest:
    """The request as it is sent: with the values, and with what the runtime in the image needs to know of them."""
    if not request.secret_env:
        return request
    values, versions = job_variables(request.secret_env, local=local)
    listed = secret_variables.encode({name: versions.get(name, "") for name in request.secret_env})
    # Vertex AI expands `$(NAME)` and `$$` in values.
    escaped = {name: value.replace("$", "$$") for name, value in values.items()}
    return replace(request, env={**request.env, **listed, **escaped}, secret_env={})


def local_values(sources: Mapping[str, SecretSource], log: Callable[[str], object]) -> dict[str, str]:
    """The values for the local run; what only a job can read is left out, and `log` is told so."""
    values, versions = job_variables(sources, local=True)
    for name in versions:
        log(
            f"{name} is left out of the local run, because only the job reads it from Secret Manager. To have it here,"
            f" set {name} in this run's environment"
        )
    return values


_LARGEST = 500 << 10
"""Bytes of a build's secret; BuildKit takes no more."""


def build_values(sources: Mapping[str, SecretSource], root: Path) -> dict[str, bytes]:
    """The values of the secrets that a build gets.

    Args:
        sources: The source of each, by id.
        root: The project's folder, to which paths of files are relative.

    Raises:
        ProjectError: A value can't be had.
    """
    values = {name: _build_value(name, source, root) for name, source in sources.items()}
    texts = [value.decode("utf-8", "replace").strip() for value in values.values()]
    # Of a file of settings its long lines, too, one of which a step may print.
    mask_from_now_on([*texts, *(line.strip() for text in texts for line in text.splitlines() if len(line) >= 12)])
    return values


def _build_value(name: str, source: SecretSource, root: Path) -> bytes:
    where = f"build-secrets, {name}"
    if source.kind == "block":
        value = _block_value(name, source.name, where).encode()
    elif source.kind == "env":
        value = os.environ.get(source.name, "").encode("utf-8", "surrogateescape")
        if not value:
            raise ProjectError(
                f"{name} needs the variable {source.name}, which is not set", where=where, next_step="Set it"
            )
    else:
        value = _file_value(name, root / Path(source.name).expanduser(), where)
    if len(value) > _LARGEST:
        raise ProjectError(
            f"{name} has {len(value):,} bytes, and a build takes {_LARGEST:,}",
            where=where,
            next_step="Give a part of it",
        )
    return value


def _file_value(name: str, path: Path, where: str) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        raise ProjectError(
            f"{name} can't be read from {path}: {reason}",
            where=where,
            next_step="Create that file, or name another one",
        ) from error


def _value(name: str, source: SecretSource, *, local: bool) -> str:
    value = os.environ.get(name, "") if source.kind == "secret-manager" else ""
    if source.kind == "env":
        if not local:
            raise ProjectError(
                f"{name} comes from a variable of this machine, which is meant for jobs on this machine",
                where=_SETTING,
                next_step=f'For a job in the cloud save it in a Secret block ({name} = "block:NAME") or in Secret'
                f' Manager ({name} = "secret-manager:projects/P/secrets/S/versions/latest")',
            )
        value = os.environ.get(source.name, "")
        if not value:
            raise ProjectError(
                f"{name} needs the variable {source.name}, which is not set", where=_SETTING, next_step="Set it"
            )
    if source.kind == "block":
        value = _block_value(name, source.name, _SETTING)
    if "\0" in value:
        raise ProjectError(f"the value of {name} holds a NUL character", where=str(source), next_step="Remove it")
    return value


def _block_value(name: str, block: str, where: str) -> str:
    try:
        found: Any = load_saved(Secret, block)
    except ValueError as error:
        raise ProjectError(
            f"{name} needs the Secret block {block}, which Prefect doesn't have",
            where=where,
            next_step=f"Save one of that name in Prefect's UI, or: prefect block create secret; then name it as"
            f' {name} = "block:NAME"',
        ) from error
    value = found.get()  # Prefect reads a text as JSON where it can
    if isinstance(value, str):
        return value
    text = found.value.get_secret_value()
    return text if isinstance(text, str) else json.dumps(text)
