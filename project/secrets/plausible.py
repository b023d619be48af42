"""Tells real secrets from placeholders, references to variables, and passwords that open nothing."""

from __future__ import annotations

import re
from itertools import pairwise

from . import letter_pairs
from .gitleaks_rules import entropy

_PLACEHOLDER = re.compile(
    r"(?i)example|placeholder|change.?(?:me|it|this)|dummy|redacted|your[_-]|[_-]?your|insert|replace.?me|x{4}|0{8}|\*{3}|\.{3}"
    r"|_here$|^(?:todo|tbd|fixme|none|null|nil|true|false|undefined|string|str|required|optional|default|empty|unset|hidden|deprecated|auto|warn)$"
)
_REFERENCE = re.compile(
    r"^(?:[<{%].*|\$[({]?\w+[)}]?|@\w+@|.*[>}%])$|\$\{|\$\(|\{\{|\{[a-z_]\w*\}|environ|getenv|process\.env|secrets?\.|vault:|arn:aws|^op://"
)
_CODE = re.compile(r"[(){}\[\]<>;]|^[./~]|/.*/.*/")
"""Code and paths, or signs in a password that a program chose."""
_NEVER = re.compile(r"://|\$(?:2[aby]|[156]|argon2\w*|pbkdf2[\w-]*)\$|=[^=,]*,[^=,]*=")
"""URLs, hashes of passwords, and lists of options."""
_DOTTED_NAME = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)+")
"""As `config.api_key`; the parts of a token are longer than names."""
_WORDS = re.compile(
    r"(?i)pass(?:word|wd|phrase|code|wort)?|passwd|pwd|secrets?|tokens?|keys?|my|the|your|user(?:name)?|login|db|database|test|api|name"
    r"|id|some|value|env|prompt|field|file|path|type|confirm|new|old|hash(?:ed)?|admin|root|auth|access|client|app|service|default|enter"
    r"|text|input|label|super|hidden|plain|strong|weak|long|random|and|or|is|no|not|set|get|a|an|here|foo|bar|baz|abc|wandb|mlflow|aws|gcp|azure"
    r"|github|gitlab|docker|postgres(?:ql)?|mysql|redis|mongo(?:db)?|minio|airflow|grafana|rabbitmq|guest|local(?:host)?|dev|prod|staging|train(?:ing)?"
)
"""Words of which placeholders and names of variables are made."""
_SEQUENCES = ("01234567890123456789", "abcdefghijklmnopqrstuvwxyz", "qwertyuiop", "9876543210987654321")
_NO_SECRET_NAME = re.compile(
    r"(?i)public|pub_?key|cache|primary|foreign|original_?key|sort|partition|hash|commit|sha\d|digest|checksum|etag|tokenizer|token_?(?:id|type|count|len)|tokens_|max_?tokens"
    r"|key_?(?:id|name|file|path|size|len)|monkey(?!.*(?:key|token|secret))|keyboard|authorship|fingerprint|signature|(?<!con)version(?![a-z])|(?<![a-z])(?:pad|bos|eos|unk|cls|sep|mask|image|special)_token"
    r"|key_?word|dict_?key|state_?key|json_?key|token_?(?:url|uri|endpoint|file)|passw(?:or)?d_?(?:file|hash|field|hint|help|policy|min|max|len|reset|label)"
    r"|(?:secret|token|key)_?(?:name|ref|version|id|arn|path|file|class|store)s?$|csrf|nonce|casa_token|jwt_?algorithm|no_?auth|bypass|compass|encompass|pass_?(?:through|rate|es)"
    r"|^pass_(?!wo?r?d|phrase|code|key|secret|token|dev|prod|test|stag|local|admin|user|root|db|\d)"
)
"""Names whose values are no secrets, such as hashes and ids."""
_UUID = re.compile(r"(?i)[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")
_HEX = re.compile(r"[0-9a-fA-F]+")
_HARMLESS_HOSTS = frozenset({"localhost", "127.0.0.1", "host", ""})


def is_placeholder(secret: str) -> bool:
    """Whether a text stands for a secret, such as `your-token` or `${TOKEN}`, and is none."""
    return (
        bool(_PLACEHOLDER.search(secret) or _REFERENCE.search(secret))
        or len(set(secret)) < 4
        or _in_sequence(secret.lower()) * 2 > len(secret)
        or is_made_of_words(secret)
    )


