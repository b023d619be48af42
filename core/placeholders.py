"""Placeholders such as `{model-dir}` and references such as `$(NAME)` in arguments, commands and variables.

Placeholders have the names in `NAMES`, or are `data.NAME` and `data-uri.NAME` of a data set; `{{model-dir}}` is the
literal `{model-dir}`, and all other braces stay as they are. References are Vertex AI's own, with the
rules of Kubernetes:
https://kubernetes.io/docs/tasks/inject-data-application/define-interdependent-environment-variables/
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .output_folders import CHECKPOINTS, LOGS, MODEL

_FOLDERS = {"model": MODEL, "checkpoint": CHECKPOINTS, "log": LOGS}
NAMES = tuple(f"{kind}-{form}" for kind in _FOLDERS for form in ("dir", "uri"))

_NAMES = rf"{'|'.join(NAMES)}|data(?:-uri)?\.[A-Za-z][A-Za-z0-9_-]*"
_PLACEHOLDER = re.compile(rf"\{{\{{({_NAMES})\}}\}}|\{{({_NAMES})\}}")
_REFERENCE = re.compile(r"\$\$|\$\(([^)]*)\)")


def folder_values(path: str, uri: str) -> dict[str, str]:
    """The value of each placeholder.

    Args:
        path: The run's output as a path: `/gcs/BUCKET/PREFIX` in a job, a folder in the local run.
        uri: The run's output as `gs://BUCKET/PREFIX`; the same folder in the local run.
    """
    roots = {"dir": path.rstrip("/"), "uri": uri.rstrip("/")}
    return {f"{kind}-{form}": f"{root}/{name}" for kind, name in _FOLDERS.items() for form, root in roots.items()}


def data_values(paths: Mapping[str, str], uris: Mapping[str, str]) -> dict[str, str]:
    """The values of the placeholders of data sets.

    Args:
        paths: Where the script opens each, by its name.
        uris: Where each lies in a bucket, by its name.
    """
    values = {f"data.{name}": path for name, path in paths.items()}
    return values | {f"data-uri.{name}": uri for name, uri in uris.items()}


def has_placeholder(text: str) -> bool:
    """Whether `fill` would change the text."""
    return _PLACEHOLDER.search(text) is not None


def fill(text: str, values: Mapping[str, str]) -> str:
    """The text with its placeholders replaced by the values from `folder_values`."""
    return _PLACEHOLDER.sub(lambda match: f"{{{match[1]}}}" if match[1] else values.get(match[2], match[0]), text)


def fill_all(texts: Iterable[str], values: Mapping[str, str]) -> list[str]:
    """Several texts, each with its placeholders replaced."""
    return [fill(text, values) for text in texts]


def expand(text: str, env: Mapping[str, str]) -> str:
    """Replaces `$(NAME)` by the variable's value; unknown names stay as they are, and `$$` becomes `$`."""

    def value(match: re.Match[str]) -> str:
        return "$" if match[0] == "$$" else env.get(match[1], match[0])

    return _REFERENCE.sub(value, text)


def expand_variables(given: Mapping[str, str], own: Mapping[str, str]) -> dict[str, str]:
    """The given variables, then one's own; each of these may refer to those before it."""
    env = dict(given)
    for name, text in own.items():
        env[name] = expand(text, env)
    return env
