"""Makes layers in threads; each goes into the store, and on its way to the target, as soon as it is whole."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Literal, TypeVar, cast

from ..core.errors import ImageError, RegistryError, storage_errors
from .config import OCI, layer_descriptor
from .layer import Layer
from .layout import OciLayout
from .model import Descriptor, LayerReport, Progress
from .push import KnownBlobs
from .registry import Repository
from .target import ImageTarget, OpenBody

T = TypeVar("T")

_UNASKED = 256 * 1024  # bytes below which sending a blob made now costs less than asking for it
_THREADS = 8  # most wait for a network; `workers` of them compute


class Workshop:
    """What the parts of one build share.

    Leaving the block waits for what runs; after an error, what hasn't begun doesn't begin.

    Args:
        store: Gets every layer.
        target: Gets every layer made now; None for no target beside the store.
        cache: The folder that builds share.
        progress: Hears of each layer.
        workers: Threads that compute at a time.
    """

    def __init__(
        self, store: OciLayout, target: ImageTarget | None, cache: Path, progress: Progress | None, workers: int
    ) -> None:
        self.store = store
        self.target = target
        self._known = KnownBlobs(target, cache) if target else None
        self._learned = False
        self.reports: dict[str, LayerReport] = {}
        self.stopped = threading.Event()
        self._scratch = cache / "layers" / "scratch"
        self._progress = progress
        self._computing = threading.BoundedSemaphore(max(1, workers))
        self._lock = threading.Lock()
        self._sent: dict[str, Future[None]] = {}
        self._failure: Exception | None = None
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="layer")

    def __enter__(self) -> Workshop:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None:
            self.stopped.set()
        # Nothing is cancelled: whoever waits for a cancelled future with as_completed waits for ever. What hasn't
        # begun ends as soon as it begins.
        self._pool.shutdown(wait=True)
        if error is not None and self._failure is not None and error is not self._failure:
            raise self._failure

    def start(self, action: Callable[..., T], *args: object) -> Future[T]:
        """Runs `action` in a thread; the first one to fail stops the others, and the build ends with its error.

        Who may not push shall hear it at once, not after gigabytes of downloads.
        """
        return self._pool.submit(self._run, action, *args)

    def _run(self, action: Callable[..., T], *args: object) -> T:
        if self.stopped.is_set():
            raise ImageError("the build was stopped")
        try:
            return action(*args)
        except Exception as error:
            with self._lock:
                self._failure = self._failure or error
            self.stopped.set()
            raise

    @contextmanager
    def computing(self) -> Iterator[None]:
        """Held while a processor is kept busy."""
        with self._computing:
            yield

    def make(self, write: Callable[[BinaryIO], Layer]) -> Layer:
        """Makes a layer that no cache holds, and delivers it."""
        started = time.perf_counter()
        with storage_errors(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._scratch, prefix=".layer-") as file:
                with self.computing():
                    layer = write(cast("BinaryIO", file))
                file.flush()
                self.deliver(layer, Path(file.name), started)
        return layer

    def make_small(self, write: Callable[[BinaryIO], Layer]) -> Layer:
        """Makes a layer of a few kilobytes: that takes no longer than remembering it."""
        started = time.perf_counter()
        out = io.BytesIO()
        layer = write(out)
        if self.store.has_blob(layer.digest):
            self.report(layer, "reused", started)
        else:
            self.store.put_blob(layer_descriptor(OCI, layer), lambda: io.BytesIO(out.getvalue()))
            self._announce(layer, started)
        return layer

    def deliver(self, layer: Layer, path: Path, started: float) -> None:
        """Puts a layer made now, whose bytes lie at `path`, into the store and on its way to the target."""
        self.keep(layer, path)
        self._announce(layer, started)

    def _announce(self, layer: Layer, started: float) -> None:
        if self.target:
            self.send(layer, started)
        else:
            self.report(layer, "built", started)

    def keep(self, layer: Layer, path: Path) -> None:
        """Puts a layer into the store: as a second name for the same bytes, where the disk can do that."""
        target = self.store.blob_path(layer.digest)
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(path)
            except FileExistsError:
                return
            except FileNotFoundError as error:
                raise ImageError(
                    f"the layer of {layer.title} was removed from the cache by another process",
                    where=path,
                    next_step="Run again: it will be made anew",
                    transient=True,
                ) from error
            except OSError:
                self.store.put_blob(layer_descriptor(OCI, layer), lambda: path.open("rb"))

    def send(self, layer: Layer, started: float | None = None) -> Future[None]:
        """Sends a layer from the store to the target in a thread, once; with `started` it is reported as uploaded."""
        with self._lock:
            if layer.digest not in self._sent:
                self._sent[layer.digest] = self.start(self._send, layer, started)
            return self._sent[layer.digest]

    def has_all(self, layers: Iterable[Layer]) -> bool:
        """Whether the target has these layers; asked side by side."""
        asked = [self.start(self._has, layer.digest) for layer in layers]
        return all(future.result() for future in asked)

    def _has(self, digest: str) -> bool:
        assert self.target
        assert self._known
        if digest not in self._known:
            if not self.target.has_blob(digest):
                return False
            self._learn(digest)
        return True

    def send_bytes(self, descriptor: Descriptor, data: bytes) -> Future[None]:
        """Sends a blob that is no layer to the target in a thread."""
        future = self.start(self._put, descriptor, lambda: io.BytesIO(data))
        with self._lock:
            self._sent[descriptor.digest] = future
        return future

    def wait(self) -> None:
        """Waits until all that was sent has arrived.

        Raises:
            RegistryError: The target refused.
            ImageError: A layer was damaged on this disk; transient, for it is removed and gets made anew.
        """
        for future in as_completed(self._sent.values()):
            future.result()
        if self._known and self._learned:
            self._known.save()

    def _put(self, descriptor: Descriptor, open_body: OpenBody) -> None:
        assert self.target
        assert self._known
        if descriptor.digest in self._known:
            return
        if isinstance(self.target, Repository) and descriptor.size < _UNASKED:
            self.target.upload_blob(descriptor, open_body)
        else:
            self.target.put_blob(descriptor, open_body)
        self._learn(descriptor.digest)

    def _learn(self, digest: str) -> None:
        assert self._known
        self._known.add(digest)
        self._learned = True

    def _send(self, layer: Layer, started: float | None) -> None:
        path = self.store.blob_path(layer.digest)
        try:
            self._put(layer_descriptor(OCI, layer), lambda: path.open("rb"))
        except RegistryError as error:
            if _is_intact(path, layer.digest):
                raise
            # Its other name in the layer cache has the same bytes: a new time makes the cache look at them.
            os.utime(path)
            path.unlink()
            raise ImageError(
                f"the layer of {layer.title} was damaged on this disk and is removed",
                where=path,
                next_step="Run again: it will be made anew",
                transient=True,
            ) from error
        if started is not None:
            self.report(layer, "uploaded", started)

    def report(self, layer: Layer, action: Literal["reused", "built", "uploaded"], started: float) -> None:
        """Tells what happened to a layer; `started` as `time.perf_counter` had it."""
        seconds = time.perf_counter() - started
        report = LayerReport(layer.title, layer.digest, layer.size, action, seconds)
        self.reports[layer.digest] = report
        if self._progress:
            self._progress(report)


def _is_intact(path: Path, digest: str) -> bool:
    with path.open("rb") as file:
        return digest == f"sha256:{hashlib.file_digest(file, 'sha256').hexdigest()}"
