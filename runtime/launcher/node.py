"""Which of a job's machines this is, read from the platform's variables.

Ranks belong to the first two worker pools, the primary replica and the workers. Parameter servers, reduction servers
and evaluators have none: https://cloud.google.com/vertex-ai/docs/training/distributed-training.
"""

from __future__ import annotations

import json
from typing import Any, List, Mapping, NamedTuple, Optional, Sequence

_POOLS = ("workerpool0", "workerpool1")
_TF_PRIMARY = ("chief", "master")

Node = NamedTuple("Node", [("rank", int), ("addresses", List[str])])
Node.__doc__ = """A machine of a job that runs processes of the script.

Attributes:
    rank: Its position, from 0, which is the primary replica.
    addresses: HOST:PORT of each node, in the order of their ranks; empty for a job of one machine.
"""


def find_node(environ: Mapping[str, str]) -> Optional[Node]:
    """This machine; None if it has no rank.

    CLUSTER_SPEC counts first, as in Google's own launcher, then TF_CONFIG; without both the job has one machine.

    Raises:
        ValueError: A variable can't be read.
    """
    for name, read in (("CLUSTER_SPEC", _of_cluster_spec), ("TF_CONFIG", _of_tf_config)):
        if environ.get(name):
            try:
                document = json.loads(environ[name])
                return read(document["cluster"], str(document["task"]["type"]), int(document["task"]["index"]))
            except (ValueError, TypeError, KeyError, LookupError, AttributeError) as error:
                raise ValueError("%s can't be read: %r" % (name, error)) from None
    return Node(0, [])


def count(node: Node) -> int:
    """How many nodes the job has."""
    return max(1, len(node.addresses))


def _of_cluster_spec(cluster: Mapping[str, Any], kind: str, index: int) -> Optional[Node]:
    if kind not in _POOLS and kind.startswith("workerpool"):
        return None
    if kind not in _POOLS:  # the names of roles stand in older specs
        return _of_tf_config(cluster, kind, index)
    return _node(cluster, _POOLS, kind, index)


def _of_tf_config(cluster: Mapping[str, Any], kind: str, index: int) -> Optional[Node]:
    roles = [role for role in (*_TF_PRIMARY, "worker") if role in cluster]
    return _node(cluster, roles, kind, index) if kind in roles else None


def _node(cluster: Mapping[str, Any], kinds: Sequence[str], kind: str, index: int) -> Node:
    addresses = []  # type: List[str]
    rank = -1
    for each in kinds:
        if each == kind:
            rank = len(addresses) + index
        addresses += [str(address) for address in cluster.get(each, [])]
    if not 0 <= rank < len(addresses):
        raise ValueError("%s %d is not among the %d addresses" % (kind, index, len(addresses)))
    return Node(rank, addresses if len(addresses) > 1 else [])
