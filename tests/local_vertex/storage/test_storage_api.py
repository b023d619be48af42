"""The storage server answers as Cloud Storage does: preconditions, uploads, lists, names that are no paths."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
from typing import Any
from urllib.parse import quote

import google_crc32c
import pytest
from prefect_vertex_training.local_vertex.storage import storage_service

JSON = {"Content-Type": "application/json"}


def crc32c(data: bytes) -> str:
    """As the API writes it."""
    return base64.b64encode(google_crc32c.value(data).to_bytes(4, "big")).decode()


def session(storage: Any, name: str, **query: Any) -> str:
    """Starts a resumable upload; returns its path."""
    extra = "".join(f"&{key}={value}" for key, value in query.items())
    status, headers, body = storage.raw(
        "POST", f"upload/storage/v1/b/b/o?uploadType=resumable{extra}", json.dumps({"name": name}).encode(), JSON
    )
    assert status == 200, body
    assert headers["location"].startswith(f"{storage.url}/")
    return headers["location"].removeprefix(f"{storage.url}/")


@pytest.mark.parametrize("headers", [{"Origin": "https://evil.example"}, {"Host": "evil.example:80"}])
def test_pages_of_others_are_not_served(storage: Any, headers: dict[str, str]) -> None:
    """Even with the secret, which a page could have read in an address."""
    assert storage.raw("GET", "storage/v1/b/b", headers=headers)[0] == 403


def test_only_those_with_the_secret_are_served(storage: Any) -> None:
    """The secret is a part of the path, because clients send no credentials to an emulator."""
    storage.url = storage.url.replace("/k-", "/k-other")

    assert storage.call("GET", "b/b")[0] == 401
    assert storage.put("x", b"")[0] == 401


def test_a_token_from_here_stands_for_the_secret(storage: Any) -> None:
    """Gcloud sends uploads to the host alone, without the path that an endpoint has, but with the token that it got."""
    token = json.loads(storage.raw("GET", "_storage/token")[2])["access_token"]
    storage.url = storage.url.rpartition("/")[0]
    path = "upload/storage/v1/b/b/o?uploadType=media&name=x"

    assert storage.raw("POST", path, b"1", {"Authorization": f"Bearer {token}"})[0] == 200
    assert storage.raw("POST", path, b"2", {"Authorization": f"Bearer {token}x"})[0] == 401
    assert (storage.bucket / "x").read_bytes() == b"1"


def test_an_upload_is_checked_and_described(storage: Any) -> None:
    """Size, checksums and generation are right; wrong checksums are refused and nothing is written."""
    status, found = storage.put("x", b"hello")
    headers = {"X-Goog-Hash": f"crc32c={crc32c(b'other')}"}
    refused, _, body = storage.raw("POST", "upload/storage/v1/b/b/o?uploadType=media&name=y", b"hello", headers)

    assert (status, found["size"], found["crc32c"]) == (200, "5", crc32c(b"hello"))
    assert found["md5Hash"] == base64.b64encode(hashlib.md5(b"hello").digest()).decode()
    assert int(found["generation"]) > 10**15
    assert refused == 400
    assert b"doesn't match calculated CRC32C" in body
    assert storage.names() == (["x"], [])


def test_preconditions_of_writes_and_deletions(storage: Any) -> None:
    """A refused one changes nothing and answers 412; a generation grows with each write."""
    first = storage.put("x", b"1", ifGenerationMatch=0)[1]["generation"]

    assert storage.put("x", b"2", ifGenerationMatch=0)[0] == 412
    second = storage.put("x", b"2", ifGenerationMatch=first)[1]["generation"]
    assert int(second) > int(first)
    assert storage.put("x", b"3", ifGenerationMatch=first)[0] == 412
    assert storage.call("DELETE", f"b/b/o/x?ifGenerationMatch={first}")[0] == 412
    assert storage.read("x") == b"2"
    assert storage.call("GET", f"b/b/o/x?ifGenerationNotMatch={second}")[0] == 304
    assert storage.call("GET", f"b/b/o/x?generation={first}")[0] == 404
    assert storage.call("DELETE", f"b/b/o/x?ifGenerationMatch={second}")[0] == 204
    assert storage.call("DELETE", "b/b/o/x") == (404, storage.call("GET", "b/b/o/x")[1])


def test_a_file_that_somebody_else_wrote_has_a_new_generation(storage: Any) -> None:
    """Also when its size stays the same; its metadata are not those of the earlier content."""
    earlier = storage.put("x", b"one")[1]
    (storage.bucket / "x").write_bytes(b"two")
    found = storage.call("GET", "b/b/o/x")[1]

    assert found["generation"] != earlier["generation"]
    assert found["crc32c"] == crc32c(b"two")
    assert "md5Hash" not in found
    assert storage.put("x", b"3", ifGenerationMatch=earlier["generation"])[0] == 412


def test_metadata_are_changed_and_kept(storage: Any) -> None:
    """PATCH merges, None removes, the metageneration grows and the generation stays; long metadata work, too."""
    made = storage.put("x", b"1")[1]
    long = "v" * 5000
    found = storage.call("PATCH", "b/b/o/x", {"contentType": "a/b", "metadata": {"k": "v", "long": long}})[1]

    assert (found["generation"], found["metageneration"]) == (made["generation"], "2")
    assert (found["contentType"], found["metadata"]) == ("a/b", {"k": "v", "long": long})

    found = storage.call("PATCH", "b/b/o/x", {"metadata": {"long": None}})[1]

    assert found["metadata"] == {"k": "v"}
    assert storage.call("PATCH", "b/b/o/x?ifMetagenerationMatch=1", {})[0] == 412
    assert storage.read("x") == b"1"


def test_a_resumable_upload_continues_where_it_was(storage: Any) -> None:
    """The server tells what it has; bytes that come twice are skipped; a gap is refused; a repeated end is answered."""
    path, data = session(storage, "r/x"), os.urandom(700_000)
    status, headers, _ = storage.raw("PUT", path, data[:262144], {"Content-Range": "bytes 0-262143/*"})
    assert (status, headers["range"]) == (308, "bytes=0-262143")
    assert storage.raw("PUT", path, b"x", {"Content-Range": "bytes 400000-400000/*"})[0] == 400
    assert storage.raw("PUT", path, b"", {"Content-Range": "bytes */700000"})[1]["range"] == "bytes=0-262143"
    assert storage.names() == ([], [])

    status, _, body = storage.raw("PUT", path, data[100_000:], {"Content-Range": "bytes 100000-699999/700000"})

    assert status == 200
    assert json.loads(body)["crc32c"] == crc32c(data)
    assert storage.read("r/x") == data
    assert storage.raw("PUT", path, b"", {"Content-Range": "bytes */700000"})[0] == 200


def test_a_resumable_upload_outlives_the_server(storage: Any) -> None:
    """Another server over the same folders continues it, with the right checksum."""
    path, data = session(storage, "x"), os.urandom(300_000)
    storage.raw("PUT", path, data[:262144], {"Content-Range": "bytes 0-262143/*"})
    storage_service.stop(storage.folder)
    storage_service.ensure_running(storage.folder)
    status, _, body = storage.raw("PUT", path, data[262144:], {"Content-Range": "bytes 262144-299999/300000"})

    assert status == 200
    assert json.loads(body)["crc32c"] == crc32c(data)


def test_a_refused_resumable_upload_costs_no_body(storage: Any) -> None:
    """The precondition is checked when it starts, and once more at its end."""
    late = session(storage, "x", ifGenerationMatch=0)
    storage.put("x", b"1")
    begun = storage.raw(
        "POST", "upload/storage/v1/b/b/o?uploadType=resumable&ifGenerationMatch=0", b'{"name":"x"}', JSON
    )

    assert begun[0] == 412
    assert storage.raw("PUT", late, b"2")[0] == 412
    assert storage.read("x") == b"1"


def test_a_chunked_body_ends_the_object(storage: Any) -> None:
    """As Node's client sends it: chunks, and a Content-Range without any number."""
    path = session(storage, "x")
    host, _, rest = storage.url.removeprefix("http://").partition("/")
    head = f"PUT /{rest}/{path} HTTP/1.1\r\nHost: {host}\r\nTransfer-Encoding: chunked\r\n"
    with socket.create_connection(tuple(host.split(":"))) as connection:  # type: ignore[arg-type]
        connection.sendall(f"{head}Content-Range: bytes 0-*/*\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n".encode())
        answer = connection.recv(65536)

    assert b" 200 " in answer.partition(b"\r\n")[0]
    assert storage.read("x") == b"abcde"


