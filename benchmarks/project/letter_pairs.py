"""Prints the table of project/secrets/letter_pairs.py, counted in the sources of Python's standard library.

    python benchmarks/project/letter_pairs.py

Each word counts by the logarithm of how often it occurs, so that no single word decides.
"""

from __future__ import annotations

import re
import string
import sysconfig
from collections import Counter
from itertools import pairwise
from math import log2
from pathlib import Path


def main() -> None:
    """Prints one row a first letter: the costs of the second letters in bits."""
    words: Counter[str] = Counter()
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*.py"):
        if not {"site-packages", "test"} & set(path.parts):
            words.update(word.lower() for word in re.findall("[A-Z]?[a-z]{2,}", path.read_text(errors="replace")))
    pairs: Counter[tuple[str, str]] = Counter()
    for word, count in words.items():
        if count >= 3 and len(word) >= 3:
            for pair in pairwise(word):
                pairs[pair] += log2(count) + 1  # pyright: ignore[reportArgumentType]
    for first in string.ascii_lowercase:
        total = sum(pairs[first, second] for second in string.ascii_lowercase)
        costs = (-log2((pairs[first, second] + 0.5) / (total + 13)) for second in string.ascii_lowercase)
        print("".join(str(min(9, round(cost))) for cost in costs), first)


if __name__ == "__main__":
    main()
