"""Files that the script asks for and that the project's ignore rules leave out: they are missing in the cloud too."""

from __future__ import annotations

import os
import shutil
from collections.abc import Collection, Iterable, Iterator, Mapping
from pathlib import Path

from ..files.ignore import is_left_out_always
from ..files.large_data import is_data
from ..settings.data_settings import proposed_name
from .places.named_files import named_files

_SHOWN = 3
_NO_PLACES = ("/dev/", "/proc/", "/sys/", "/gcs/")
"""Where no file of a disk lies, and the buckets."""
_LONGEST = 200
"""Characters of a text that may be a path."""


class AskedFiles:
    """Collects what the Python processes of a local run ask for in vain.

    Args:
        folder: A folder for the hook and its record; made if it is missing.
        copy: The copy of the project in which the script runs.
        root: The project's folder.
    """

    def __init__(self, folder: Path, copy: Path, root: Path) -> None:
        self._folder, self._copy, self._root = folder, copy, root
        folder.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(Path(__file__).with_name("asked_files_hook.py"), folder / "sitecustomize.py")
        (folder / "root").write_text(str(copy), encoding="utf-8")

    def variables(self, env: Mapping[str, str]) -> dict[str, str]:
        """The environment with the hook on Python's path."""
        return {**env, "PYTHONPATH": os.pathsep.join(filter(None, (str(self._folder), env.get("PYTHONPATH"))))}

    def left_out(self, files: Collection[str], texts: Iterable[str] = ()) -> tuple[str, ...]:
        """The files that exist in the project and not in the image, sorted; a folder ends in "/".

        What the script made itself is not among them.

        Args:
            files: Paths of the files in the image.
            texts: The texts in the script; one that is the path of a file counts as asked for.
        """
        found = {path for asked in self._asked() for path in self._existing(asked)}
        found |= {text for text in texts if self._is_file(text)}
        return tuple(sorted(path for path in found if path not in files and self._is_missing(path)))

    def made_outside(self, inside: Collection[Path], texts: Iterable[str] = (), since: float = 0.0) -> tuple[str, ...]:
        """The files that the script wrote elsewhere and that are still there, as it may name them; sorted.

        Known are those that Python's own `open` wrote, and those whose path or name is a text of the script: libraries
        in C and C++ open files that Python doesn't hear of. Files of tools, in folders whose name begins with a dot or
        an underscore, are not among them.

        Args:
            inside: Folders that belong to the run.
            texts: The texts in the script, and its arguments.
            since: When the script was started, seconds since 1970.
        """
        named = named_files(texts, self._copy, since)
        found = (self._shown(path, inside) for path in dict.fromkeys([*map(Path, self._lines("made")), *named]))
        return tuple(dict.fromkeys(filter(None, found)))

    def _shown(self, path: Path, inside: Collection[Path]) -> str | None:
        """How the script may name a file outside; None for one that belongs to the run or to a tool."""
        own = any(path.is_relative_to(folder) for folder in (*inside, self._folder, self._copy))
        if own or str(path).startswith(_NO_PLACES) or not path.is_file():
            return None
        shown = os.path.relpath(path, self._copy) if path.is_relative_to(self._copy.parent) else str(path)
        return None if any(part[:1] in "._" for part in Path(shown.replace("../", "")).parts) else shown

    def addresses(self) -> tuple[str, ...]:
        """The URLs and hosts of the network that the processes asked for, in their order."""
        return tuple(self._lines("addresses"))

    def _asked(self) -> list[str]:
        return [os.path.normpath(line) + ("/" if line.endswith("/") else "") for line in self._lines("asked")]

    def _lines(self, name: str) -> list[str]:
        try:
            return (self._folder / name).read_text(encoding="utf-8", errors="surrogateescape").splitlines()
        except FileNotFoundError:
            return []

    def _existing(self, asked: str) -> Iterator[str]:
        """The path in the project; for a folder that the image has too, the files in it."""
        path = self._root / asked
        if not path.is_dir():
            if path.is_file() and not asked.endswith("/"):
                yield asked
        elif not (self._copy / asked).is_dir():
            yield asked.rstrip("/") + "/"
        elif asked.endswith("/") and asked != "./":
            yield from (f"{asked}{entry.name}" for entry in path.iterdir() if entry.is_file())

    def _is_file(self, text: str) -> bool:
        if not text or len(text) > _LONGEST or not text.isprintable() or os.path.normpath(text) != text:
            return False
        return not text.startswith(("/", "..")) and (self._root / text).is_file()

    def _is_missing(self, path: str) -> bool:
        return not is_left_out_always(path) and not (self._copy / path).exists()


def why(asked: Collection[str]) -> tuple[str, str]:
    """What the script asks for, and the setting that takes it along."""
    shown = list(asked)[:_SHOWN]
    more = f" and {len(asked) - len(shown)} more" if len(asked) > len(shown) else ""
    setting = ", ".join(f'"/{path}"' for path in shown)
    reason = f"it asks for {', '.join(shown)}{more}, which the project's ignore rules leave out"
    if is_data(shown[0]):
        line = f'{proposed_name(shown[0])} = "{shown[0]}"'
        data = f"Add {line} under [tool.vertex-training.data], which brings it to the job"
        return reason, f"{data}, or include = [{setting}] under [tool.vertex-training], which puts it into the image"
    return reason, f"Add include = [{setting}] under [tool.vertex-training], or read it from a bucket"


def warning(asked: Collection[str]) -> list[str]:
    """One line for a run that succeeded without the files; none without such files."""
    if not asked:
        return []
    reason, step = why(asked)
    return [f"{reason}, so the job won't have it. {step}"]
