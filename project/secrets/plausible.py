"""Tells real secrets from placeholders, references to variables, and passwords that open nothing."""

from __future__ import annotations

import math
import re
from collections import Counter

_PLACEHOLDER = re.compile(
    r"(?i)example|placeholder|change.?me|dummy|redacted|your[_-]|insert|replace.?me|x{6}|0{8}|1234567|abcdef|\*{3}|\.{3}"
    r"|^\W*(?:pass(?:word)?|passwd|pwd|secret|token|test)\W*$"
)
_REFERENCE = re.compile(r"^(?:[<{%$].*|.*[>}%]|\$\w+)$")
_NOT_RANDOM = re.compile(r"[(){}\[\]<>,;]|://|^[./~]|/.*/.*/|\$(?:2[aby]|[156]|argon2\w*|pbkdf2[\w-]*)\$")
"""Code, URLs, paths, and hashes of passwords."""
_HARMLESS_HOSTS = frozenset({"localhost", "127.0.0.1", "host", ""})


def is_placeholder(secret: str) -> bool:
    """Whether a text stands for a secret, such as `your-token` or `${TOKEN}`, and is none."""
    return bool(_PLACEHOLDER.search(secret) or _REFERENCE.match(secret)) or len(set(secret)) < 4


def is_harmless_login(text: str, password: str) -> bool:
    """Whether a URL's password is no secret.

    Such as in `postgres:postgres@localhost`, which gives access to this machine alone, or `user:my-password@host`.
    """
    before, _, after = text.partition(f":{password}@")
    user, host = before.rpartition("://")[2], re.split(r"[^\w.-]", after, maxsplit=1)[0]
    descriptive = re.search(r"(?i)pass|secret|token|key|pwd", password) or not re.search(r"\d", password)
    return bool(descriptive) or user == password or host in _HARMLESS_HOSTS


def is_random(value: str) -> bool:
    """Whether a text mixes letters and digits as keys do, and words and names don't."""
    if is_placeholder(value) or _NOT_RANDOM.search(value):
        return False
    lower, upper, digits = (any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit))
    is_hex = len(value) >= 32 and re.fullmatch(r"[0-9a-fA-F]+", value) is not None
    return digits and ((lower and upper) or is_hex) and _entropy(value) > 3.2


def _entropy(value: str) -> float:
    """Shannon entropy, in bits for each character."""
    return -sum(count / len(value) * math.log2(count / len(value)) for count in Counter(value).values())
