"""A project as it stands at one moment: settings, files, fingerprint."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from ..core.home import Home
from .files.contents import read_contents
from .files.fingerprint import combine
from .files.listing import scan
from .files.project_file import ProjectFile
from .files.size_report import Context
from .secret_policy import refuse_secrets
from .settings.settings import Settings, load


class Project:
    """What every step of one run works on.

    A plain class on purpose: Prefect walks through dataclasses and lists among a task's inputs, which with
    thousands of files would cost more than the step.

    Attributes:
        root: The project's folder.
        settings: From `[tool.vertex-training]` and defaults.
        files: What goes into the image, sorted by path.
        fingerprint: Of the files' content and the settings, hexadecimal; independent of place and time.
        context: How much goes into the image, the ten largest files, and what was left out for its size.
    """

    __slots__ = ("context", "files", "fingerprint", "root", "settings")

    def __init__(
        self, root: Path, settings: Settings, files: tuple[ProjectFile, ...], digest: str, context: Context
    ) -> None:
        self.root = root
        self.settings = settings
        self.files = files
        self.fingerprint = digest
        self.context = context

    @classmethod
    def open(
        cls,
        folder: Path,
        home: Home,
        *,
        size_limit_mb: float | None = None,
        adjust: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Project:
        """Reads the project in `folder`.

        Args:
            folder: The project's.
            home: Where caches lie.
            size_limit_mb: Megabytes (10^6 bytes) that all files may have; None for the settings' own.
            adjust: Returns the settings with what this run changes in them; called before anything is read by them.

        Raises:
            ProjectError: The folder, its settings, its script or one of its files can't be used; a file
                looks like a secret.
        """
        root = folder.expanduser().absolute()
        settings = adjust(load(root))
        if size_limit_mb:
            settings = replace(settings, size_limit_mb=size_limit_mb)
        files, left_out = scan(root, settings)
        contents = read_contents(files, root, cache=home.cache)
        refuse_secrets(files, contents.findings, settings)
        return cls(root, settings, files, combine(contents.tree, settings), Context.of(files, left_out))

    def __repr__(self) -> str:
        return f"Project({self.settings.name}, {len(self.files)} files, {self.fingerprint[:12]})"