@pytest.mark.parametrize(("line", "quote"), [(b"\r\n", '"'), (b"\n", "'")], ids=["rfc2046", "gcloud"])
def test_a_multipart_body_with_its_boundary_in_the_data(storage: Any, line: bytes, quote: str) -> None:
    """Only the boundary on a line of its own ends the object, whatever pieces arrive."""
    data = os.urandom(600_000) + b".--cut\r\n--cu\r\n" + b"\r\n-\r"
    metadata = b'{"name":"x","metadata":{"a":"b"}}'
    parts = [
        b"--cut",
        b"Content-Type: application/json",
        b"",
        metadata,
        b"--cut",
        b"Content-Type: image/png",
        b"",
        data,
    ]
    body = line.join([*parts, b"--cut--", b""])
    headers = {"Content-Type": f"multipart/related; boundary={quote}cut{quote}"}
    status, _, answer = storage.raw("POST", "upload/storage/v1/b/b/o?uploadType=multipart", body, headers)

    assert status == 200
    assert json.loads(answer)["contentType"] == "image/png"
    assert storage.read("x") == data


@pytest.mark.parametrize("size", [256 << 10, (256 << 10) + 1, 5_000_003])
def test_a_large_body_has_the_checksums_of_its_bytes(storage: Any, size: int) -> None:
    """They are computed beside reading and writing, also of the rest after a part that a session has already."""
    data = os.urandom(size)
    md5 = base64.b64encode(hashlib.md5(data).digest()).decode()
    _, at_once = storage.put("large", data)
    path, half = session(storage, "resumed"), size // 2
    storage.raw("PUT", path, data[:half], {"Content-Range": f"bytes 0-{half - 1}/{size}"})
    again = {"Content-Range": f"bytes 0-{size - 1}/{size}"}  # from the begin: the server skips what it has
    _, _, answer = storage.raw("PUT", path, data, again)

    for found in (at_once, json.loads(answer)):
        assert (int(found["size"]), found["md5Hash"], found["crc32c"]) == (size, md5, crc32c(data))
    for name in ("large", "resumed"):
        assert (storage.bucket / name).read_bytes() == data


