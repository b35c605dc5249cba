"""An exclusive lock without a herd: everybody makes an ephemeral sequential znode; the lowest holds the lock; each of the others
watches only the one just before its own, so that a release wakes one client and not all of them.
"""

import sys
import threading
import time

from kazoo.client import KazooClient

LOCK = "/examples/lock"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


class Lock:
    def __init__(self, zk):
        self.zk, self.woken = zk, 0

    def acquire(self):
        self.mine = self.zk.create(f"{LOCK}/lock-", ephemeral=True, sequence=True)
        while True:
            names = sorted(self.zk.get_children(LOCK))
            place = names.index(self.mine.rsplit("/", 1)[1])
            if place == 0:
                return
            gone = threading.Event()
            if self.zk.exists(f"{LOCK}/{names[place - 1]}", watch=lambda event: gone.set()):
                gone.wait()
                self.woken += 1

    def release(self):
        self.zk.delete(self.mine)


inside = []
order = []


def work(name, lock, rounds):
    for _ in range(rounds):
        lock.acquire()
        inside.append(name)
        assert inside == [name], f"{inside} are inside together"
        print(f"{name} has the lock")
        order.append(lock.mine)
        time.sleep(0.01)
        inside.remove(name)
        lock.release()


def main():
    locks = [Lock(connect()) for _ in range(5)]
    locks[0].zk.delete(LOCK, recursive=True)
    locks[0].zk.ensure_path(LOCK)
    dead = Lock(connect())
    dead.acquire()
    threads = [threading.Thread(target=work, args=(f"client {i}", lock, 4)) for i, lock in enumerate(locks)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    assert order == [], "somebody passed the holder"
    print("the holder's session ends, and its lock with it")
    dead.zk.stop()
    for thread in threads:
        thread.join(60)
    assert order == sorted(order) and len(order) == 20, "the lock was not held in the order of asking"
    assert (woken := sum(lock.woken for lock in locks)) <= 20, f"{woken} wake-ups for 20 times: a herd"
    print(f"held 20 times in the order of asking; {woken} wake-ups")
    for lock in locks:
        lock.zk.stop()


main()
