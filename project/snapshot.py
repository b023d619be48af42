"""A project as it stands at one moment: settings, files, fingerprint."""

from __future__ import annotations

from pathlib import Path

from ..core.home import Home
from .contents import read_contents
from .files import ProjectFile, list_files
from .fingerprint import combine
from .secret_files import refuse_secrets
from .settings import Settings, load


class Project:
    """What every step of one run works on.

    A plain class on purpose: Prefect walks through dataclasses and lists among a task's inputs, which with
    thousands of files would cost more than the step.

    Attributes:
        root: The project's folder.
        settings: From `[tool.vertex-training]` and defaults.
        files: What goes into the image, sorted by path.
        fingerprint: Of the files' content and the settings, hexadecimal; independent of place and time.
    """

    __slots__ = ("files", "fingerprint", "root", "settings")

    def __init__(self, root: Path, settings: Settings, files: tuple[ProjectFile, ...], digest: str) -> None:
        self.root = root
        self.settings = settings
        self.files = files
        self.fingerprint = digest

    @classmethod
    def open(cls, folder: Path, home: Home) -> Project:
        """Reads the project in `folder`.

        Raises:
            ProjectError: The folder, its settings, its script or one of its files can't be used; a file
                looks like a secret.
        """
        root = folder.expanduser().absolute()
        settings = load(root)
        files = list_files(root, settings)
        contents = read_contents(files, root, cache=home.cache)
        refuse_secrets(files, contents.findings, settings)
        return cls(root, settings, files, combine(files, contents.digests, settings))

    def __repr__(self) -> str:
        return f"Project({self.settings.name}, {len(self.files)} files, {self.fingerprint[:12]})"
