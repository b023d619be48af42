"""What a build of an image plan would reuse and make, without building anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .layers.layer_cache import LayerCache
from .oci.image_types import BuiltImage
from .plan import ImagePlan
from .wheels.dependency_set import wheel_key
from .wheels.lockfile import read_lock

_SPEEDS = (25e6, 40e6, 25e6)
"""Bytes a second of a download, of making layers on one core, and of an upload: of a network with 200 Mbit/s."""


@dataclass(frozen=True, slots=True)
class BuildForecast:
    """What a build would do.

    Attributes:
        existing: The image, if the target has it: nothing is built and nothing is sent.
        packages: Number of packages that become layers; 0 where Docker or conda installs them.
        ready: How many of them have a layer on this machine.
        download: Bytes of the other packages' wheels, as far as the lock says their sizes.
        unsized: How many of those have a size that the lock doesn't say.
        code: Bytes of the project's files.
        layers: Bytes of the layers that are there; the target may have some of them.
    """

    existing: BuiltImage | None
    packages: int
    ready: int
    download: int
    unsized: int
    code: int
    layers: int = 0

    @property
    def send(self) -> int:
        """Most bytes that go to the target: all but the base. A wheel and its layer have about the same size."""
        return 0 if self.existing else self.layers + self.download + self.code

    @property
    def seconds(self) -> float:
        """Roughly how long download, layers and sending take, at the speeds of `_SPEEDS`."""
        if self.existing:
            return 0.0
        work = zip((self.download, self.download + self.code, self.send), _SPEEDS, strict=True)
        return sum(size / speed for size, speed in work)

    def __str__(self) -> str:
        """For example "would be built: 3 of 5 packages ready, 2 to download (12.0 MB), 1.2 MB of code, up to ..."."""
        if self.existing:
            return "already there, nothing to build or send"
        parts = [f"{self.code / 1e6:.1f} MB of code"]
        if self.packages:
            parts.insert(0, f"{self.ready} of {self.packages} packages ready")
        if self.packages > self.ready:
            least = "at least " if self.unsized else ""
            size = f" ({least}{self.download / 1e6:.1f} MB)" if self.download else ""
            parts.insert(1, f"{self.packages - self.ready} to download{size}")
        parts.append(f"up to {self.send / 1e6:.1f} MB to send, about {max(1, round(self.seconds))} s on a fast network")
        return f"would be built: {', '.join(parts)}"


def forecast(plan: ImagePlan, *, cache: Path) -> BuildForecast:
    """What building this plan would do.

    Args:
        plan: The plan.
        cache: The cache folder that builds on this machine share.

    Raises:
        RegistryError: The target can't be asked whether it has the image.
    """
    request = plan.request
    code = sum(file.size for file in request.files)
    direct = plan.builder == "direct" and request.lock
    wheels = read_lock(request.lock, request.python, request.root) if direct else []
    layers = LayerCache(cache / "wheels")
    kept = [(wheel, layers.get(wheel_key(wheel, request.python))) for wheel in wheels]
    missing = [wheel for wheel, layer in kept if layer is None]
    return BuildForecast(
        existing=plan.find_existing(),
        packages=len(wheels),
        ready=len(wheels) - len(missing),
        download=sum(wheel.size for wheel in missing),
        unsized=sum(not wheel.size for wheel in missing),
        code=code,
        layers=sum(found.layer.size for _, found in kept if found is not None),
    )
