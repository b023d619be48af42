"""A place that looks like a secret."""

from __future__ import annotations

from typing import NamedTuple


class Finding(NamedTuple):
    """A place in a file that looks like a secret; it never holds the secret itself.

    Attributes:
        line: Line of the file, from 1; 0 if the file's name alone is the reason.
        kind: Kind of the secret, in words for a message.
        id: Hash of the secret for `allow-secrets`: it stays the same when the line moves. Empty for a file's name.
    """

    line: int
    kind: str
    id: str
