"""The program that outlives the service, whatever its clients do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

# In a process of its own, for a supervisor takes over the signals of the one it is in.
CLIENT_DIES = """
import selectors, socket, sys
from pathlib import Path
from prefect_vertex_training.local_vertex.execution.supervisor import Supervisor

path = sys.argv[1] + "/s"
with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as service:
    listener.bind(path)
    listener.listen()
    supervisor = Supervisor(Path(sys.argv[1]), listener)
    service.connect(path)
    supervisor._accept()
    (client,) = supervisor._clients.values()
    while len(client.unsent) < 1 << 20:
        supervisor._tell({"event": "x" * 100_000})
    service.close()
    supervisor._talk(client, selectors.EVENT_READ | selectors.EVENT_WRITE)
    print(len(supervisor._clients))
"""


def test_a_service_that_dies_with_events_unsent_leaves_the_supervisor_alive(tmp_path: Path) -> None:
    """A client that is gone while it is written to and read from at once is dropped once, and nothing else ends."""
    done = subprocess.run(
        [sys.executable, "-c", CLIENT_DIES, str(tmp_path)], capture_output=True, text=True, timeout=30, check=False
    )
    assert (done.stdout.strip(), done.stderr) == ("0", "")
