"""A barrier: while its znode is there, everybody waits; when it is deleted, all go on at once."""

import sys
import threading
import time

from kazoo.client import KazooClient

BARRIER = "/examples/barrier"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


def wait(zk):
    """Returns when there is no barrier."""
    while True:
        changed = threading.Event()
        if not zk.exists(BARRIER, watch=lambda event: changed.set()):
            return
        changed.wait()


passed = []


def run(zk, name):
    print(f"{name} waits")
    wait(zk)
    passed.append(name)
    print(f"{name} goes on")


def main():
    keeper, clients = connect(), [connect() for _ in range(4)]
    keeper.ensure_path(BARRIER)
    threads = [threading.Thread(target=run, args=(zk, f"client {i}")) for i, zk in enumerate(clients)]
    for thread in threads:
        thread.start()
    time.sleep(0.3)
    assert passed == [], f"{passed} passed a closed barrier"
    print("the barrier is opened")
    keeper.delete(BARRIER)
    for thread in threads:
        thread.join(60)
    assert len(passed) == 4, f"only {passed} passed the open barrier"
    wait(keeper)
    print("all have passed, and it stays open")
    for zk in (keeper, *clients):
        zk.stop()


main()