def is_made_of_words(value: str) -> bool:
    """Whether nothing is left of a text but the words of which placeholders and names are made, and a digit or two."""
    rest = _WORDS.sub("", value)
    return re.fullmatch(r"[\W_]*\d{0,3}[\W_]*", rest) is not None and len(value) < 40


def is_harmless_login(text: str, password: str) -> bool:
    """Whether a URL's password is no secret.

    Such as in `postgres:postgres@localhost`, which gives access to this machine alone, or `user:password@host`.
    """
    before, _, after = text.partition(f":{password}@")
    user, host = before.rpartition("://")[2], re.split(r"[^\w.-]", after, maxsplit=1)[0]
    return user == password or host in _HARMLESS_HOSTS


def is_random(value: str, name: str = "", *, in_address: bool = False) -> bool:
    """Whether a text mixes letters and digits as keys do, and words and names don't.

    Args:
        value: The text.
        name: What it is assigned to: a UUID is a key only where the name says so.
        in_address: Whether it stands in an address's query: there a UUID after `token=` alone names a file.
    """
    if is_placeholder(value) or _is_code(value) or _NO_SECRET_NAME.search(name):
        return False
    if is_uuid(value):
        names = r"(?i)key|.[_.-]?token|secret|pass" if in_address else r"(?i)key|token|secret|pass"
        return bool(re.search(names, name)) and not re.search(r"(?i)u?id$", name)
    parts = re.split(r"[_.:-]", value)
    if name.lower() == "key" and len(parts) > 1:  # as in `key: linux-py311-0f3a9c1b2d4e`
        return sum(len(part) for part in parts if _is_chance(part)) >= _MUCH_CHANCE
    return (any(map(_is_random_part, (value, *parts))) or _is_noise(value)) and entropy(value) > 3.1


def is_password(name: str, value: str, *, quoted: bool, separator: str) -> bool:
    """Whether a value that is assigned to a name such as `password` is one that somebody chose.

    Args:
        name: What it is assigned to.
        value: The value.
        quoted: Whether it is a literal; other texts are often names of variables.
        separator: What stands between.
    """
    if not re.search(r"(?i)pass|pwd", name) or _NO_SECRET_NAME.search(name):
        return False
    if is_placeholder(value) or _is_code(value) or value.lower() in name.lower():
        return False
    letters = any(map(str.isalpha, value))
    mixed = letters and bool(re.search(r"[0-9$#@!%&*?^+~]", value))
    if not quoted or "," in separator:
        return mixed and not re.fullmatch(r"[a-z_]+\d?", value) if not quoted and separator == "=" else mixed
    return letters and value.isascii() and not re.fullmatch(r"[A-Z_]+|[a-z]+(?:[-_][a-z]+){2,}", value)


def is_mixed_by_chance(value: str) -> bool:
    """Whether letters and digits alone show that nobody chose this text, whatever it is assigned to."""
    return _is_random_part(value)


def _is_code(value: str) -> bool:
    dotted = _DOTTED_NAME.fullmatch(value) and max(map(len, value.split("."))) < 32
    return bool(dotted or _NEVER.search(value) or (_CODE.search(value) and not _is_noise(value)))


def _is_noise(value: str) -> bool:
    """Whether the letters and digits of a text are of all kinds and follow each other as by chance.

    The signs between them don't count: brackets and slashes of code stand between words.
    """
    signs = re.sub(r"[^A-Za-z0-9]", "", value)
    kinds = all(any(map(test, signs)) for test in (str.islower, str.isupper, str.isdigit))
    cost, pairs = letter_pairs.cost(value)
    return len(signs) >= 16 and kinds and _changes(signs) >= _CHANCE_OF_ALL and (pairs < 4 or cost >= _WORDS_END)


