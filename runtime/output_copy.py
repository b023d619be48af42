"""Copies outputs to the model's folder, or beside it, so that running again gives the same result.

The file `outputs.json` beside the folders lists what was copied. It is written before the first copy: an attempt that
was killed leaves a list of all files that it may have made; the next attempt removes those that it doesn't make itself.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
from typing import Dict, Iterable, Iterator, List, Sequence

from .output_files import Output

MODEL = "model"
PARTIAL = "partial"
LISTING = "outputs.json"

Listing = Dict[str, List[str]]


class CopyFailed(Exception):
    """An output could not be copied; the message names the file, the target and the reason."""


class OutputCopy:
    """The outputs of a job beside its model's folder.

    Args:
        model: The model's folder.
        started: When this attempt started, seconds since 1970: what the script itself saved since then is kept.
    """

    def __init__(self, model: str, started: float) -> None:
        self._model = model.rstrip("/")
        self._started = started
        parent = os.path.dirname(self._model)
        self._partial = os.path.join(parent, PARTIAL)
        self._listing = os.path.join(parent, LISTING)

    def check(self) -> None:
        """Checks that the job's output folder can be written, before the script starts.

        Raises:
            CopyFailed: It can't be.
        """
        self._write(self._read())

    def save(self, outputs: Sequence[Output]) -> None:
        """Copies the outputs of a script that succeeded to the model's folder; partial ones are removed.

        Raises:
            CopyFailed: A file can't be copied. Files that were copied before it stay, for the next attempt.
        """
        listed = self._read()
        paths = [output.path for output in outputs]
        self._write({MODEL: _union(listed[MODEL], paths), PARTIAL: listed[PARTIAL]})
        self._remove(self._partial, listed[PARTIAL])
        self._remove(self._model, set(listed[MODEL]) - set(paths))
        self._copy(outputs, self._model)
        self._write({MODEL: paths, PARTIAL: []})

    def save_partial(self, outputs: Sequence[Output]) -> None:
        """Copies the outputs of a script that failed or was stopped to the folder `partial`.

        Raises:
            CopyFailed: A file can't be copied.
        """
        listed = self._read()
        paths = [output.path for output in outputs]
        self._write({MODEL: listed[MODEL], PARTIAL: _union(listed[PARTIAL], paths)})
        self._remove(self._partial, set(listed[PARTIAL]) - set(paths))
        self._copy(outputs, self._partial)
        self._write({MODEL: listed[MODEL], PARTIAL: paths})

    def _read(self) -> Listing:
        try:
            with open(self._listing, encoding="utf-8") as file:
                document = json.load(file)
            return {key: [str(path) for path in document[key]] for key in (MODEL, PARTIAL)}
        except (OSError, ValueError, KeyError, TypeError):
            return {MODEL: [], PARTIAL: []}

    def _write(self, listing: Listing) -> None:
        try:
            os.makedirs(os.path.dirname(self._listing), exist_ok=True)
            with _replaced(self._listing) as temporary, open(temporary, "w", encoding="utf-8") as file:
                json.dump(listing, file, indent=1)
        except OSError as error:
            raise CopyFailed("can't write %s: %s" % (self._listing, error.strerror)) from error

    def _copy(self, outputs: Iterable[Output], folder: str) -> None:
        for output in outputs:
            target = os.path.join(folder, output.path)
            try:
                os.makedirs(os.path.dirname(target), exist_ok=True)
                with _replaced(target) as temporary:
                    # The content alone: a mounted bucket has no modes, owners or times.
                    shutil.copyfile(output.source, temporary)
            except (OSError, shutil.Error) as error:
                reason = error.strerror if isinstance(error, OSError) else str(error)
                raise CopyFailed("can't copy %s to %s: %s" % (output.path, target, reason)) from error

    def _remove(self, folder: str, paths: Iterable[str]) -> None:
        """Removes files that an earlier attempt copied, and folders that are empty then."""
        for path in paths:
            location = os.path.join(folder, path)
            with contextlib.suppress(OSError):
                os.unlink(_temporary(location))
            with contextlib.suppress(OSError):
                if ".." not in path.split("/") and os.stat(location).st_mtime < self._started:
                    os.unlink(location)
            parent = os.path.dirname(location)
            with contextlib.suppress(OSError):
                while parent.startswith(folder):
                    os.rmdir(parent)
                    parent = os.path.dirname(parent)


@contextlib.contextmanager
def _replaced(path: str) -> Iterator[str]:
    """A temporary path that takes the place of `path` at the end: a killed copy leaves no half file under its name."""
    temporary = _temporary(path)
    try:
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temporary)
        raise


def _temporary(path: str) -> str:
    # A name may have 255 bytes; the hash keeps long names apart.
    name = os.path.basename(path)
    end = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
    return os.path.join(os.path.dirname(path), ".%s.unfinished" % end)


def _flush(path: str) -> None:
    """Waits until the content is stored: some file systems report a full disk only then."""
    handle = os.open(path, os.O_RDWR)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _union(first: Iterable[str], second: Iterable[str]) -> List[str]:
    return sorted(set(first) | set(second))
