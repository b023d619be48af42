"""Source distributions (sdists) of an index: which releases have no wheel at all, and their download."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import urllib3

from ...core.errors import DependencyError
from ...core.network.addresses import AddressGuard, RefusedAddress
from ...core.network.http_pools import Pools
from ...core.network.index_logins import REFUSALS, IndexLogins, without_login
from ...core.retry import retry
from . import uv

_OLDEST_MINOR = 7
_TIMEOUT = urllib3.Timeout(connect=15, read=60)
_BLOCK = 256 * 1024


@dataclass(frozen=True, slots=True)
class Release:
    """One version of a package, as an index lists it.

    Attributes:
        name: Canonical name.
        version: Such as "4.9.3".
        url: URL of its sdist, or path of a file on this machine; empty if it has none.
        sha256: The sdist's hash.
        wheels: File names of its wheels for all platforms.
    """

    name: str
    version: str
    url: str = ""
    sha256: str = ""
    wheels: tuple[str, ...] = ()

    @property
    def is_compiled(self) -> bool:
        """Whether the release has wheels for single platforms, so that its sdist contains code to compile."""
        return any(not wheel.endswith("-any.whl") for wheel in self.wheels)

    @property
    def filename(self) -> str:
        """The sdist's file name."""
        return unquote(urlsplit(self.url).path.rpartition("/")[2])


def release_of(package: dict[str, Any], options: Sequence[str], root: Path, python: str) -> Release:
    """The files of a package's version; its wheels for other Python versions and platforms included.

    Args:
        package: Name and version, in the form of a pylock.toml.
        options: Indexes and folders of wheels, as lines of a requirements file.
        root: The project's folder, where uv is run.
        python: Minor version of the image's Python.
    """
    name, version = package["name"], package["version"]
    # uv leaves out wheels for Python versions below the one that it resolves for, and fails if the release wants a
    # newer one, so the oldest that the release allows lists the most wheels.
    for minor in range(_OLDEST_MINOR, int(python.partition(".")[2]) + 1):
        command = ["pip", "compile", "--format", "pylock.toml", "--no-header", "--no-annotate", "--no-deps"]
        command += ["--universal", "--python-version", f"3.{minor}", "-"]
        finished = uv.run(command, cwd=root, text="\n".join([*options, f"{name}=={version}\n"]))
        if finished.returncode == 0:
            found: dict[str, Any] = tomllib.loads(finished.stdout)["packages"][0]
            return _release(name, version, found)
    return _release(name, version, package)


def _release(name: str, version: str, package: dict[str, Any]) -> Release:
    sdist = package.get("sdist", {})
    wheels = tuple(_name_of(wheel) for wheel in package.get("wheels", ()))
    return Release(name, version, _address(sdist), sdist.get("hashes", {}).get("sha256", ""), wheels)


def _address(file: dict[str, Any]) -> str:
    return str(file.get("url") or file.get("path") or "")


def _name_of(file: dict[str, Any]) -> str:
    return unquote(urlsplit(_address(file)).path.rpartition("/")[2])


def download(release: Release, folder: Path, root: Path, logins: IndexLogins | None = None) -> Path:
    """Fetches the release's sdist into `folder` and checks its hash.

    Args:
        release: The release.
        folder: Where it goes.
        root: The folder from which its path starts, if it is a file of this machine.
        logins: The logins of private indexes; None for those of the environment and uv's settings.

    Raises:
        DependencyError: It can't be fetched, or has another hash; transient if a retry may help.
    """
    target = folder / release.filename
    if "://" in release.url and not release.url.startswith("file:"):
        retry(lambda: _fetch(release, target, logins or IndexLogins()))
    else:
        shutil.copyfile(root / unquote(release.url.removeprefix("file://")), target)
    with target.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if release.sha256 and found != release.sha256:
        raise DependencyError(
            f"{release.filename} has another sha256 than its index or its URL says",
            where=urlsplit(release.url).hostname or release.url,
            next_step="Run again; if that doesn't help, the file was changed",
        )
    return target


def _answer(url: str, logins: IndexLogins) -> urllib3.BaseHTTPResponse:
    """The answer with the first login that isn't refused."""
    pools, each = Pools(AddressGuard(None)), logins.each(url)
    login = next(each, None)
    while True:
        headers = urllib3.make_headers(basic_auth=":".join(login)) if login else {}
        response = pools.request("GET", without_login(url), headers=headers, preload_content=False, timeout=_TIMEOUT)
        login = next(each, None) if response.status in REFUSALS else None
        if login is None:
            return response
        response.close()


def _fetch(release: Release, target: Path, logins: IndexLogins) -> None:
    try:
        response = _answer(release.url, logins)
        if response.status == 200:
            with target.open("wb") as file:
                for block in response.stream(_BLOCK, decode_content=False):
                    file.write(block)
            return
        problem, transient = f"HTTP {response.status}", response.status >= 500 or response.status == 429
        response.close()
    except RefusedAddress as error:
        problem, transient = str(error), False
    except urllib3.exceptions.HTTPError as error:
        problem, transient = type(getattr(error, "reason", None) or error).__name__, True
    raise DependencyError(
        f"can't download {release.filename}: {problem}",
        where=urlsplit(release.url).hostname,
        next_step="Check the network and the index's credentials, then run again",
        transient=transient,
    )
