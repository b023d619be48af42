"""Builds of packages for CUDA and for CPUs: finds their indexes, and rejects CPU builds for jobs with a GPU.

PyTorch marks its builds by local versions (`2.1.0+cu121`, `2.1.0+cpu`) and has an index for each kind:
https://pytorch.org/get-started/previous-versions/. JAX and TensorFlow use extras and packages instead:
https://docs.jax.dev/en/latest/installation.html, https://www.tensorflow.org/install/pip.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence

from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from ...core.errors import DependencyError
from ...core.machine_types import comes_with_gpu
from ..settings.settings import Settings
from .formats.requirements_txt import Line, Requirements
from .platforms import Counterpart, renamed

_TORCH_INDEX = "https://download.pytorch.org/whl"
_JAX_LINKS = "https://storage.googleapis.com/jax-releases/jax_cuda_releases.html"
_TORCH = frozenset(("torch", "torchvision", "torchaudio", "torchtext", "functorch", "torchdata"))
_CUDA_PACKAGE = re.compile(r"jax-cuda\d+-(plugin|pjrt)$|nvidia-cudnn")
_AND_CUDA = Version("2.14")
"""First TensorFlow version with the extra `and-cuda`."""
_PLUGIN = Version("0.4.26")
"""First JAX version with CUDA builds on PyPI."""


def wants_gpu(settings: Settings) -> bool:
    """Whether the project's job runs on NVIDIA GPUs."""
    machine = settings.job.machine
    named = (machine.accelerator_type or "").startswith("NVIDIA")
    return named or comes_with_gpu(machine.machine_type)


def counterpart(requirement: Requirement) -> Counterpart | None:
    """The replacement of tensorflow-gpu, which became part of tensorflow: https://pypi.org/project/tensorflow-gpu/."""
    name, version = canonicalize_name(requirement.name), _pin(requirement)
    if name == "tensorflow-gpu" and (version is None or version >= Version("2.1")):
        extra = "[and-cuda]" if version is None or version >= _AND_CUDA else ""
        return Counterpart(renamed(requirement, "tensorflow", extra), "tensorflow has had GPU support itself since 2.1")
    return None


def indexes(texts: Sequence[str], known: str) -> list[tuple[str, str]]:
    """Options for the indexes of builds with a local version, each with the reason.

    Args:
        texts: The requirements.
        known: The indexes that are used already, and the names of wheels in folders of this machine, as text; no index
            is added again, nor for a wheel that is there.
    """
    added: dict[str, str] = {}
    for requirement in _requirements(texts):
        local = _local(requirement)
        if local is None:
            continue
        name = canonicalize_name(requirement.name)
        if f"{name}-{_pin(requirement)}-" in known:
            continue
        if name in _TORCH and f"/whl/{local}" not in known and "/whl/torch_stable" not in known:
            added.setdefault(f"--extra-index-url {_TORCH_INDEX}/{local}", f"{name}=={_pin(requirement)} is only there")
        elif name == "jaxlib" and local.startswith("cuda") and "jax-releases" not in known:
            added.setdefault(f"--find-links {_JAX_LINKS}", f"{name}=={_pin(requirement)} is only there")
    return list(added.items())


def refuse_cpu_only(texts: Sequence[str], listed: Requirements, settings: Settings) -> None:
    """Rejects requirements of CPU-only builds if the job has a GPU.

    Raises:
        DependencyError: It names the lines and their replacements.
    """
    if not wants_gpu(settings):
        return
    found: dict[str, str] = {}
    for requirement in _requirements(texts):
        name, version = canonicalize_name(requirement.name), _pin(requirement)
        if (name, set(requirement.extras)) == ("jax", {"cpu"}):
            found[name] = _jax(version)
        elif replacement := _cpu_only(name, version):
            found[name] = replacement
    _refuse(found, {}, listed, settings)


