"""A double barrier: nobody begins before all have come, nobody leaves before all have finished.

Each has an ephemeral znode. The last to come makes `ready`, which all watch for. To leave, each deletes its own and waits until none is
left, watching one other: the lowest, or, who is the lowest itself, the highest.
"""

import contextlib
import random
import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NodeExistsError

ROOT = "/examples/double-barrier"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
COUNT = 5


def connect():
    (zk := KazooClient(HOSTS)).start()
    return zk


def enter(zk, name):
    ready = threading.Event()
    if zk.exists(f"{ROOT}/ready", watch=lambda event: ready.set()):
        ready.set()
    zk.create(f"{ROOT}/members/{name}", ephemeral=True)
    if len(zk.get_children(f"{ROOT}/members")) >= COUNT:
        with contextlib.suppress(NodeExistsError):  # two may have been the last
            zk.create(f"{ROOT}/ready")
    ready.wait()


def leave(zk, name):
    while names := sorted(zk.get_children(f"{ROOT}/members")):
        lowest, highest, gone = names[0], names[-1], threading.Event()
        if name in names and (name != lowest or name == highest):
            zk.delete(f"{ROOT}/members/{name}")
        other = highest if name == lowest else lowest
        if other != name and zk.exists(f"{ROOT}/members/{other}", watch=lambda event: gone.set()):
            gone.wait()


came, finished, failures = [], [], []


def run(zk, name):
    time.sleep(random.random() / 5)
    came.append(name)
    enter(zk, name)
    assert len(came) == COUNT, f"{name} began when only {came} had come"
    print(f"{name} begins")
    time.sleep(random.random() / 5)
    finished.append(name)
    leave(zk, name)
    assert len(finished) == COUNT, f"{name} left when only {finished} had finished"
    print(f"{name} leaves")


def main():
    clients = [connect() for _ in range(COUNT)]
    clients[0].delete(ROOT, recursive=True)
    clients[0].ensure_path(f"{ROOT}/members")
    threading.excepthook = lambda args: failures.append(args.exc_value)
    threads = [threading.Thread(target=run, args=(zk, f"client-{i}"), daemon=True) for i, zk in enumerate(clients)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert not failures and not any(thread.is_alive() for thread in threads), f"{failures or 'somebody waits for ever'}"
    print("all began and left together")
    for zk in clients:
        zk.stop()


main()
