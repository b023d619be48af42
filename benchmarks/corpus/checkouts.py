"""Checkouts of training repositories, and the settings with which each is run."""

from __future__ import annotations

import json
import shutil
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

MOST_SETTINGS = 3


@dataclass(frozen=True, slots=True)
class Checkout:
    """A training repository on this machine.

    Attributes:
        folder: The checkout.
        subfolder: The project's folder inside it; empty for all of it.
        settings: What is written under [tool.vertex-training], at most three keys.
        args: The run's arguments.
        seconds: How long the run may take.
        environment: The virtual environment that is activated; empty for none.
    """

    folder: Path
    subfolder: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    args: tuple[str, ...] = ()
    seconds: float = 900.0
    environment: str = ""

    def __post_init__(self) -> None:
        if len(self.settings) > MOST_SETTINGS:
            raise SystemExit(f"{self.name}: {len(self.settings)} settings, and {MOST_SETTINGS} are allowed")

    @property
    def name(self) -> str:
        """The checkout's folder and the project's in it."""
        return f"{self.folder.name}/{self.subfolder}".rstrip("/")

    def copy(self, target: Path) -> Path:
        """Copies the checkout and adds the settings; returns the project's folder."""
        shutil.copytree(self.folder, target, symlinks=True)
        project = target / self.subfolder
        if self.settings:
            add_settings(project / "pyproject.toml", self.settings)
        return project


def add_settings(file: Path, settings: Mapping[str, Any]) -> None:
    """Adds keys that it lacks to the table [tool.vertex-training] of a pyproject.toml, which is made if needed."""
    header = "[tool.vertex-training]"
    before = file.read_text(encoding="utf-8") if file.exists() else ""
    start, found, rest = before.partition(f"{header}\n")
    lines = [f"{key} = {_toml(value)}" for key, value in settings.items()]
    file.write_text("\n".join([start, header, *lines, rest if found else ""]), encoding="utf-8")


def parse_setting(text: str) -> tuple[str, Any]:
    """`KEY=VALUE`, the value in TOML; what is no TOML is a text."""
    key, equals, value = text.partition("=")
    if not equals:
        raise SystemExit(f"--setting {text}: write KEY=VALUE")
    try:
        return key.strip(), tomllib.loads(f"value = {value}")["value"]
    except tomllib.TOMLDecodeError:
        return key.strip(), value


def read_list(file: Path) -> list[Checkout]:
    """The checkouts that a file names."""
    return [
        Checkout(
            Path(entry["folder"]),
            entry.get("subfolder", ""),
            entry.get("settings", {}),
            tuple(entry.get("args", ())),
            entry.get("seconds", 900.0),
            entry.get("environment", ""),
        )
        for entry in tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    ]


def _toml(value: Any) -> str:  # noqa: ANN401 - whatever TOML holds
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(item)}" for key, item in value.items()) + " }"
    return json.dumps(value)
