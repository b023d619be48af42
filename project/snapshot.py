"""A project at one moment: settings, files, fingerprint and dependency list."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..core.home import Home
from .files.contents import read_contents
from .files.fingerprint import combine
from .files.lfs_pointer import refuse_pointers
from .files.listing import scan
from .files.notebook_script import with_notebook_script
from .files.own_metadata import with_own_metadata
from .files.project_file import ProjectFile
from .files.size_report import SizeReport
from .files.submodules import refuse_empty_submodules
from .git import refusal
from .run_secrets import refuse_secrets_of
from .secret_policy import refuse_secrets
from .settings.settings import Settings, load

if TYPE_CHECKING:
    from .dependencies.formats.requirements_txt import Requirements


class Project:
    """The input of every step of a run.

    This is not a dataclass because Prefect searches dataclasses and lists among a task's inputs for results of other
    tasks; with thousands of files that would take longer than the step.

    Attributes:
        root: The project's folder.
        settings: From `[tool.vertex-training]`, the run's own choices and defaults.
        files: The files that go into the image, sorted by path.
        fingerprint: Hash of the files' content and the settings, hexadecimal; the same on every machine.
        size_report: Number and size of the files, the ten largest, and the large data that was left out.
    """

    __slots__ = ("_dependencies", "files", "fingerprint", "root", "settings", "size_report")

    def __init__(
        self, root: Path, settings: Settings, files: tuple[ProjectFile, ...], digest: str, size_report: SizeReport
    ) -> None:
        self.root = root
        self.settings = settings
        self.files = files
        self.fingerprint = digest
        self.size_report = size_report
        self._dependencies: Requirements | None = None

    @classmethod
    def open(
        cls,
        folder: Path,
        home: Home | None = None,
        *,
        size_limit_mb: float | None = None,
        adjust: Callable[[Settings], Settings] = lambda settings: settings,
    ) -> Project:
        """Reads the project in `folder`.

        Args:
            folder: The project's folder.
            home: The folder that holds the caches. Default: `VERTEX_TRAINING_HOME`.
            size_limit_mb: Megabytes (10^6 bytes) that all files may have; None takes the limit of the settings.
            adjust: Returns the settings with the run's own choices; called before anything is read by them.

        Raises:
            ProjectError: The folder, its settings, its script or one of its files can't be used, a file or a setting
                looks like a secret, or git has not fetched a large file or a submodule.
        """
        home = home or Home.default()
        root = folder.expanduser().absolute()
        settings = adjust(load(root))
        if size_limit_mb:
            settings = replace(settings, size_limit_mb=size_limit_mb)
        refuse_secrets_of(settings)
        files, left_out = scan(root, settings)
        refuse_empty_submodules(root, settings)
        contents = read_contents(files, root, cache=home.cache)
        refuse_pointers(contents.lfs_pointers, root)
        refuse_secrets(files, contents.findings, settings)
        listed = {file.path for file in files}
        files = with_own_metadata(with_notebook_script(files, settings, home.cache), settings, home.cache)
        made = {file.path: Path(file.location).stem for file in files if file.path not in listed}
        digest = combine(contents.tree, settings, made)
        return cls(root, settings, files, digest, SizeReport.of(files, left_out))

    @property
    def dependencies(self) -> Requirements:
        """The project's dependency list; read on first use, so that all steps work on the same list.

        Raises:
            DependencyError: The list is missing or can't be read.
        """
        if self._dependencies is None:
            from .dependencies.find_list import read

            self._dependencies = read(self.root, self.settings)
        return self._dependencies

    def lines(self) -> Iterator[str]:
        """What the run says of the project: sizes, what was left out, and a git repository that can't be read."""
        yield from self.size_report.lines()
        if reason := refusal(self.root):
            yield f"warning: {reason}"

    def __repr__(self) -> str:
        return f"Project({self.settings.name}, {len(self.files)} files, {self.fingerprint[:12]})"
