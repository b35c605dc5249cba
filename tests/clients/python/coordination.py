"""kazoo's barriers, elections, parties and partitioner."""

import threading

from kazoo.recipe.partitioner import PartitionState

from harness import PATIENCE, close_client, equal, eventually, judge, kill_and_start, start_thread
from locks import clients, close_all


@judge
def barrier(hosts):
    """All wait until it is removed; a wait has a limit; a missing barrier stops nobody."""
    zks = clients(hosts, 4)
    gate = zks[0].Barrier("/gate")
    equal(gate.wait(1), True, "a barrier that is not there")
    gate.create()
    equal(zks[1].Barrier("/gate").wait(0.3), False, "a wait that runs out")
    waiting = [start_thread(zk.Barrier("/gate").wait, PATIENCE) for zk in zks[1:]]
    threading.Event().wait(0.2)
    assert all(it.is_alive() for it in waiting), "all wait at the barrier"
    equal(gate.remove(), True, "removing the barrier")
    equal([it.finish() for it in waiting], [True] * 3, "all pass")
    equal(gate.remove(), False, "removing it again")
    close_all(zks)


@judge
def double_barrier(hosts):
    """Nobody begins before all have come; nobody leaves before all have finished."""
    zks = clients(hosts, 5)
    entered, left, guard = [], [], threading.Lock()
    came = [0]

    def work(index):
        gate = zks[index].DoubleBarrier("/double", 5)
        with guard:
            came[0] += 1
        gate.enter()
        with guard:
            entered.append(came[0])
        threading.Event().wait(0.05 * index)
        with guard:
            left.append(len(entered))
        gate.leave()
        return len(left)

    threads = [start_thread(work, index) for index in range(5)]
    equal([it.finish() for it in threads], [5] * 5, "those that had finished when one left")
    equal(entered, [5] * 5, "those that had come when one entered")
    equal(zks[0].get_children("/double"), [], "what the barrier leaves behind")
    close_all(zks)


@judge
def election(hosts):
    """One leader at a time; the next when it resigns, or when its session ends."""
    zks = clients(hosts, 3)
    leaders, resign = [], [threading.Event() for _ in zks]

    def lead(index):
        leaders.append(index)
        resign[index].wait(PATIENCE)

    elections = [zk.Election("/election", f"client-{index}") for index, zk in enumerate(zks)]
    threads = []
    for index, each in enumerate(elections):
        threads.append(start_thread(each.run, lead, index))
        eventually("it contends", lambda: len(elections[0].contenders()) == index + 1)
    eventually("a leader", lambda: leaders == [0])
    equal(elections[2].contenders(), [f"client-{i}" for i in range(3)], "contenders in order")
    resign[0].set()
    eventually("the second leader", lambda: leaders == [0, 1])
    zks[1].stop()  # its session ends while it leads
    eventually("the third leader", lambda: leaders == [0, 1, 2])
    for event in resign:
        event.set()
    threads[0].finish()
    threads[2].finish()
    close_all(zks)


@judge
def parties(hosts):
    """Members come, are seen by all, and go with their sessions."""
    zks = clients(hosts, 3)
    members = [zk.Party("/party", f"m{index}") for index, zk in enumerate(zks)]
    shallow = [zk.ShallowParty("/shallow", f"s{index}") for index, zk in enumerate(zks)]
    for member in members + shallow:
        member.join()
    equal(sorted(members[0]), ["m0", "m1", "m2"], "the party")
    equal((len(shallow[1]), sorted(shallow[1])), (3, ["s0", "s1", "s2"]), "the shallow party")
    members[1].leave()
    shallow[1].leave()
    equal((sorted(members[0]), sorted(shallow[0])), (["m0", "m2"], ["s0", "s2"]), "after one left")
    close_client(zks[2])
    eventually("a closed client is gone", lambda: (list(members[0]), list(shallow[0])) == (["m0"], ["s0"]))
    close_all(zks[:2])


@judge
def partitioner(hosts):
    """A set divided among members: every item with exactly one, again after one has come or gone."""
    zks = clients(hosts, 3)
    items = tuple(range(12))

    def join(zk, name):
        return zk.SetPartitioner("/parts", items, identifier=name, time_boundary=0.5, max_reaction_time=0.2)

    parts = [join(zk, f"p{index}") for index, zk in enumerate(zks[:2])]
    settle(parts, 2, items)
    parts.append(join(zks[2], "p2"))
    settle(parts, 3, items)
    parts.pop(0).finish()
    settle(parts, 2, items)
    for part in parts:
        part.finish()
    close_all(zks)


@judge
def recipes_through_a_kill(hosts):
    """Who leads goes on leading, who holds a lease or an item holds it, members stay, those that wait wait on, and all can go on."""
    zks = clients(hosts, 3, timeout=20)
    one, two, three = zks
    leaders, resign = [], threading.Event()
    elections = [zk.Election("/election", f"e{index}") for index, zk in enumerate((one, two))]
    reigns = [start_thread(elections[0].run, lambda: (leaders.append("one"), resign.wait(PATIENCE)))]
    eventually("a leader", lambda: leaders == ["one"])
    reigns.append(start_thread(elections[1].run, lambda: leaders.append("two")))
    eventually("a contender", lambda: len(elections[0].contenders()) == 2)
    lease = one.Semaphore("/sem", "s1", max_leases=1)
    lease.acquire()
    next_lease = start_thread(two.Semaphore("/sem", "s2", max_leases=1).acquire)
    queue = one.LockingQueue("/items")
    queue.put_all([b"held", b"next"])
    equal(queue.get(), b"held", "an item")
    party = two.Party("/party", "member")
    party.join()
    counter = three.Counter("/count")
    counter += 41
    kill_and_start(*zks)
    equal((leaders, three.retry(elections[0].contenders)), (["one"], ["e0", "e1"]), "leaders and contenders after the kill")
    equal(lease.lease_holders(), ["s1"], "the lease's holder")
    assert queue.holds_lock(), "the item is still held"
    equal(three.LockingQueue("/items").get(PATIENCE), b"next", "what another gets")
    equal((queue.consume(), len(queue)), (True, 1), "consume after the kill")
    equal(list(party), ["member"], "the party")
    counter += 1
    equal(counter.value, 42, "the counter")
    lease.release()
    equal(next_lease.finish(), True, "the next lease")
    resign.set()
    for reign in reigns:
        reign.finish()
    equal(leaders, ["one", "two"], "leaders, one after the other")
    close_all(zks)


def settle(parts, members, items):
    """Lets each part go through its states until the whole set is divided among that many."""

    def settled():
        for part in parts:
            assert part.state != PartitionState.FAILURE, "a partition failed"
            if part.release:
                part.release_set()
            elif part.allocating:
                part.wait_for_acquire(0.2)
        shares = [list(part) if part.acquired else [] for part in parts]
        even = {len(share) for share in shares} == {len(items) // members}
        return even and sorted(sum(shares, [])) == sorted(items)

    eventually(f"{len(items)} items divided among {members}", settled)