def test_compose_joins_objects_without_md5(storage: Any) -> None:
    """A missing source is refused with its name, and nothing is written."""
    for name in ("1", "2"):
        storage.put(name, name.encode() * 3)
    sources = [{"name": "1"}, {"name": "2"}, {"name": "1"}]
    status, found = storage.call("POST", "b/b/o/all/compose", {"sourceObjects": sources})

    assert (status, found["componentCount"], found["crc32c"]) == (200, 3, crc32c(b"111222111"))
    assert "md5Hash" not in found
    assert storage.call("POST", "b/b/o/no/compose", {"sourceObjects": [{"name": "3"}]})[0] == 404
    assert storage.names()[0] == ["1", "2", "all"]


@pytest.mark.parametrize(
    ("span", "expected"), [("bytes=2-4", b"234"), ("bytes=7-", b"789"), ("bytes=-2", b"89"), ("bytes=5-99", b"56789")]
)
def test_ranges(storage: Any, span: str, expected: bytes) -> None:
    """First to last, from, and the last bytes."""
    storage.put("x", b"0123456789")
    status, headers, body = storage.raw("GET", "storage/v1/b/b/o/x?alt=media", headers={"Range": span})

    assert (status, body) == (206, expected)
    assert headers["content-range"].endswith("/10")


def test_a_range_behind_the_end_is_refused(storage: Any) -> None:
    """With 416, for an empty object, too."""
    storage.put("x", b"")

    assert storage.raw("GET", "storage/v1/b/b/o/x?alt=media", headers={"Range": "bytes=0-3"})[0] == 416


