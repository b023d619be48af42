"""Packages of one module, as wheels and sdists, for a package index that is a folder.

A package is written as in a requirements file, with words behind it:
`acme-kit==1.0 needs acme-tools==2.0 acme-plot`, `acme-fast==1.0 for cp310-cp310-manylinux_2_17_x86_64`,
and for an sdist `acme-fast==1.0 compiles` (its wheel is for one platform), `acme-fast==1.0 fails`, or
`acme-fast==1.0 dynamic needs acme-low` (only its build tells what it needs, with acme-backend of the index).
"""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from fixtures.projects.packages import BACKEND

_COMPILED = BACKEND.replace("py3-none-any", "cp311-cp311-linux_x86_64")
_FAILING = "def build_wheel(*_, **__):\n    raise RuntimeError('no such header: acme.h')\n"
_PYPROJECT = """\
[project]
name = "{name}"
version = "{version}"
{requires}

[build-system]
{build}
"""
_OWN_BACKEND = 'requires = []\nbuild-backend = "backend"\nbackend-path = ["."]'
_OTHER_BACKEND = 'requires = ["acme-backend"]\nbuild-backend = "acme_backend"'


@dataclass(frozen=True, slots=True)
class Package:
    """A package to be made."""

    name: str
    version: str
    requires: tuple[str, ...] = ()
    tag: str = "py3-none-any"
    build: str = BACKEND
    dynamic: bool = False

    @classmethod
    def parse(cls, text: str) -> Package:
        """Reads one in the form that the module's docstring shows."""
        written, *words = text.split()
        name, _, version = written.partition("==")
        requires = words[words.index("needs") + 1 :] if "needs" in words else []
        tag = words[words.index("for") + 1] if "for" in words else "py3-none-any"
        build = _COMPILED if "compiles" in words else _FAILING if "fails" in words else BACKEND
        return cls(name, version, tuple(requires), tag, build, "dynamic" in words)

    @property
    def module(self) -> str:
        """The name of its one module."""
        return self.name.replace("-", "_")

    @property
    def metadata(self) -> str:
        """METADATA, which is also an sdist's PKG-INFO."""
        requires = "".join(f"Requires-Dist: {item}\n" for item in self.requires)
        return f"Metadata-Version: 2.2\nName: {self.name}\nVersion: {self.version}\n{requires}"

    @property
    def body(self) -> str:
        """The module's source."""
        return BACKEND if self.name == "acme-backend" else f"version = {self.version!r}\n"

    def installed_files(self) -> dict[str, str]:
        """What lies in site-packages."""
        info = f"{self.module}-{self.version}.dist-info"
        pure = "true" if self.tag.endswith("any") else "false"
        files = {
            f"{self.module}.py": self.body,
            f"{info}/METADATA": self.metadata,
            f"{info}/WHEEL": f"Wheel-Version: 1.0\nGenerator: corpus\nRoot-Is-Purelib: {pure}\nTag: {self.tag}\n",
        }
        files[f"{info}/RECORD"] = "".join(f"{path},,\n" for path in [*files, f"{info}/RECORD"])
        return files

    def write_wheel(self, folder: Path) -> None:
        """Writes the wheel; the same package gives the same bytes."""
        with zipfile.ZipFile(folder / f"{self.module}-{self.version}-{self.tag}.whl", "w") as archive:
            for path, content in self.installed_files().items():
                archive.writestr(zipfile.ZipInfo(path), content)

    def write_sdist(self, folder: Path) -> None:
        """Writes the sdist, which builds without a network; the same package gives the same bytes."""
        top = f"{self.module}-{self.version}"
        requires = 'dynamic = ["dependencies"]' if self.dynamic else f"dependencies = {list(self.requires)}"
        plain = f"Metadata-Version: 2.1\nName: {self.name}\nVersion: {self.version}\n"
        files = {
            "PKG-INFO": plain if self.dynamic else self.metadata,
            "pyproject.toml": _PYPROJECT.format(
                name=self.name,
                version=self.version,
                requires=requires,
                build=_OTHER_BACKEND if self.dynamic else _OWN_BACKEND,
            ),
            "package.txt": f"{self.module}\n{self.version}\n{';'.join(self.requires)}\n",
            "body.py": self.body,
            "backend.py": self.build,
        }
        _write_tar(folder / f"{top}.tar.gz", {f"{top}/{path}": content for path, content in files.items()})

    def install(self, site: Path) -> None:
        """Puts it into an environment's site-packages."""
        for path, content in self.installed_files().items():
            target = site / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(content, encoding="utf-8")


def _write_tar(target: Path, files: Mapping[str, str]) -> None:
    with tarfile.open(target, "w:gz") as archive:
        for path, content in files.items():
            member = tarfile.TarInfo(path)
            data = content.encode()
            member.size, member.mtime = len(data), 1_600_000_000
            archive.addfile(member, io.BytesIO(data))
