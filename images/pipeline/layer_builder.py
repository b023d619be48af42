"""Makes layers; each is stored and its upload started as soon as it is complete."""

from __future__ import annotations

import io
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import AbstractContextManager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal, cast

from ...core.errors import ImageError, storage_errors
from ...core.metering.meter import Meters
from ..base.copy_layers import Action
from ..layers.layer_writer import Layer
from ..oci.config import OCI, layer_descriptor
from ..oci.image_types import Descriptor, LayerReport, Progress
from ..oci.layout import OciLayout
from .background_uploads import BackgroundUploads
from .task_group import TaskGroup

if TYPE_CHECKING:
    from ..base.resolve import Base


class LayerBuilder:
    """Makes, stores and reports the layers of one build.

    Args:
        tasks: Runs the build's tasks.
        store: The layout that gets every layer.
        uploads: Uploads to the target; None if the image stays in the layout.
        scratch: A folder for unfinished files.
        progress: Called with the report of each layer.
        meters: Where the build counts its bytes.
        workers: How many threads compute at a time.
    """

    def __init__(
        self,
        tasks: TaskGroup,
        store: OciLayout,
        uploads: BackgroundUploads | None,
        scratch: Path,
        *,
        progress: Progress | None,
        meters: Meters,
        workers: int,
    ) -> None:
        self.tasks = tasks
        self.store = store
        self.uploads = uploads
        self.meters = meters
        self.reports: dict[str, LayerReport] = {}
        self._background: list[Future[None]] = []
        self._scratch = scratch
        self._progress = progress
        self._computing = threading.BoundedSemaphore(max(1, workers))

    def computing(self) -> AbstractContextManager[object]:
        """A context for work that keeps a processor busy; at most `workers` threads are in it at a time."""
        return self._computing

    def make(self, write: Callable[[BinaryIO], Layer]) -> Layer:
        """Makes a layer that isn't in a cache, and delivers it."""
        started = time.perf_counter()
        with storage_errors(self._scratch):
            self._scratch.mkdir(parents=True, exist_ok=True)
            with tempfile.NamedTemporaryFile(dir=self._scratch) as file:
                with self.computing():
                    layer = write(cast("BinaryIO", file))
                file.flush()
                self.deliver(layer, Path(file.name), started)
        self.store.was_stored(layer.digest)  # again: the other link to its file is gone, which changes one of its times
        return layer

    def make_small(self, write: Callable[[BinaryIO], Layer]) -> Layer:
        """Makes a layer of a few kilobytes: caching it would take as long."""
        started = time.perf_counter()
        out = io.BytesIO()
        layer = write(out)
        if self.has(layer):
            self.report(layer, "reused", started)
        else:
            self.store.put_blob(layer_descriptor(OCI, layer), lambda: io.BytesIO(out.getvalue()))
            self._send(layer, started)
        return layer

    def deliver(self, layer: Layer, path: Path, started: float) -> None:
        """Stores a new layer, whose bytes are at `path`, and starts its upload."""
        self.keep(layer, path)
        self._send(layer, started)

    def has(self, layer: Layer) -> bool:
        """Whether the layout has a layer whole; a damaged one is moved aside."""
        return self.store.has_blob(layer.digest)

    def keep(self, layer: Layer, path: Path) -> None:
        """Stores a layer: as a hard link to `path` where the file system can do that, else as a copy."""
        target = self.store.blob_path(layer.digest)
        if self.has(layer):
            return
        with storage_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            try:
                target.hardlink_to(path)
            except FileExistsError:
                return  # another process stored it first
            except FileNotFoundError as error:
                raise ImageError(
                    f"the layer of {layer.title} was removed from the cache by another process",
                    where=path,
                    next_step="Run again: it will be made again",
                    transient=True,
                ) from error
            except OSError:
                self.store.put_blob(layer_descriptor(OCI, layer), lambda: path.open("rb"))
        self.store.was_stored(layer.digest)

    def copy_base(self, base: Base) -> None:
        """Starts to copy the base's layers to the target."""
        if self.uploads:
            for blob in base.layers:
                self.uploads.send_base(base, blob, partial(self._report_base, blob))

    def run_in_background(self, action: Callable[..., None], *args: object) -> None:
        """Runs an action that nothing but `wait` waits for."""
        self._background.append(self.tasks.send(action, *args))

    def wait(self) -> None:
        """Waits until all background actions and uploads have finished.

        Raises:
            RegistryError: The target refused.
            ImageError: A layer was damaged on this disk; transient.
        """
        for future in self._background:
            future.result()
        if self.uploads:
            self.uploads.wait()

    def _report_base(self, blob: Descriptor, action: Action, seconds: float) -> None:
        self._report(LayerReport("base", blob.digest, blob.size, action, seconds))

    def report(self, layer: Layer, action: Literal["reused", "built", "uploaded"], started: float) -> None:
        """Reports what happened to a layer; `started` is a value of `time.perf_counter`."""
        seconds = time.perf_counter() - started
        self._report(LayerReport(layer.title, layer.digest, layer.size, action, seconds))

    def _report(self, report: LayerReport) -> None:
        self.reports[report.digest] = report
        if self._progress:
            self._progress(report)

    def _send(self, layer: Layer, started: float) -> None:
        if self.uploads:
            self.uploads.send(layer, lambda: self.report(layer, "uploaded", started))
        else:
            self.report(layer, "built", started)
