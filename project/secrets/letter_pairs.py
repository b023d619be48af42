"""How seldom two letters follow each other in words, which tells keys without many digits from names."""

from __future__ import annotations

import re
from itertools import pairwise

_COSTS = (
    "75449759596344959343667769"  # a
    "36563788459367459446398958"  # b
    "39673793594467279463588979"  # c
    "46652679289587479545589879"  # d
    "47436569798453757334866479"  # e
    "49764379299477369455498969"  # f
    "47672854499464579446478998"  # g
    "28862899398666389564699969"  # h
    "56455559999452459543959695"  # i
    "39572999496799269557299969"  # j
    "57661658399495668736675969"  # k
    "38752799298387369855589949"  # l
    "25862899397658339856599979"  # m
    "48433538496676479843569989"  # n
    "65448669696442549345465799"  # o
    "38763786497388349354597959"  # p
    "79768897789695799659097999"  # q
    "38552769396656369544677969"  # r
    "58472774396677548742487969"  # s
    "38562794398667469345587958"  # t
    "54564569599443649343999999"  # u
    "28691799399978579778998999"  # v
    "37653694298584478346886899"  # w
    "56453597399557639662878568"  # x
    "75554667499543529633865897"  # y
    "49871699399777479775899967"  # z
)
"""Bits that the second letter (a column) costs after the first (a row): minus the binary logarithm of its probability,
9 at most. Counted in the words of the sources of Python 3.11's standard library by benchmarks/project/letter_pairs.py."""
_LETTERS = re.compile("[a-z]+")
_FIRST = ord("a")


def cost(value: str) -> tuple[float, int]:
    """The mean cost of a text's pairs of letters, and how many pairs there are.

    Words and names in code come to 3.4 to 4.9 bits, letters by chance to 5.2 to 7.
    """
    pairs = [
        int(_COSTS[26 * (ord(first) - _FIRST) + ord(second) - _FIRST])
        for run in _LETTERS.findall(value.lower())
        for first, second in pairwise(run)
    ]
    return (sum(pairs) / len(pairs) if pairs else 0.0), len(pairs)