def test_lists_with_prefix_delimiter_and_pages(storage: Any) -> None:
    """In the order of names, where `-` comes before `/`; pages join to the whole list."""
    names = ["a-b", "a/1", "a/2/x", "a/2/y", "a/é", "b", "c/d/e"]
    for name in names:
        storage.put(name, b"")

    assert storage.names()[0] == sorted(names)
    assert storage.names("delimiter=/") == (["a-b", "b"], ["a/", "c/"])
    assert storage.names("delimiter=/&prefix=a/") == (["a/1", "a/é"], ["a/2/"])
    assert storage.names("prefix=a/2")[0] == ["a/2/x", "a/2/y"]
    assert storage.names("startOffset=a/2/y&endOffset=c")[0] == ["a/2/y", "a/é", "b"]
    assert storage.names("delimiter=/2/") == (["a-b", "a/1", "a/é", "b", "c/d/e"], ["a/2/"])
    for query, expected in (("", sorted(names)), ("&delimiter=/", ["a-b", "a/", "b", "c/"])):
        found, token = [], ""
        while True:
            page = storage.call("GET", f"b/b/o?maxResults=1&pageToken={quote(token)}{query}")[1]
            found += [item["name"] for item in page.get("items", [])] + page.get("prefixes", [])
            token = page.get("nextPageToken", "")
            if not token:
                break
        assert found == expected


@pytest.mark.parametrize(
    ("glob", "expected"),
    [
        ("*.csv", ["x.csv"]),
        ("**.csv", ["d/e/z.csv", "d/y.csv", "x.csv"]),
        ("d/**/z.*", ["d/e/z.csv"]),
        ("**/y.csv", ["d/y.csv"]),
        ("{x,w}.{csv,txt}", ["w.txt", "x.csv"]),
        ("[wx].*", ["w.txt", "x.csv"]),
        ("?.txt", ["w.txt"]),
    ],
)
def test_globs(storage: Any, glob: str, expected: list[str]) -> None:
    """`*` stays within a folder, `**` doesn't."""
    for name in ("x.csv", "w.txt", "d/y.csv", "d/e/z.csv"):
        storage.put(name, b"")

    assert storage.names(f"matchGlob={quote(glob)}")[0] == expected


@pytest.mark.parametrize(
    "name",
    ["a//b", "/a", "a/", "../x", "a/./b", "p/q", "n" * 300, "line%", "a b?c#d", "ü/✓", "-rf", ".hidden", "a:b\\c"],
)
def test_any_name_can_be_stored(storage: Any, name: str) -> None:
    """Those that are no paths lie beside the buckets; no name leads out of its bucket."""
    storage.put("p", b"file")
    outside = set(storage.folder.parent.iterdir())

    assert storage.put(name, b"1", ifGenerationMatch=0)[0] == 200
    assert storage.put(name, b"2", ifGenerationMatch=0)[0] == 412
    assert storage.put(name, b"2")[0] == 200
    assert storage.read(name) == b"2"
    assert set(storage.names()[0]) == {"p", name}
    assert storage.names(f"prefix={quote(name, safe='')}")[0] == [name]
    assert storage.call("DELETE", f"b/b/o/{quote(name, safe='')}")[0] == 204
    assert storage.names()[0] == ["p"]
    assert set(storage.folder.parent.iterdir()) == outside


def test_an_object_takes_the_place_of_empty_folders(storage: Any) -> None:
    """Cloud Storage has no folders: those that deleted objects left don't hinder, those with files do."""
    storage.put("a/b/c", b"1")
    storage.call("DELETE", "b/b/o/a%2Fb%2Fc")
    storage.put("a", b"file")

    assert (storage.bucket / "a").read_bytes() == b"file"

    storage.put("d/e", b"1")
    storage.put("d", b"2")

    assert storage.names()[0] == ["a", "d", "d/e"]
    assert (storage.read("d"), storage.read("d/e")) == (b"2", b"1")


