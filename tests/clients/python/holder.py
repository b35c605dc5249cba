"""A client of its own process: `holder.py host:port path seconds`. It makes an ephemeral and says what becomes of its session.

First line: session id in hex. For each line that it is told it lets the server hear of it, and says so. Then LOST when the session is lost, and `anew` when it has made its znode again.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState

hosts, path, timeout = sys.argv[1], sys.argv[2], int(sys.argv[3])
lost = threading.Event()
zk = KazooClient(hosts, timeout=timeout)
zk.start()
zk.create(path, ephemeral=True)
zk.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
print(f"{zk.client_id[0]:x}", flush=True)


def live():
    for _ in sys.stdin:
        zk.exists(path)
        print("touched", flush=True)


threading.Thread(target=live, daemon=True).start()
lost.wait()
print("LOST", flush=True)
zk.retry(zk.create, path, ephemeral=True)
print("anew", flush=True)
threading.Event().wait()
