"""A client of its own process: `holder.py host:port path`. It makes an ephemeral and says what becomes of its session.

First line: timeout in ms, session id in hex. Then LOST when the session is lost, and `anew` when it has made its znode again.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.protocol.states import KazooState

lost = threading.Event()
zk = KazooClient(sys.argv[1], timeout=2.5)
zk.start()
zk.create(sys.argv[2], ephemeral=True)
zk.add_listener(lambda state: lost.set() if state == KazooState.LOST else None)
print(f"2500 {zk.client_id[0]:x}", flush=True)
lost.wait()
print("LOST", flush=True)
zk.retry(zk.create, sys.argv[2], ephemeral=True)
print("anew", flush=True)
threading.Event().wait()
