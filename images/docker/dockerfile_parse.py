"""Parses the parts of a Dockerfile that this project needs: its instructions with their lines, and the images it uses.

https://docs.docker.com/reference/dockerfile/
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ...core.errors import DockerError
from ...core.security.parsed_text import parse_json

_DIRECTIVE = re.compile(r"#\s*escape\s*=\s*(\S)\s*$", re.IGNORECASE)
_HEREDOC = re.compile(r"<<-?\s*[\"']?(\w+)[\"']?")
_VARIABLE = re.compile(r"\$(?:(\w+)|\{(\w+)(?:(:?[-+])([^}]*))?\})")
_COPY_FROM = re.compile(r"--from=(\S+)")
_MOUNT = re.compile(r"--mount=(\S+)")
_MOUNT_FROM = re.compile(r"--mount=\S*\bfrom=([^,\s]+)")


_TARGET = {"TARGETPLATFORM": "linux/amd64", "TARGETOS": "linux", "TARGETARCH": "amd64", "TARGETVARIANT": ""}
"""The values of BuildKit's own ARGs, which need no ARG line before the first FROM."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """One instruction.

    Attributes:
        line: The number of its first line, from 1.
        keyword: The instruction's name in capitals.
        text: The text after the keyword, with continued lines joined by spaces.
    """

    line: int
    keyword: str
    text: str


def instructions(text: str) -> list[Instruction]:
    """The instructions in order, without comments, empty lines and here-documents."""
    lines = text.splitlines()
    escape = "\\"
    for directive in lines[:2]:
        if match := _DIRECTIVE.match(directive):
            escape = match[1]
    found: list[Instruction] = []
    parts: list[str] = []
    start, number = 0, 0
    while number < len(lines):
        line = lines[number].strip()
        number += 1
        if not line or line.startswith("#"):
            continue
        start = start or number
        parts.append(line.removesuffix(escape).rstrip())
        if line.endswith(escape):
            continue
        keyword, _, rest = " ".join(parts).partition(" ")
        found.append(Instruction(start, keyword.upper(), " ".join(rest.split())))
        number = _skip_heredocs(lines, number, found[-1])
        parts, start = [], 0
    return found


def _skip_heredocs(lines: list[str], number: int, instruction: Instruction) -> int:
    if instruction.keyword not in {"RUN", "COPY", "ADD"}:
        return number
    for word in _HEREDOC.findall(instruction.text):
        for ahead in range(number, len(lines)):
            if lines[ahead].strip() == word:
                number = ahead + 1
                break
    return number


@dataclass(frozen=True, slots=True)
class SecretMount:
    """A secret that a RUN instruction mounts.

    Attributes:
        line: The instruction's first line, from 1.
        id: By which the build is given the secret.
        required: Whether the instruction fails without it.
    """

    line: int
    id: str
    required: bool


def needs_session(text: str) -> bool:
    """Whether a Dockerfile mounts something that its engine asks its client for: a secret, or an ssh agent."""
    return any(values.get("type") in {"secret", "ssh"} for _, values in _mounts(text))


def secret_mounts(text: str) -> list[SecretMount]:
    """The secrets that a Dockerfile mounts, in order.

    https://docs.docker.com/reference/dockerfile/#run---mounttypesecret says which options there are.
    """
    found: list[SecretMount] = []
    for line, values in _mounts(text):
        if values.get("type") == "secret":
            target = values.get("target") or values.get("dst") or values.get("destination") or ""
            name = values.get("id") or values.get("source") or values.get("src") or target.rpartition("/")[2]
            required = "required" in values and values["required"].lower() in {"", "true", "1"}
            found.append(SecretMount(line, name, required))
    return found


def _mounts(text: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Line and options of every mount."""
    for instruction in instructions(text):
        for options in _MOUNT.findall(instruction.text) if instruction.keyword == "RUN" else ():
            parts = (part.strip("\"'").partition("=") for part in options.split(","))
            yield instruction.line, {name.lower(): value for name, _, value in parts}


@dataclass(frozen=True, slots=True)
class Origin:
    """The image that a stage starts from.

    Attributes:
        image: The image as written, with variables replaced; "scratch" for an empty one.
        platform: The platform in `FROM --platform=`; empty if there is none, or one of BuildKit's BUILD... variables.
    """

    image: str
    platform: str = ""


@dataclass(frozen=True, slots=True)
class Images:
    """The images that a Dockerfile names.

    Attributes:
        all: The images to start from or to copy from, in order, each once, without stages and `scratch`.
        final: The image that the target stage starts from, directly or through other stages; None without FROM.
    """

    all: tuple[str, ...]
    final: Origin | None


