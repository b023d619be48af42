import pytest


def test_fit():
    pass
