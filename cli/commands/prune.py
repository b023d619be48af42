"""`vertex-training local prune`: removes what the home folder has kept for too long, or beyond its size."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from ...core.home import Home


def prune(*, dry_run: Annotated[bool, Parameter(help="Only print what would be removed.")] = False) -> None:
    """Remove what can be made again and wasn't used for long; models are never removed."""
    from ..home_pruning import HomePruning

    freed = HomePruning(Home.default(), dry_run=dry_run).run()
    for kind in freed:
        print(f"{kind.title}: {kind.count}, {kind.size / 1e6:,.1f} MB")
    total = sum(kind.size for kind in freed)
    print(f"{'would free' if dry_run else 'freed'} {total / 1e6:,.1f} MB")
