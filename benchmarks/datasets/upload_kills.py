"""Kills uploads, copies to a job's disk and prunes: afterwards each data set is whole or not there."""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path

from bench_server import BUCKET, storage, table
from prefect_vertex_training import runtime
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.data_download import download
from prefect_vertex_training.datasets.retention import list_data
from prefect_vertex_training.runtime import data_variable

UPLOAD = """\
import sys
from pathlib import Path
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.data_upload import upload
from prefect_vertex_training.datasets.prepare import LocalData, prepare

source, url, bucket, cache = sys.argv[1:]
print(flush=True)
prepared = prepare(LocalData("t", "data", Path(source), (), "copy"), bucket, Path(cache))
upload(prepared, BucketObjects(BucketAccess(bucket, url)))
"""
PRUNE = """\
import sys
from datetime import UTC, datetime, timedelta
from prefect_vertex_training.datasets.bucket_objects import BucketAccess, BucketObjects
from prefect_vertex_training.datasets.retention import plan_prune, prune

url, bucket = sys.argv[1:]
objects = BucketObjects(BucketAccess(bucket, url))
print(flush=True)
prune(objects, plan_prune(objects, 0, datetime.now(UTC) + timedelta(days=9)))
"""


def main() -> None:
    """Prints the table; exits with 1 if a data set was not whole."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    options = parser.parse_args()
    broken = {"upload": 0, "copy": 0, "prune": 0}
    cut = dict.fromkeys(broken, 0)
    with storage() as (service, root):
        source, cache = root / "source", root / "cache"
        source.mkdir()
        for number in range(300):
            size = 1_500_000 if number % 30 == 0 else random.choice((200, 20_000))
            (source / f"{number}.bin").write_bytes(os.urandom(size))
        objects = BucketObjects(BucketAccess(BUCKET, service.url))
        for kill in range(options.kills):
            kind = ("upload", "copy", "prune")[kill % 3]
            (source / f"{random.randrange(300)}.bin").write_bytes(os.urandom(30_000))
            if kind != "upload":
                _run([UPLOAD, str(source), service.url, BUCKET, str(cache)])
            if kind == "copy":
                cut[kind] += _killed_copy(service.url, objects, root)
            else:
                words = [UPLOAD, str(source), service.url, BUCKET, str(cache)]
                cut[kind] += _run(words if kind == "upload" else [PRUNE, service.url, BUCKET], kill=True)
            broken[kind] += _broken(objects, root / "check")
            if kind == "copy" and (root / "work" / "data").exists():
                broken[kind] += bool(_differs(source, root / "work" / "data"))
    rows = [("what", "kills before its end", "data sets not whole")]
    table([*rows, *((kind, str(cut[kind]), str(broken[kind])) for kind in broken)])
    raise SystemExit(any(broken.values()))


def _run(words: list[str], *, kill: bool = False) -> bool:
    """Runs a program, or kills it after a moment; whether it was killed before its end."""
    with subprocess.Popen([sys.executable, "-c", *words], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        if kill:
            time.sleep(random.uniform(0, 0.25))
            process.kill()
        return process.wait() < 0


def _killed_copy(url: str, objects: BucketObjects, root: Path) -> bool:
    newest = list_data(objects)[0]
    work = root / "work"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    data = data_variable.DataSet("t", "data", "copy", BUCKET, newest.manifest.name, "", "")
    env = {"PATH": os.defpath, "STORAGE_EMULATOR_HOST": url, **data_variable.encode([data])}
    command = [sys.executable, "-IB", str(Path(runtime.__file__).parent), "--", "true"]
    with subprocess.Popen(command, cwd=work, env=env, stderr=subprocess.DEVNULL) as process:
        time.sleep(random.uniform(0.1, 0.5))
        process.kill()
        return process.wait() < 0


def _broken(objects: BucketObjects, target: Path) -> int:
    """How many of the data sets in the bucket can't be downloaded whole."""
    count = 0
    for stored in list_data(objects)[:2]:
        shutil.rmtree(target, ignore_errors=True)
        try:
            download(objects, stored, target, lambda _: None)
        except Exception as error:  # noqa: BLE001 - counted
            print(error, file=sys.stderr)
            count += 1
    return count


def _differs(source: Path, copy: Path) -> list[str]:
    return [path.name for path in source.iterdir() if (copy / path.name).read_bytes() != path.read_bytes()]


if __name__ == "__main__":
    main()
