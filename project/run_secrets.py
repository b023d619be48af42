"""Refuses secrets in what a run is given: arguments, variables and addresses, which services store and show."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ..core.errors import ProjectError
from ..core.security.parsed_text import parse_toml
from .secret_policy import entry_allows
from .secrets.finding import Finding
from .secrets.scan import SecretScan
from .secrets.search import SecretSearch
from .settings.settings import Settings

_HARMLESS = re.compile(r"(?:--?[\w.-]{1,40}=?)?[\w.,/:{}()$%+ -]{0,7}")
"""A word that is too short for a token."""
_NAMES_A_SECRET = re.compile(r"(?i)pass|pwd|secret|token|key|auth|cred|login|://")


_MOUNT = 'It would stay in the image too. Mount it in the step that needs it: build-secrets = { NAME = "block:NAME" }'
"""What to do with a secret among the build arguments."""


class Given(NamedTuple):
    """Something that a run is given.

    Attributes:
        kind: First part of its entry in `allow-secrets`: "args", "env" or another setting.
        place: What it is, for a message.
        text: It, with its name before it, as rules expect a secret.
    """

    kind: str
    place: str
    text: str


def refuse_given_secrets(
    *, args: Sequence[str] = (), addresses: Mapping[str, str] | None = None, root: Path | None = None
) -> None:
    """Refuses secrets in the parameters of a run, before Prefect stores them.

    Args:
        args: The script's arguments.
        addresses: Other texts by their parameters' names.
        root: The project's folder, whose `allow-secrets` counts; None where there is none yet, as for a repository.

    Raises:
        ProjectError: It names the place and kind of the first secret, and what to use instead; never the secret.
    """
    given = [*_words("args", args), *(Given(name, name, text) for name, text in (addresses or {}).items())]
    _refuse(given, _allowed(root) if root else ())


def refuse_secrets_of(settings: Settings, args: Sequence[str] = ()) -> None:
    """Refuses secrets in a project's own arguments, variables, build arguments and addresses.

    Args:
        settings: The project's settings, whose `allow-secrets` counts.
        args: Further arguments.

    Raises:
        ProjectError: As `refuse_given_secrets`.
    """
    given = [
        *_words("args", [*settings.args, *args]),
        *_words("verify-args", settings.verify_args or ()),
        *_words("command", settings.starts.command),
        *(Given("env", f"env {name}", _assigned(name, text)) for name, text in settings.env.items()),
        *(
            Given("build-args", f"build-args {name}", _assigned(name, text))
            for name, text in settings.build_args.items()
        ),
        Given("base", "base", settings.base or ""),
        Given("output", "output", settings.job.output or ""),
    ]
    _refuse(given, settings.allow_secrets)


def refuse_secrets_of_job(
    *, args: Sequence[str], command: Sequence[str], env: Mapping[str, str], allow_secrets: Sequence[str]
) -> None:
    """Refuses secrets in the fields of a training job block, which Prefect and Vertex AI store and show.

    Args:
        args: The container's arguments.
        command: Its command.
        env: Its variables.
        allow_secrets: Entries for what is no secret, as `args#0123456789ab`.

    Raises:
        ProjectError: As `refuse_given_secrets`.
    """
    given = [
        *_words("args", args),
        *_words("command", command),
        *(Given("env", f"env {name}", _assigned(name, text)) for name, text in env.items()),
    ]
    remedy = "Save it in Secret Manager, and let the script read it there with the job's own account"
    _refuse(given, allow_secrets, where="the training job block", remedy=remedy, setting="allow_secrets")


def _refuse(
    given: Iterable[Given],
    allowed: Sequence[str],
    *,
    where: str = "[tool.vertex-training]",
    remedy: str = 'Save it in a Secret block and name that: secret-env = { NAME = "block:NAME" }',
    setting: str = "allow-secrets",
) -> None:
    search = SecretSearch()
    found = [
        (item, finding)
        for item in given
        if not _is_harmless(item.text)
        for finding in _findings(item.text, search)
        if not entry_allows(finding.id, allowed)
    ]
    if not found:
        return
    item, finding = found[0]
    more = f" and {len(found) - 1} more" if len(found) > 1 else ""
    if item.kind == "build-args":
        remedy = _MOUNT
    raise ProjectError(
        f"{item.place} looks like a secret ({finding.kind}){more}, and would be stored with the run and its job",
        where=where,
        next_step=f'{remedy}; if it is none, set {setting} = ["{item.kind}#{finding.id}"]',
        detail="\n".join(f"{item.place}: {finding.kind} ({item.kind}#{finding.id})" for item, finding in found),
    )


def _findings(text: str, search: SecretSearch) -> list[Finding]:
    scan = SecretScan(search)
    scan.feed(text.encode("utf-8", "surrogatepass"), last=True)
    return scan.findings


def _is_harmless(text: str) -> bool:
    """Whether the rules, which take a while to load, can't find anything in the text."""
    return all(_HARMLESS.fullmatch(line) and not _NAMES_A_SECRET.search(line) for line in text.splitlines())


def _words(kind: str, words: Sequence[str]) -> Iterator[Given]:
    """Each argument with its option's name: `--token VALUE` and `--token=VALUE` alike."""
    option = ""
    for number, word in enumerate(words, 1):
        name, separator, value = word.partition("=")
        if separator and re.fullmatch(r"[-+]{0,2}[\w.-]+", name):
            yield Given(kind, f"the argument {name}", f"{_assigned(name.lstrip('-+'), value)}")
            option = ""
        elif re.fullmatch(r"--?[A-Za-z][\w.-]*", word):
            yield Given(kind, f"argument {number}", word)
            option = word
        else:
            place = f"the argument {option}" if option else f"argument {number}"
            yield Given(kind, place, _assigned(option.lstrip("-"), word) if option else word)
            option = ""


def _assigned(name: str, value: str) -> str:
    quote = "'" if '"' in value else '"'
    return f"{name}={quote}{value}{quote}\n{value}"


def _allowed(root: Path) -> Sequence[str]:
    """`allow-secrets` of the project in a folder; nothing if it can't be read, which its own check will say."""
    try:
        document = parse_toml((root.expanduser() / "pyproject.toml").read_text(encoding="utf-8-sig"))
        entries = document["tool"]["vertex-training"]["allow-secrets"]
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, KeyError, TypeError):
        return ()
    return [entry for entry in entries if isinstance(entry, str)] if isinstance(entries, list) else ()
