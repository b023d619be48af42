"""What a build of an image plan would reuse and make, without building anything."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .layers.layer_cache import LayerCache
from .oci.image_types import BuiltImage
from .plan import ImagePlan
from .wheels.dependency_set import wheel_key
from .wheels.lockfile import read_lock


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
    """

    existing: BuiltImage | None
    packages: int
    ready: int
    download: int
    unsized: int
    code: int

    def __str__(self) -> str:
        """For example "would be built: 3 of 5 packages ready, 2 to download (12.0 MB), 1.2 MB of code"."""
        if self.existing:
            return "already there, nothing to build or send"
        parts = [f"{self.code / 1e6:.1f} MB of code"]
        if self.packages:
            parts.insert(0, f"{self.ready} of {self.packages} packages ready")
        if self.packages > self.ready:
            least = "at least " if self.unsized else ""
            size = f" ({least}{self.download / 1e6:.1f} MB)" if self.download else ""
            parts.insert(1, f"{self.packages - self.ready} to download{size}")
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
    missing = [wheel for wheel in wheels if layers.get(wheel_key(wheel, request.python)) is None]
    return BuildForecast(
        existing=plan.find_existing(),
        packages=len(wheels),
        ready=len(wheels) - len(missing),
        download=sum(wheel.size for wheel in missing),
        unsized=sum(not wheel.size for wheel in missing),
        code=code,
    )
