"""Registers block types with the kept server, once for each set of versions, in a process of its own.

Prefect's server would do it at each start: it imports every installed collection for that, which takes five seconds and
twice the memory. Prefect's forms and its list of block types need the types; blocks that Python saves bring their own.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path

from ...core.atomic_files import write_atomic
from ...core.home import Home

_COLLECTIONS = "prefect.collections"
"""The entry points by which packages bring block types."""


def register_apart(home: Home) -> None:
    """Starts a process that registers the block types, unless they are registered.

    It has the environment of the server, which calls this.
    """
    path, wanted = _done_path(home), versions()
    if path.exists() and path.read_text() == wanted:
        return
    command = [sys.executable, "-P", "-m", __name__, str(home.root)]
    subprocess.Popen(command, stdin=subprocess.DEVNULL, start_new_session=True)


def main(root: str) -> None:
    """Registers the block types in the database of the current folder, as Prefect's server does at its start."""
    os.nice(10)  # a run that has just started the server goes first
    from prefect.plugins import load_prefect_collections
    from prefect.server.database import provide_database_interface
    from prefect.server.models.block_registration import run_block_auto_registration

    async def register() -> None:
        async with await provide_database_interface().session() as session:
            await run_block_auto_registration(session=session)

    wanted = versions()
    load_prefect_collections()
    asyncio.run(register())
    write_atomic(_done_path(Home(Path(root))), wanted)


def _done_path(home: Home) -> Path:
    """The file that says for which versions the block types are registered."""
    return home.prefect / "block-types"


def versions() -> str:
    """Prefect and all packages with block types, with their versions, and a hash of this package's own blocks."""
    found = {
        f"{package.name} {package.version}"
        for package in distributions()
        if package.name == "prefect" or any(point.group == _COLLECTIONS for point in package.entry_points)
    }
    sources = sorted((Path(__file__).parents[2] / "blocks").glob("*.py"))
    digest = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
    return "\n".join([*sorted(found), f"blocks {digest}"])


if __name__ == "__main__":
    main(sys.argv[1])
