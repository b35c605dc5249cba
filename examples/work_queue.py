"""A queue: producers add sequential znodes, consumers take the lowest. Who deletes an item has it: a delete succeeds once.

A consumer that finds nothing watches the queue's children and sleeps.
"""

import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

QUEUE = "/examples/queue"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
ITEMS = 30


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


def put(zk, item):
    zk.create(f"{QUEUE}/item-", item.encode(), sequence=True)


def get(zk):
    """The oldest item; waits for one."""
    while True:
        changed = threading.Event()
        for name in sorted(zk.get_children(QUEUE, watch=lambda event: changed.set())):
            try:
                data, stat = zk.get(f"{QUEUE}/{name}")
                zk.delete(f"{QUEUE}/{name}", version=stat.version)
                return data.decode()
            except NoNodeError:
                pass  # another consumer was faster: try the next
        changed.wait()


def produce(zk, name):
    for number in range(ITEMS):
        put(zk, f"{name} {number:02}")


def consume(zk, name, taken):
    while (item := get(zk)) != "end":
        print(f"{name} takes {item}")
        taken.append(item)


def main():
    producers, consumers = [connect() for _ in range(2)], [connect() for _ in range(3)]
    producers[0].delete(QUEUE, recursive=True)
    producers[0].ensure_path(QUEUE)
    taken = [[] for _ in consumers]
    eaters = [threading.Thread(target=consume, args=(zk, f"consumer {i}", taken[i])) for i, zk in enumerate(consumers)]
    makers = [threading.Thread(target=produce, args=(zk, f"producer {i}")) for i, zk in enumerate(producers)]
    for thread in eaters + makers:
        thread.start()
    for thread in makers:
        thread.join(60)
    for _ in consumers:
        put(producers[0], "end")
    for thread in eaters:
        thread.join(60)
        assert not thread.is_alive(), "a consumer waits for ever"
    everything = sorted(f"producer {i} {number:02}" for i in range(2) for number in range(ITEMS))
    assert sorted(sum(taken, [])) == everything, "an item was lost or taken twice"
    for share in taken:
        for name in ("producer 0", "producer 1"):
            mine = [item for item in share if item.startswith(name)]
            assert mine == sorted(mine), "items of one producer came out of order"
    print(f"{len(everything)} items, each taken once: {[len(share) for share in taken]}")
    for zk in producers + consumers:
        zk.stop()


main()
