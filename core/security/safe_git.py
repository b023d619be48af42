"""Runs git so that nothing of a repository's own configuration is executed, and so that a token is never an argument.

A repository's configuration names programs that git starts: `core.fsmonitor`, hooks, filters, transports. A project's
folder may come from anybody, so reading it must start none of them. https://git-scm.com/docs/git-config lists them, and
https://git-scm.com/docs/git#_security says which commands read a repository that isn't trusted.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

_NO_PROGRAMS = {
    "core.fsmonitor": "false",
    "core.hooksPath": os.devnull,
    "core.alternateRefsCommand": "",
    "diff.external": "",
    "log.showSignature": "false",
    "protocol.ext.allow": "never",
    # A folder in the project that looks like a bare repository is not one, whatever its configuration says.
    "safe.bareRepository": "explicit",
}
"""Settings that take precedence over those of the repository."""

_OFFLINE = {"GIT_ALLOW_PROTOCOL": "none", "GIT_NO_LAZY_FETCH": "1", "GIT_OPTIONAL_LOCKS": "0"}
"""Variables of commands that only read: a partial clone would fetch missing files by a program of its configuration."""

_NO_DRIVERS: dict[str, tuple[str, ...]] = dict.fromkeys(("diff", "log", "show"), ("--no-ext-diff", "--no-textconv"))
"""Options by which a command starts no driver that attributes choose for a file: no setting turns all of them off."""

_LOCATIONS = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY", "GIT_COMMON_DIR", "GIT_NAMESPACE"),
    *("GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_PREFIX", "GIT_EXTERNAL_DIFF"),
)
"""Variables that lead git to another repository than the folder's: a hook from which a run is started has them."""

_FILTERS = r"^filter\..*\.(clean|smudge|process)$"
_LOCAL_SCOPES = {"local", "worktree"}
_USER, _TOKEN = "VERTEX_TRAINING_GIT_USER", "VERTEX_TRAINING_GIT_TOKEN"
_HELPER = f'!f() {{ test "$1" = get && printf "username=%s\\npassword=%s\\n" "${_USER}" "${_TOKEN}"; }}; f'
"""A credential helper that reads the token of the environment: https://git-scm.com/docs/gitcredentials."""

USER_INFO = re.compile(r"(?i)(?<=://)[^/?#\s'\"]*@")
"""User name and password in a URL; nothing of a URL without."""


def read(folder: Path, *words: str, timeout: float = 10.0) -> subprocess.CompletedProcess[str]:
    """Runs a git command that only reads the repository around `folder`.

    Nothing that its configuration names is started: no file monitor, hook, filter, driver, transport or pager.

    Args:
        folder: A folder in the work tree.
        words: The command, one that only reads, and its arguments.
        timeout: Seconds.

    Raises:
        OSError: Git is not installed.
        subprocess.TimeoutExpired: It took too long.
    """
    settings = {**_NO_PROGRAMS, **_own_filters(folder, timeout)} if words[0] == "status" else _NO_PROGRAMS
    words = (words[0], *_NO_DRIVERS.get(words[0], ()), *words[1:])
    return _run(folder, words, timeout=timeout, env={**environment(settings), **_OFFLINE})


def fetch(
    folder: Path, *words: str, address: str, token: str = "", timeout: float | None = None
) -> subprocess.CompletedProcess[str]:
    """Runs a git command in a repository that was made here and that may use the network.

    Args:
        folder: The repository's work tree.
        words: The command and its arguments.
        address: The remote's URL: the token is offered to its host alone.
        token: Access token, or `USER:TOKEN`; empty leaves it to the user's own configuration. It travels in the
            environment of git alone, and is written nowhere.
        timeout: Seconds; None for no limit.

    Raises:
        OSError: Git is not installed.
        subprocess.TimeoutExpired: It took too long.
    """
    settings, variables = dict(_NO_PROGRAMS), {"GIT_TEMPLATE_DIR": ""}
    if token:
        user, secret = _user_and_secret(str(urlsplit(address).hostname), token)
        variables |= {_USER: user, _TOKEN: secret}
        scope = f"credential.{urlsplit(address).scheme}://{urlsplit(address).netloc}.helper"
        pairs = [*settings.items(), (scope, ""), (scope, _HELPER)]  # the empty one removes the user's own helpers
        return _run(folder, words, timeout=timeout, env={**environment(pairs), **variables})
    return _run(folder, words, timeout=timeout, env={**environment(settings), **variables})


def environment(settings: Mapping[str, str] | Sequence[tuple[str, str]]) -> dict[str, str]:
    """This process's variables with git's settings added; git asks nothing at a terminal.

    Settings go by variables instead of `-c NAME=VALUE`, because a name may hold a `=`.
    """
    env = {name: value for name, value in os.environ.items() if name not in _LOCATIONS}
    try:
        first = int(env.get("GIT_CONFIG_COUNT") or 0)
    except ValueError:
        first = 0
    pairs = list(settings.items()) if isinstance(settings, Mapping) else list(settings)
    for number, (name, value) in enumerate(pairs, first):
        env[f"GIT_CONFIG_KEY_{number}"], env[f"GIT_CONFIG_VALUE_{number}"] = name, value
    return {**env, "GIT_CONFIG_COUNT": str(first + len(pairs)), "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}


def last_line(done: subprocess.CompletedProcess[str], token: str = "") -> str:
    """What git said last, without user info of a URL and without the token."""
    text = USER_INFO.sub("", (done.stderr.strip().splitlines() or ["git failed"])[-1])
    secret = token.rpartition(":")[2]
    for form in {secret, quote(secret, safe="")} - {""}:
        text = text.replace(form, "***")
    return text


def without_user_info(address: str) -> tuple[str, str]:
    """An http(s) URL without its user info, and that as a token.

    A short user name without a password stays: git's own helpers find the password by it.
    """
    parts = urlsplit(address)
    user_info, separator, _ = parts.netloc.rpartition("@")
    if parts.scheme not in {"http", "https"} or not separator or (":" not in user_info and len(user_info) < 20):
        return address, ""
    return USER_INFO.sub("", address, count=1), unquote(user_info)


def _run(
    folder: Path, words: Sequence[str], *, timeout: float | None, env: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["git", "--no-pager", "-C", str(folder), *words],
        env=env,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout,
        check=False,
    )


def _own_filters(folder: Path, timeout: float) -> dict[str, str]:
    """The settings by which the filters that the repository itself defines do nothing; those of the user stay."""
    command = ("config", "--null", "--show-scope", "--get-regexp", _FILTERS)
    done = _run(folder, command, timeout=timeout, env={**environment(_NO_PROGRAMS), **_OFFLINE})
    fields = done.stdout.split("\0")
    users: dict[str, str] = {}
    own: set[str] = set()
    for scope, entry in zip(fields[::2], fields[1::2], strict=False):
        name, _, value = entry.partition("\n")
        if scope in _LOCAL_SCOPES:
            own.add(name)
        else:
            users[name] = value
    return {name: users.get(name, "") for name in sorted(own)}


def _user_and_secret(host: str, token: str) -> tuple[str, str]:
    """The user name that a host expects beside a token; a token of the form `USER:TOKEN` brings its own."""
    user, separator, secret = token.partition(":")
    if separator:
        return user, secret
    if "bitbucket" in host:
        return "x-token-auth", token
    return "oauth2" if "gitlab" in host else "x-access-token", token
