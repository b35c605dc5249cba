"""A shared lock without a herd: readers hold it together, a writer alone, in the order of asking.

A reader waits for the last writer before it, a writer for the one just before it, whatever that is.
"""

import sys
import threading
import time

from kazoo.client import KazooClient

LOCK = "/examples/shared-lock"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


def number(name):
    return int(name.rsplit("-", 1)[1])


def acquire(zk, kind):
    """`kind` is read or write; gives the path to delete for the release."""
    mine = zk.create(f"{LOCK}/{kind}-", ephemeral=True, sequence=True)
    while True:
        before = [it for it in sorted(zk.get_children(LOCK), key=number) if number(it) < number(mine)]
        in_the_way = [it for it in before if kind == "write" or it.startswith("write-")]
        if not in_the_way:
            return mine
        gone = threading.Event()
        if zk.exists(f"{LOCK}/{in_the_way[-1]}", watch=lambda event: gone.set()):
            gone.wait()


guard = threading.Lock()
inside = []
most_readers = 0


def hold(zk, kind, seconds):
    global most_readers
    mine = acquire(zk, kind)
    with guard:
        inside.append(kind)
        most_readers = max(most_readers, inside.count("read"))
        assert inside.count("write") == 0 or inside == ["write"], f"{inside} are inside together"
        print(f"{mine.rsplit('/', 1)[1]} has the lock; inside: {inside}")
    time.sleep(seconds)
    with guard:
        inside.remove(kind)
    zk.delete(mine)


def main():
    clients = [connect() for _ in range(8)]
    clients[0].delete(LOCK, recursive=True)
    clients[0].ensure_path(LOCK)
    kinds = ["read", "read", "read", "write", "read", "read", "write", "write"]
    threads = []
    for zk, kind in zip(clients, kinds):
        threads.append(threading.Thread(target=hold, args=(zk, kind, 0.3)))
        threads[-1].start()
        time.sleep(0.02)
    for thread in threads:
        thread.join(60)
        assert not thread.is_alive(), "somebody waits for ever"
    assert most_readers == 3, f"{most_readers} readers together, expected the three before the first writer"
    print("readers were together, each writer was alone")
    for zk in clients:
        zk.stop()


main()
