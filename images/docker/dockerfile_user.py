"""The user that a Dockerfile's image runs as, where it can't write into the working directory."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace

from .dockerfile_parse import Instruction, declared, instructions

_ROOT = frozenset(("", "root", "0"))
_CHANGES_OWNER = re.compile(r"\b(?:chown|chmod|setfacl)\b")
_COPIES_FOR = re.compile(r"--ch(?:own|mod)=")


@dataclass(frozen=True, slots=True)
class ImageUser:
    """A USER instruction.

    Attributes:
        name: The user, a name or a number.
        line: The line of the instruction, from 1.
    """

    name: str
    line: int


@dataclass(frozen=True, slots=True)
class _Stage:
    user: ImageUser | None = None
    may_write: bool = False


def user_without_folder(text: str, build_args: Mapping[str, str], target: str | None = None) -> ImageUser | None:
    """The user of the target stage if nothing in the Dockerfile gives it the files and folders; None for root.

    COPY and WORKDIR make files and folders that belong to root, whatever USER says; a WORKDIR that a build makes behind
    USER belongs to that user.

    Args:
        text: The Dockerfile's text.
        build_args: Values for its ARGs.
        target: The stage to build; None for the last.
    """
    stages: dict[str, _Stage] = {}
    keys: tuple[str, ...] = ()
    values: dict[str, str] = {}
    for item in instructions(text):
        if item.keyword == "ARG":
            values |= {name: build_args.get(name, default) for name, default in declared(item)}
        elif item.keyword == "FROM":
            words = [word for word in item.text.split() if not word.startswith("--")]
            found = stages.get(words[0].lower(), _Stage()) if words else _Stage()
            number = str(sum(key.isdecimal() for key in stages))
            keys = (number, words[2].lower()) if len(words) == 3 else (number,)
            stages |= dict.fromkeys(keys, found)
        elif keys:
            stages |= dict.fromkeys(keys, _after(stages[keys[0]], item, values))
    last = stages.get(target.lower() if target else (keys or ("",))[0], _Stage())
    return None if last.may_write else last.user


def _after(stage: _Stage, item: Instruction, values: Mapping[str, str]) -> _Stage:
    if item.keyword == "USER":
        written = item.text.partition(":")[0].strip("\"'")
        name = values.get(re.sub(r"^\$\{?(\w+)\}?$", r"\1", written), written)
        return replace(stage, user=None if name in _ROOT else ImageUser(name, item.line))
    gives = (
        (item.keyword == "RUN" and _CHANGES_OWNER.search(item.text))
        or (item.keyword in {"COPY", "ADD"} and _COPIES_FOR.search(item.text))
        or (item.keyword == "WORKDIR" and stage.user)
    )
    return replace(stage, may_write=True) if gives else stage
