"""kazoo's locks: exclusive, shared, semaphore, lease. Who holds, who waits, who is next, also when a holder dies."""

import datetime
import threading
import time

from kazoo import exceptions as err

from harness import PATIENCE, TICKS, at_last, close_client, equal, eventually, judge, kill_and_start, open_client, refused, start_thread
from sessions import hold


def clients(hosts, count, **options):
    return [open_client(hosts, **options) for _ in range(count)]


def close_all(all_clients):
    for client in all_clients:
        close_client(client)


@judge
def exclusive_lock(hosts):
    """One holder at a time, in the order of asking; time-outs; cancel; a dead holder's lock goes to the next."""
    zks = clients(hosts, 4)
    inside, order, guard = [], [], threading.Lock()

    def work(index):
        for _ in range(10):
            with zks[index].Lock("/lock", f"client-{index}"):
                with guard:
                    inside.append(index)
                    equal(len(inside), 1, "holders of the lock")
                order.append(index)
                with guard:
                    inside.remove(index)

    for thread in [start_thread(work, index) for index in range(4)]:
        thread.finish()
    equal(len(order), 40, "times the lock was held")
    first, second, third = zks[0].Lock("/lock", "a"), zks[1].Lock("/lock", "b"), zks[2].Lock("/lock", "c")
    equal(first.acquire(), True, "a free lock")
    equal(second.acquire(blocking=False), False, "a held lock without waiting")
    refused(err.LockTimeout, second.acquire, timeout=0.3)
    waiting = start_thread(second.acquire)
    eventually("two contenders", lambda: first.contenders() == ["a", "b"])
    last = start_thread(third.acquire)
    eventually("three contenders", lambda: first.contenders() == ["a", "b", "c"])
    second.cancel()
    refused(err.CancelledError, waiting.finish)
    zks[0].stop()  # its session ends while it holds the lock
    equal(last.finish(), True, "the lock after its holder's session ended")
    third.release()
    close_all(zks)


@judge
def lock_survives_a_restart(hosts):
    """Held before a kill, held after it; the waiter gets it afterwards, not during."""
    holder, waiter = clients(hosts, 2, timeout=20)
    lock = holder.Lock("/lock", "holder")
    lock.acquire()
    waiting = start_thread(waiter.Lock("/lock", "waiter").acquire)
    eventually("a waiter", lambda: lock.contenders() == ["holder", "waiter"])
    kill_and_start(holder, waiter)
    equal(lock.contenders(), ["holder", "waiter"], "contenders after the restart")
    assert waiting.is_alive(), "the waiter does not hold the lock"
    lock.release()
    equal(waiting.finish(), True, "the waiter's turn")
    close_all([holder, waiter])


@judge
def shared_lock(hosts):
    """Readers together, a writer alone, and nobody passes a waiting writer."""
    zks = clients(hosts, 4)
    readers = [zk.ReadLock("/rw", f"r{i}") for i, zk in enumerate(zks[:2])]
    for reader in readers:
        equal(reader.acquire(timeout=PATIENCE), True, "a reader among readers")
    writer = zks[2].WriteLock("/rw", "w")
    refused(err.LockTimeout, writer.acquire, timeout=0.3)
    waiting = start_thread(writer.acquire)
    eventually("the writer waits", lambda: "w" in readers[0].contenders())
    late = zks[3].ReadLock("/rw", "late")
    refused(err.LockTimeout, late.acquire, timeout=0.3)
    readers[0].release()
    assert waiting.is_alive(), "the writer waits for the last reader"
    readers[1].release()
    equal(waiting.finish(), True, "the writer after the readers")
    refused(err.LockTimeout, late.acquire, timeout=0.3)
    writer.release()
    equal(late.acquire(timeout=PATIENCE), True, "the reader after the writer")
    late.release()
    close_all(zks)


@judge
def semaphore(hosts):
    """Never more holders than leases; a freed lease wakes a waiter; another count is refused."""
    zks = clients(hosts, 5)
    most, now, guard = [0], [0], threading.Lock()

    def work(zk):
        for _ in range(5):
            with zk.Semaphore("/sem", max_leases=2):
                with guard:
                    now[0] += 1
                    most[0] = max(most[0], now[0])
                threading.Event().wait(0.01)
                with guard:
                    now[0] -= 1

    for thread in [start_thread(work, zk) for zk in zks]:
        thread.finish()
    assert most[0] <= 2, f"{most[0]} holders of two leases"
    holders = [zk.Semaphore("/named", f"h{i}", max_leases=2) for i, zk in enumerate(zks[:3])]
    equal([it.acquire(blocking=False) for it in holders], [True, True, False], "three that ask for two leases")
    equal(sorted(holders[0].lease_holders()), ["h0", "h1"], "the lease holders")
    waiting = start_thread(holders[2].acquire)
    zks[0].stop()
    equal(waiting.finish(), True, "the lease of an ended session")
    refused(ValueError, zks[3].Semaphore("/named", max_leases=5).acquire)
    close_all(zks)


@judge
def leases(hosts):
    """A lease without blocking: one identity has it and may renew it; several leases for several."""
    one, two = clients(hosts, 2)
    hour = datetime.timedelta(hours=1)
    assert one.NonBlockingLease("/lease", hour, identifier="one")
    assert not two.NonBlockingLease("/lease", hour, identifier="two"), "a held lease"
    assert one.NonBlockingLease("/lease", hour, identifier="one"), "renewed by its holder"
    soon = datetime.datetime.utcnow() + 2 * hour
    assert two.NonBlockingLease("/lease", hour, identifier="two", utcnow=lambda: soon), "when it has run out"
    given = [bool(one.MultiNonBlockingLease(2, "/leases", hour, identifier=name)) for name in "abc"]
    equal(given, [True, True, False], "two leases for three")
    close_all([one, two])


@judge
def lock_of_a_killed_process(hosts):
    """A process holding the place in front dies without a word: the lock passes on when its session expires."""
    zk = open_client(hosts)
    zk.ensure_path("/killed")
    path = "/killed/0__lock__0000000000"
    timeout = 6
    holder, _ = hold(hosts, path, timeout)
    zk.create("/killed/skip-", sequence=True)
    zk.delete("/killed/skip-0000000001")
    lock = zk.Lock("/killed", "next")
    refused(err.LockTimeout, lock.acquire, timeout=0.3)
    killed = time.monotonic()
    holder.kill()
    holder.wait()
    waiting = start_thread(lock.acquire)
    at_last("the lock passes on", zk, killed, timeout + TICKS, lambda: not waiting.is_alive())
    equal(waiting.finish(), True, "the lock after its holder was killed")
    lock.release()
    close_client(zk)