def _is_chance(part: str) -> bool:
    """Whether a part of a key such as `linux-py311-0f3a9c1b2d4e` is no word, version, number or hash."""
    if len(part) < 4 or part.isdigit() or _HEX.fullmatch(part) or re.fullmatch(r"[A-Za-z]+\d+|\d+[A-Za-z]+", part):
        return False
    cost, pairs = letter_pairs.cost(part)
    unpronounceable = pairs >= 5 and cost >= _CHANCE_OF_PAIRS
    return unpronounceable or (_changes(part) >= _CHANCE_IN_SHORT and not (pairs >= 5 and part.isalpha()))


def is_uuid(value: str) -> bool:
    """Whether a text is a UUID."""
    return _UUID.fullmatch(value) is not None


def _is_random_part(value: str) -> bool:
    """Whether letters and digits follow each other as by chance, without the separators that names have."""
    lower, upper, digits = (any(map(test, value)) for test in (str.islower, str.isupper, str.isdigit))
    if len(value) >= 32 and digits and _HEX.fullmatch(value):
        return True
    changes = _changes(value)
    if "_" in value and _is_named(value):
        return False
    if _is_unpronounceable(value, digits=digits, cases=lower and upper):
        return True
    by_cases = lower and upper and len(value) >= 20 and changes >= _CHANCE_OF_CASES
    if len(value) < 12 or not (digits or (by_cases and letter_pairs.cost(value)[0] >= _WORDS_END)):
        return False
    if not (lower and upper) and len(value) < 20 and changes < (_CHANCE_IN_SHORT if len(value) >= 16 else 0.5):
        return False
    chance = _CHANCE_OF_ALL if lower and upper else _CHANCE
    return changes >= chance or not (_is_readable(value) or "_" in value or "." in value)


_CHANCE, _CHANCE_IN_SHORT, _CHANCE_OF_CASES, _CHANCE_OF_ALL = 0.18, 0.35, 0.4, 0.36
"""How often random text changes between small letters, capitals and digits, a character: with digits about 0.4, with
both cases 0.5, with all three 0.6. Words with numbers come to 0.15, and words in CamelCase to 0.3."""


_WORDS_END, _CHANCE_OF_PAIRS = 4.9, 5.2
"""Mean costs of pairs of letters: names in code come to 4.9 bits at most; of texts of letters by chance nine in ten come
to 5.2 or more."""
_MUCH_CHANCE = 16
"""Characters of a key's parts that are there by chance, from which it is a secret."""


def _is_unpronounceable(value: str, *, digits: bool, cases: bool) -> bool:
    """Whether a text has letters that don't follow each other in words, and digits or both cases."""
    cost, pairs = letter_pairs.cost(value)
    enough = len(value) >= (12 if cases or digits else 20) and pairs >= 7
    return enough and cost >= (_CHANCE_OF_PAIRS if digits or cases else _CHANCE_OF_PAIRS + 0.3)


def _is_named(value: str) -> bool:
    """Whether a text is words joined by `_` with little else, such as `tool_arg_key_b9d4f5c2`."""
    words = [part for part in value.split("_") if part.isalpha() and part.islower() and len(part) > 2]
    rest = [part for part in value.split("_") if part not in words]
    plain = all(letter_pairs.cost(word)[0] < _CHANCE_OF_PAIRS for word in words)
    return len(words) >= 2 and plain and all(len(part) < 12 for part in rest)


def _changes(value: str) -> float:
    """How often a text changes between small letters, capitals and digits, as a part of its length."""
    kinds = ["d" if char.isdigit() else "u" if char.isupper() else "l" for char in value if char.isalnum()]
    return sum(one != other for one, other in pairwise(kinds)) / max(len(value), 1)


def _is_readable(value: str) -> bool:
    """Whether a text is made of words and numbers, such as `Adam_lr0.001_Batch64` or `resnet50-imagenet-2023`."""
    parts = re.findall(r"[A-Z]?[a-z]+|[A-Z]+|\d+", value)
    words = sum(len(part) for part in parts if len(part) >= 4 and part.isalpha())
    return words * 2 > len(value) and len(value) < 64


def _in_sequence(value: str) -> int:
    """Characters of the longest part that follows the alphabet, the digits or the keyboard."""
    longest = 0
    for sequence in _SEQUENCES:
        for start in range(len(value)):
            end = start + max(longest, 5) + 1
            while end <= len(value) and value[start:end] in sequence:
                longest, end = end - start, end + 1
    return longest