def named_images(text: str, build_args: Mapping[str, str], target: str | None = None) -> Images:
    """Finds the images that a Dockerfile names.

    Args:
        text: The Dockerfile's text.
        build_args: Values for the ARGs before the first FROM.
        target: The stage to build; None for the last.

    Raises:
        DockerError: A FROM names no image, because a variable in it has no value.
    """
    values = dict(_TARGET)
    stages: dict[str, Origin] = {}  # by number and by name
    names: list[str] = []
    count = 0
    for item in instructions(text):
        if item.keyword == "ARG" and not stages:
            for name, default in declared(item):
                values[name] = build_args.get(name, _expand(default, values) or values.get(name, ""))
        elif item.keyword == "FROM":
            origin, alias = _from(item.text, values)
            _require_image(item, origin.image)
            names.append(origin.image)
            origin = stages.get(origin.image.lower(), origin)
            stages[str(count)] = stages[alias.lower() or str(count)] = origin
            count += 1
        elif item.keyword == "COPY":
            names += _COPY_FROM.findall(item.text)
        elif item.keyword == "RUN":
            names += _MOUNT_FROM.findall(item.text)
    external = (name for name in names if name.lower() not in stages and name != "scratch" and name)
    final = stages.get(target.lower() if target else str(count - 1))
    return Images(tuple(dict.fromkeys(external)), final)


def declared(argument: Instruction) -> list[tuple[str, str]]:
    """The names that an ARG declares, with their defaults; empty without one. BuildKit allows several in a line."""
    try:
        words = shlex.split(argument.text)
    except ValueError:  # an open quote, which the build refuses
        words = [argument.text]
    return [(name, default) for name, _, default in (word.partition("=") for word in words)]


def _require_image(item: Instruction, image: str) -> None:
    """Rejects `FROM ${BASE}` without a value of BASE, and `FROM python:${TAG}` without one of TAG."""
    if image and not image.startswith("/") and not image.endswith((":", "@", "/")):
        return
    variables = list(dict.fromkeys(found[1] or found[2] for found in _VARIABLE.finditer(item.text)))
    why = f", because no ARG before the first FROM gives a value of {' and '.join(variables)}" if variables else ""
    raise DockerError(
        f"{item.keyword} {item.text}".rstrip() + f" names no image{why}",
        where=f"the Dockerfile, line {item.line}",
        next_step="Give it one there, or in build-args" if variables else "Name the image to start from",
    )


def _from(text: str, values: Mapping[str, str]) -> tuple[Origin, str]:
    words = text.split()
    platform = next((word.partition("=")[2] for word in words if word.startswith("--platform=")), "")
    words = [word for word in words if not word.startswith("--")]
    image = _expand(words[0], values) if words else ""
    alias = words[2] if len(words) == 3 else ""
    return Origin(image, _expand(platform, values)), alias


def _expand(text: str, values: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        known = values.get(match[1] or match[2], "")
        if match[3] in {"-", ":-"}:
            return known or match[4]
        if match[3] in {"+", ":+"}:
            return match[4] if known else ""
        return known

    return _VARIABLE.sub(value, text)


def line_of(text: str, step: str) -> int | None:
    """The line of the instruction that a builder names, such as `RUN pip install x`; None if there is none."""
    wanted = " ".join(step.split()).lower()
    return next((i.line for i in instructions(text) if f"{i.keyword} {i.text}".lower() == wanted), None)


@dataclass(frozen=True, slots=True)
class Program:
    """The words of an ENTRYPOINT or CMD.

    Attributes:
        line: The number of its line, from 1.
        words: The words in exec form; empty in shell form.
        shell: The text in shell form; empty in exec form.
    """

    line: int
    words: tuple[str, ...] = ()
    shell: str = ""


@dataclass(frozen=True, slots=True)
class Startup:
    """What the image of a Dockerfile runs.

    Attributes:
        entrypoint: Its ENTRYPOINT; None if the Dockerfile has none.
        cmd: Its CMD; None if the Dockerfile has none.
        base: The image that the target stage starts from, as in `Images.final`.
    """

    entrypoint: Program | None
    cmd: Program | None
    base: str


def startup(text: str, build_args: Mapping[str, str], target: str | None = None) -> Startup:
    """Finds what the target stage of a Dockerfile runs, through the stages that it starts from.

    Args:
        text: The Dockerfile's text.
        build_args: Values for the ARGs before the first FROM.
        target: The stage to build; None for the last.
    """
    final = named_images(text, build_args, target).final
    base = final.image if final else ""
    stages: dict[str, Startup] = {}  # by number and by name
    keys: tuple[str, ...] = ()
    for item in instructions(text):
        if item.keyword == "FROM":
            origin, alias = _from(item.text, {})
            found = stages.get(origin.image.lower(), Startup(None, None, base))
            number = str(sum(key.isdecimal() for key in stages))
            keys = (number, alias.lower()) if alias else (number,)
        elif item.keyword in {"ENTRYPOINT", "CMD"} and keys:
            found = replace(stages[keys[0]], **{item.keyword.lower(): _program(item)})
        else:
            continue
        stages |= dict.fromkeys(keys, found)
    return stages.get(target.lower() if target else (keys or ("",))[0], Startup(None, None, base))


def _program(item: Instruction) -> Program:
    try:
        words = parse_json(item.text)
    except ValueError:
        words = None
    if isinstance(words, list) and all(isinstance(word, str) for word in words):
        return Program(item.line, tuple(words))
    return Program(item.line, shell=item.text)
