"""What a session may rely on, under a random load and through kills of the server.

Own writes are visible at once; zxids never go back, not even across a reconnect; what was acknowledged is there after a kill, and what
was not is there whole or not at all; sequential names ascend; a watch fires when its znode has changed; ephemerals go with their session.
"""

import os
import random
import threading
import time

from kazoo import exceptions as err
from kazoo.exceptions import ConnectionLoss

from harness import PATIENCE, ask, close_client, equal, eventually, judge, open_client, say, start_thread

CLIENTS = 4


@judge
def guarantees_through_kills(hosts):
    """Load for twelve seconds and more; the server is killed behind a third and behind two thirds."""
    loaded, over = threading.Event(), threading.Event()
    load = start_thread(stress, hosts, loaded.set, over.is_set)
    eventually("the load flows", lambda: loaded.is_set() or not load.is_alive())
    for _ in range(2):
        time.sleep(4)
        ask("kill")
        ask("start")
    time.sleep(4)
    over.set()
    say(f"{load.finish(180)} operations")


def stress(hosts, loaded, is_over):
    """`CLIENTS` workers until it is over; gives the number of operations. Calls `loaded` when all work."""
    root = open_client(hosts, timeout=20)
    for path in ("/stress/shared", "/stress/eph", "/stress/seq", "/stress/own"):
        root.retry(root.ensure_path, path)
    workers = [Worker(hosts, index) for index in range(CLIENTS)]
    threads = [start_thread(worker.work, is_over) for worker in workers]
    loaded()
    done = sum(thread.finish(240) for thread in threads)
    for worker in workers:
        worker.check_own(worker.zk)
        worker.zk.stop()
        worker.check_own(root)
        eventually("its ephemerals are gone", lambda: not worker.ephemerals_left(root))
        worker.zk.close()
    close_client(root)
    return done


class Worker:
    """One client with a znode that only it writes, and a share in what all write."""

    def __init__(self, hosts, index):
        self.zk = open_client(hosts, timeout=20)
        self.name = f"python-{os.getpid()}-{index}"
        self.own = f"/stress/own/{self.name}"
        self.random = random.Random(index)
        self.values = {b"0"}  # what the own znode may hold: one value, or more after a lost connection
        self.written = 0
        self.seen_zxid = 0
        self.last_sequence = -1
        self.watched_zxid = None
        self.fired = threading.Event()
        self.zk.retry(self.zk.ensure_path, self.own)
        self.zk.retry(self.zk.set, self.own, b"0")

    def work(self, is_over):
        steps = [self.write, self.write, self.read, self.read, self.shared, self.sequence, self.ephemeral, self.transaction, self.watch]
        count = 0
        while not is_over():
            try:
                self.random.choice(steps)()
            except ConnectionLoss:
                self.watched_zxid = None  # kazoo drops its watches
                time.sleep(0.05)
            count += 1
        return count

    def saw(self, stat):
        newest = max(stat.mzxid, stat.pzxid, stat.czxid)
        self.seen_zxid = max(self.seen_zxid, newest)

    def write(self):
        self.written += 1
        value = b"%d" % self.written
        self.values.add(value)  # until the answer is there, old and new are possible
        self.saw(self.zk.set(self.own, value))
        self.values = {value}

    def read(self):
        value, stat = self.zk.get(self.own)
        assert value in self.values, f"{self.own} holds {value}, expected one of {self.values}"
        self.saw(stat)

    def shared(self):
        if self.random.random() < 0.5:
            self.saw(self.zk.set("/stress/shared", self.name.encode()))
        stat = self.zk.get("/stress/shared")[1]
        last = getattr(self, "shared_zxid", 0)
        assert last <= stat.mzxid, f"mzxid of the shared znode went from {last:#x} back to {stat.mzxid:#x}"
        self.shared_zxid = stat.mzxid
        self.saw(stat)

    def sequence(self):
        path, stat = self.zk.create(f"/stress/seq/{self.name}-", ephemeral=True, sequence=True, include_data=True)
        number = int(path[-10:])
        assert self.last_sequence < number, f"sequence {number} after {self.last_sequence}"
        assert self.seen_zxid < stat.czxid, f"a create at {stat.czxid:#x} after {self.seen_zxid:#x} was seen"
        self.last_sequence = number
        self.saw(stat)
        self.zk.delete(path)

    def ephemeral(self):
        path = f"/stress/eph/{self.name}"
        try:
            self.zk.create(path, ephemeral=True)
        except err.NodeExistsError:
            owner, client = self.zk.exists(path).ephemeralOwner, self.zk.client_id
            if client is None:
                raise ConnectionLoss  # between the two
            equal(owner, client[0], f"the owner of {path}")
            self.zk.delete(path)

    def transaction(self):
        """Two znodes that are always made and removed together."""
        one, two = f"{self.own}/one", f"{self.own}/two"
        there = [self.zk.exists(path) is not None for path in (one, two)]
        equal(there[0], there[1], "both halves of a transaction")
        txn = self.zk.transaction()
        for path in (one, two):
            txn.delete(path) if there[0] else txn.create(path)
        for result in txn.commit():
            if isinstance(result, Exception):
                raise result

    def watch(self):
        if self.watched_zxid is None:
            fired = self.fired = threading.Event()
            self.watched_zxid = self.zk.get("/stress/shared", watch=lambda event: fired.set())[1].mzxid
            return
        if self.zk.get("/stress/shared")[1].mzxid != self.watched_zxid:
            assert self.fired.wait(PATIENCE), "the shared znode has changed and its watch did not fire"
            self.watched_zxid = None

    def check_own(self, client):
        value = client.retry(client.get, self.own)[0]
        assert value in self.values, f"{self.own} holds {value} at the end, expected one of {self.values}"

    def ephemerals_left(self, client):
        names = client.get_children("/stress/eph") + client.get_children("/stress/seq")
        return [it for it in names if it.startswith(self.name)]


def stress_worker(hosts):
    """The load alone, until the file `STRESS_UNTIL` is there; somebody else kills the server."""
    until = os.environ["STRESS_UNTIL"]
    say(f"{stress(hosts, lambda: say('loaded'), lambda: os.path.exists(until))} operations")
