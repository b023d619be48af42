"""Packages that exist on one platform only, and their replacements on Linux."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

_MAC = "exists on macOS only"
_WINDOWS = "exists on Windows only"
_ELSEWHERE = {
    **dict.fromkeys(
        ("appnope", "tensorflow-metal", "jax-metal", "mlx-metal", "macfsevents", "py2app", "rumps", "keyring-macos",
         "macholib", "tensorflow-macos-metal"), _MAC,
    ),
    **dict.fromkeys(
        ("pywin32", "pypiwin32", "pywin32-ctypes", "pywinpty", "win32-setctime", "wmi", "comtypes", "pywinauto",
         "win-unicode-console", "wincertstore", "win-inet-pton", "windows-curses", "pyreadline", "pyreadline3",
         "tensorflow-intel", "tensorflow-directml-plugin", "torch-directml", "py2exe", "pefile"), _WINDOWS,
    ),
}  # fmt: skip
_FAMILIES = (
    (re.compile(r"^pyobjc(-|$)"), _MAC),
    (re.compile(r"^winrt(-|$)|^winsdk$"), _WINDOWS),
)
_OF_THE_SYSTEM = "belongs to Debian or Ubuntu itself; no index has it for a training"
_SYSTEM = frozenset(
    ("pkg-resources", "python-apt", "command-not-found", "ubuntu-advantage-tools", "ubuntu-pro-client", "ufw",
     "unattended-upgrades", "ssh-import-id", "language-selector", "distro-info", "cupshelpers", "ubuntu-drivers-common",
     "usb-creator", "screen-resolution-extra", "xkit", "systemd-python", "cloud-init", "sos", "apturl", "brlapi",
     "louis", "duplicity", "language-table", "python-debian", "reportbug", "pycups", "pygobject", "dbus-python")
)  # fmt: skip
"""Packages that `pip freeze` lists with the Python of Debian or Ubuntu, and that need the system's libraries."""
_IN_PYTHON = "is a part of Python itself"
_BACKPORTS = frozenset(("enum34", "futures", "functools32", "subprocess32", "ordereddict", "unittest2", "wsgiref"))
"""Releases for Python 2 of modules that Python has."""
_COUNTERPARTS = {
    "tensorflow-macos": ("tensorflow", "the macOS build of tensorflow"),
    "onnxruntime-silicon": ("onnxruntime", "the macOS build of onnxruntime"),
    "onnxruntime-directml": ("onnxruntime", "the Windows build of onnxruntime"),
    "tensorflow-directml": ("tensorflow", "the Windows build of tensorflow"),
}
_WITHDRAWN = {
    "sklearn": "scikit-learn",
    "pil": "pillow",
    "dotenv": "python-dotenv",
}
"""Names under which an index has no package that works, each with the one that is meant; versions don't correspond."""


@dataclass(frozen=True, slots=True)
class Counterpart:
    """Replacement of a requirement.

    Attributes:
        text: The new requirement.
        reason: Why it replaces the other one.
    """

    text: str
    reason: str


def only_elsewhere(written: str) -> str | None:
    """Why a package can't be used in an image, or isn't needed; None if it can. Its name is that of the list."""
    name = canonicalize_name(written)
    if reason := _ELSEWHERE.get(name):
        return reason
    if name in _SYSTEM:
        return _OF_THE_SYSTEM
    if name in _BACKPORTS or (name in sys.stdlib_module_names and written != "DateTime"):  # that is Zope's package
        return _IN_PYTHON
    return next((reason for pattern, reason in _FAMILIES if pattern.search(name)), None)


def counterpart(requirement: Requirement) -> Counterpart | None:
    """The package of another name that is the same on Linux, or that is meant; None if there is none."""
    name = canonicalize_name(requirement.name)
    if meant := _WITHDRAWN.get(name):
        marker = f" ; {requirement.marker}" if requirement.marker else ""
        return Counterpart(f"{meant}{marker}", f"{requirement.name} is not the package's name in the index")
    found = _COUNTERPARTS.get(name)
    return Counterpart(renamed(requirement, found[0]), found[1]) if found else None


def renamed(requirement: Requirement, name: str, extras: str = "") -> str:
    """The requirement under another name, with the same versions and marker."""
    own = f"[{','.join(sorted(requirement.extras))}]" if requirement.extras else extras
    marker = f" ; {requirement.marker}" if requirement.marker else ""
    return f"{name}{own}{requirement.specifier}{marker}"


def marker_environment(python: str) -> dict[str, str]:
    """The environment for which markers are evaluated: CPython on linux/amd64."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.0",
        "os_name": "posix",
        "platform_machine": "x86_64",
        "platform_python_implementation": "CPython",
        "platform_system": "Linux",
        "python_full_version": f"{python}.99",
        "python_version": python,
        "sys_platform": "linux",
        "platform_release": "",
        "platform_version": "",
        "extra": "",
    }
