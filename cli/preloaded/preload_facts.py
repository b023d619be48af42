"""What a preloaded process and a command must have in common, so that the one can stand for the other.

Everything that an import reads counts: the interpreter, the installed packages, Prefect's settings, some environment
variables; and what a process inherits and can't change later. If anything differs, the command imports for itself.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

_PACKAGE = Path(__file__).resolve().parents[2]

_NAMES = frozenset(
    (
        *(
            "DO_NOT_TRACK",
            "FORCE_COLOR",
            "HOME",
            "LANG",
            "LANGUAGE",
            "NO_COLOR",
            "NO_GCE_CHECK",
            "PATH",
            "SSLKEYLOGFILE",
            "SSL_CERT_DIR",
        ),
        *("SSL_CERT_FILE", "TEMPORARILY_DISABLE_PROTOBUF_VERSION_CHECK", "TMPDIR", "TZ"),
        *("USER", "VIRTUAL_ENV", "prometheus_multiproc_dir"),
        # By these Prefect knows a build server.
        *("APPVEYOR", "BITBUCKET_COMMIT", "BUDDY", "BUILDKITE", "CI", "CIRCLECI", "CI_NAME", "CODEBUILD_BUILD_ID"),
        *("DRONE", "GITHUB_ACTIONS", "GITLAB_CI", "JENKINS_URL", "SEMAPHORE", "TEAMCITY_VERSION", "TF_BUILD", "TRAVIS"),
    )
)
_PREFIXES = (
    *(
        "CLOUDSDK_",
        "CONDA_",
        "COOLNAME_",
        "FSSPEC_",
        "GCE_",
        "GLIBC_",
        "GOOGLE_",
        "GRIFFE_",
        "GRPC_",
        "LC_",
        "LD_",
        "MALLOC_",
    ),
    *(
        "OTEL_",
        "PENDULUM_",
        "PREFECT_",
        "PROMETHEUS_",
        "PROTOCOL_BUFFERS_",
        "PYDANTIC_",
        "PYTHON",
        "_PYTHON_",
        "VERTEX_TRAINING_",
    ),
    *("WEBSOCKETS_", "XDG_"),
)
_SUFFIX = "_NO_EXTENSIONS"
"""Variables that imports read, and those that the C library reads at a process's start. All others, secrets among them,
are handed over with the command."""

_NAMESPACES = ("cgroup", "ipc", "mnt", "net", "pid", "time", "user", "uts")
_PREFECT_FILES = (".env", "prefect.toml")
"""Files of the current folder in which Prefect finds settings."""


def variables(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that a preloaded process has, and that must be the same for a command."""
    return {name: value for name, value in environ.items() if _is_read(name)}


def _is_read(name: str) -> bool:
    return name in _NAMES or name.startswith(_PREFIXES) or name.endswith(_SUFFIX)


def is_plain_folder() -> bool:
    """Whether the current folder has no settings of Prefect, which are read when Prefect is imported."""
    if any(os.path.lexists(name) for name in _PREFECT_FILES):
        return False
    try:
        return b"tool.prefect" not in Path("pyproject.toml").read_bytes()
    except FileNotFoundError:
        return True
    except OSError:
        return False


def fingerprint() -> str:
    """A hash of all that must be the same.

    Raises:
        OSError: Something can't be read, so that nothing may be handed over.
    """
    facts = [_interpreter(), _code(), variables(os.environ), _stamp(_profiles()), _process()]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()


def _interpreter() -> list[Any]:
    flags = {name: getattr(sys.flags, name) for name in dir(sys.flags) if not name.startswith(("_", "n_", "count"))}
    flags = {name: value for name, value in flags.items() if isinstance(value, int) and name != "safe_path"}
    return [sys.executable, sys.version, sys.prefix, flags, sys.warnoptions]


def _code() -> list[Any]:
    """When packages were installed or removed last, and this package's own files, which may be under development."""
    own = 0 if sys.flags.safe_path else 1  # the folder of the program itself
    return [[(path, _stamp(Path(path))) for path in sys.path[own:]], sorted(_sources(str(_PACKAGE)))]


def _sources(folder: str) -> Iterator[tuple[str, int, int]]:
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.name.endswith(".py"):
                found = entry.stat()
                yield entry.path, found.st_mtime_ns, found.st_size
            elif entry.is_dir(follow_symlinks=False) and os.path.exists(f"{entry.path}/__init__.py"):  # noqa: PTH110 - some hundred
                yield from _sources(entry.path)


def _profiles() -> Path:
    home = Path(os.environ.get("PREFECT_HOME") or Path.home() / ".prefect").expanduser()
    return Path(os.environ.get("PREFECT_PROFILES_PATH") or home / "profiles.toml").expanduser()


def _stamp(path: Path) -> list[int]:
    try:
        found = path.stat()
    except OSError:
        return []
    return [found.st_ino, found.st_size, found.st_mtime_ns]


def _process() -> list[Any]:
    """What a process inherits: its account, its limits, its place in the system."""
    import resource

    names = [name for name in dir(resource) if name.startswith("RLIMIT_")]
    own = Path("/proc/self")
    return [
        os.getresuid(),
        os.getresgid(),
        sorted(os.getgroups()),
        [resource.getrlimit(getattr(resource, name)) for name in names],
        [str((own / "ns" / name).readlink()) for name in _NAMESPACES],
        (own / "cgroup").read_text(),
        sorted(os.sched_getaffinity(0)),
        str((own / "root").readlink()),
    ]