def test_links_are_no_objects(storage: Any, tmp_path: Any) -> None:
    """A job may make links; the server neither reads nor writes through them."""
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "key").write_text("secret")
    (storage.bucket / "file").symlink_to(tmp_path / "secret" / "key")
    (storage.bucket / "folder").symlink_to(tmp_path / "secret")

    assert storage.names() == ([], [])
    assert storage.call("GET", "b/b/o/file")[0] == 404
    assert storage.call("GET", "b/b/o/folder%2Fkey")[0] == 404
    storage.put("folder/new", b"1")
    assert sorted(path.name for path in (tmp_path / "secret").iterdir()) == ["key"]


def test_batches(storage: Any) -> None:
    """Each call has its own answer; a missing object doesn't stop the others."""
    from google.cloud import storage as gcs

    for name in ("1", "2"):
        storage.put(name, b"")
    client = gcs.Client()
    with client.batch(raise_exception=False) as batch:
        for name in ("1", "missing", "2"):
            client.bucket("b").blob(name).delete()

    assert [answer.status_code for answer in batch._responses] == [204, 404, 204]
    assert storage.names() == ([], [])


def test_buckets(storage: Any) -> None:
    """Created, changed, listed and deleted, with the errors that the real service was seen to answer."""
    status, made = storage.call("POST", "b?project=local", {"name": "new-one", "location": "europe-west4"})
    again = storage.call("POST", "b?project=local", {"name": "new-one"})

    assert (status, made["location"], made["locationType"]) == (200, "EUROPE-WEST4", "region")
    assert again[0] == 409
    changed = storage.call("PATCH", "b/new-one", {"labels": {"a": "b"}, "lifecycle": {"rule": []}})[1]
    assert (changed["metageneration"], changed["labels"]) == ("2", {"a": "b"})
    assert [item["name"] for item in storage.call("GET", "b")[1]["items"]] == ["b", "new-one"]
    storage.put("x", b"")
    assert storage.call("DELETE", "b/b")[0] == 409
    assert storage.call("DELETE", "b/new-one")[0] == 204
    assert storage.call("GET", "b/new-one") == (
        404,
        {
            "error": {
                "code": 404,
                "message": "The specified bucket does not exist.",
                "errors": [
                    {"domain": "global", "message": "The specified bucket does not exist.", "reason": "notFound"}
                ],
            }
        },
    )
    assert storage.call("GET", "b/b/o/no")[1]["error"]["message"] == "No such object: b/no"
    for wrong in ("UPPER", "x", "../up", ""):
        assert storage.call("POST", "b", {"name": wrong})[0] == 400


def test_a_proxy_that_stands_for_google_gets_its_own_urls(storage: Any) -> None:
    """Addresses in answers begin with the host that the client called."""
    headers = {**JSON, "X-Forwarded-Host": "storage.googleapis.com", "X-Forwarded-Proto": "https"}
    _, sent, _ = storage.raw("POST", "upload/storage/v1/b/b/o?uploadType=resumable", b'{"name":"x"}', headers)

    assert sent["location"].startswith("https://storage.googleapis.com/upload/storage/v1/b/b/o?uploadType=resumable&")


def test_only_the_asked_fields_are_sent(storage: Any) -> None:
    """The parameter `fields` selects them."""
    storage.put("x", b"1")

    assert storage.call("GET", "b/b/o?fields=items(name,size),nextPageToken")[1] == {
        "items": [{"name": "x", "size": "1"}]
    }


def test_a_cut_upload_leaves_nothing(storage: Any) -> None:
    """A client that is gone in the middle of a body has written no object."""
    host, _, rest = storage.url.removeprefix("http://").partition("/")
    head = f"POST /{rest}/upload/storage/v1/b/b/o?uploadType=media&name=x HTTP/1.1\r\nHost: {host}\r\n"
    with socket.create_connection(tuple(host.split(":"))) as connection:  # type: ignore[arg-type]
        connection.sendall(f"{head}Content-Length: 100\r\n\r\nhalf".encode())
    uploads = storage.folder / "storage" / "uploads"
    for _ in range(1000):
        if not list(uploads.iterdir()):
            break

    assert storage.names() == ([], [])
