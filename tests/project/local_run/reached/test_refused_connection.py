"""Why a script that reaches no host failed."""

from __future__ import annotations

import pytest
from prefect_vertex_training.project.local_run.reached.refused_connection import refused_connection


@pytest.mark.parametrize(
    ("tail", "asked", "address"),
    [
        (
            ["RuntimeError: Error downloading train.gz:", "Tried https://a.example/mnist/, got:",
             "<urlopen error [Errno -2] Name or service not known>"],
            ["https://a.example/mnist/train.gz?key=1", "a.example:443"],
            "https://a.example/mnist/train.gz",
        ),
        (
            ["HTTPSConnectionPool(host='b.example', port=443): Max retries exceeded with url: /x/y?key=1"],
            ["b.example:443"],
            "https://b.example/x/y",
        ),
        (
            ["OSError: We couldn't connect to 'https://huggingface.co' to load the files"],
            ["https://other.example/a", "huggingface.co:443"],
            "https://huggingface.co",
        ),
        (
            ["OSError: We couldn't connect to 'https://hub.example', see 'https://hub.example/docs/installation#offline'."],
            ["hub.example:443"],
            "https://hub.example",
        ),
        (["curl: (6) Could not resolve host: c.example"], [], "c.example"),
        (["wget: unable to resolve host address \u2018d.example\u2019"], [], "d.example"),
        (["httpx.ConnectError: [Errno -3] Temporary failure in name resolution"], ["e.example:443"], "e.example:443"),
        (["urllib.error.URLError: <urlopen error Tunnel connection failed: 403 Forbidden>"],
         ["https://user:secret@f.example/a", "proxy.example:3128"], "https://f.example/a"),
        (["Exception: URL fetch failure on https://g.example/mnist.npz: None -- [Errno -2] Name or service not known"],
         [], "https://g.example/mnist.npz"),
        (["socket.gaierror: [Errno -2] Name or service not known"], [], "something on the network"),
    ],
)  # fmt: skip
def test_what_was_asked_for_is_named(tail: list[str], asked: list[str], address: str) -> None:
    """By its URL if that is known, else by its host; without what signs a URL."""
    found = refused_connection(tail[0], tail, asked)

    assert found
    assert found.reason == f"it asks for {address}, which can't be reached from here"


def test_an_older_failure_is_not_the_reason() -> None:
    """Only the exceptions of the last traceback and of those that led to it count."""
    older = ["Traceback (most recent call last):", '  File "a.py", line 1', "OSError: Connection refused"]
    last = ["Traceback (most recent call last):", '  File "a.py", line 2', "ValueError: rows"]
    led = ["", "The above exception was the direct cause of the following exception:", ""]

    assert refused_connection(last[-1], [*older, "goes on", *last], ["http://a.example/"]) is None
    assert refused_connection(last[-1], [*older, *led, *last], ["http://a.example/"])


@pytest.mark.parametrize(
    ("last", "asked", "address"),
    [
        (
            ["FileNotFoundError: Couldn't find a module script at /x/glue.py. Module 'glue' doesn't exist on the Hub"],
            ["huggingface.co:443"],
            "huggingface.co:443",
        ),
        (
            ["OSError: acme/small is not a local folder and is not a valid model identifier listed on the site"],
            ["https://telemetry.example/", "hub.example:443"],
            "hub.example:443",
        ),
        (
            ["LookupError:", "  Resource \x1b[93mpunkt\x1b[0m not found."],
            ["https://data.example/nltk/index.xml", "data.example:443"],
            "https://data.example/nltk/index.xml",
        ),
    ],
)  # fmt: skip
def test_a_refused_download_behind_another_error_is_named(last: list[str], asked: list[str], address: str) -> None:
    """A library that takes it for a thing that doesn't exist hides it: the server itself is asked."""
    tail = ["Traceback (most recent call last):", '  File "a.py", line 1', *last]

    found = refused_connection(last[0], tail, asked, lambda _address: False)

    assert found
    assert found.reason == f"it asks for {address}, which can't be reached from here"
    assert refused_connection(last[0], tail, asked, lambda _address: True) is None
    assert refused_connection(last[0], tail, [], lambda _address: False) is None