def refuse_cpu_only_lock(packages: Sequence[tuple[str, str]], listed: Requirements, settings: Settings) -> None:
    """Rejects resolved CPU-only builds if the job has a GPU: an index can provide them although no line names one.

    Raises:
        DependencyError: It names the packages and their replacements.
    """
    if not wants_gpu(settings):
        return
    versions = dict(packages)
    found = {name: it for name, version in packages if (it := _cpu_only(name, _version(version)))}
    if not _brings_cuda(versions, settings):
        jax, tensorflow = _version(versions.get("jax", "")), _version(versions.get("tensorflow", ""))
        if jax:
            found["jax"] = _jax(jax)
        if tensorflow and tensorflow >= _AND_CUDA:
            found["tensorflow"] = f"tensorflow[and-cuda]=={tensorflow}"
    _refuse(found, versions, listed, settings)


def _cpu_only(name: str, version: Version | None) -> str | None:
    """The replacement of a CPU-only build; None for any other package."""
    pin = f"=={version.public}" if version else ""
    if name in _TORCH and version and version.local and not version.local.startswith("cu"):
        return f"{name}{pin}"  # PyPI's builds for Linux are for CUDA
    if name == "tensorflow-cpu":
        return f"tensorflow{pin}" if version and version < _AND_CUDA else f"tensorflow[and-cuda]{pin}"
    return f"xgboost{pin}" if name == "xgboost-cpu" else None


def _jax(version: Version | None) -> str:
    """JAX's requirement with CUDA."""
    pin = f"=={version.public}" if version else ""
    return f"jax[cuda12]{pin}" if version is None or version >= _PLUGIN else f"jax[cuda12_pip]{pin}"


def _brings_cuda(versions: Mapping[str, str], settings: Settings) -> bool:
    """Whether CUDA's libraries are among the packages, or may be in the project's own image."""
    own_image = settings.base is not None or (settings.root / "Dockerfile").is_file()
    return own_image or "+cuda" in versions.get("jaxlib", "") or any(_CUDA_PACKAGE.match(name) for name in versions)


def _refuse(found: Mapping[str, str], versions: Mapping[str, str], listed: Requirements, settings: Settings) -> None:
    """Raises an error if anything was found: replacements by package name."""
    if not found:
        return
    lines = {name: _line(name, listed.lines) for name in found}
    written = [line.text if (line := lines[name]) else f"{name}=={versions.get(name)}" for name in found]
    places = [line.place for line in lines.values() if line]
    step = f"Write {' and '.join(found.values())} instead"
    if cpu := next((option for option in listed.options if option.rstrip("/").endswith("/whl/cpu")), None):
        step += f", and delete {cpu}"
    if "cuda12_pip" in step:
        step += f", and add --find-links {_JAX_LINKS}"
    one = len(found) == 1
    raise DependencyError(
        f"{' and '.join(written)} {'is a CPU-only build' if one else 'are CPU-only builds'}, and the job has a GPU "
        f"({settings.job.machine.accelerator_type or settings.job.machine.machine_type})",
        where=", ".join(places) or listed.method,
        next_step=step,
    )


def _requirements(texts: Iterable[str]) -> Iterable[Requirement]:
    for text in texts:
        try:
            yield Requirement(text)
        except InvalidRequirement:
            continue


def _pin(requirement: Requirement) -> Version | None:
    exact = [item.version for item in requirement.specifier if item.operator in {"==", "==="}]
    return _version(exact[0]) if exact else None


def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


def _local(requirement: Requirement) -> str | None:
    version = _pin(requirement)
    return version.local if version else None


def _line(name: str, lines: Sequence[Line]) -> Line | None:
    return next((line for line in lines if line.name == name), None)


def describe(packages: Mapping[str, str], settings: Settings) -> list[str]:
    """Remarks on builds for GPUs in a frozen list, one sentence each."""
    torch, tensorflow = packages.get("torch", ""), _version(packages.get("tensorflow", ""))
    gpu = wants_gpu(settings)
    notes: list[str] = []
    if torch and "+" not in torch and not gpu:
        notes.append(f"torch {torch} contains CUDA, which a job without a GPU can't use: torch=={torch}+cpu is smaller")
    if tensorflow and tensorflow < _AND_CUDA and gpu and settings.base is None:
        notes.append(
            f"tensorflow {tensorflow} finds CUDA only in the base image: set base under [tool.vertex-training]"
        )
    return notes
