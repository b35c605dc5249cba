"""kazoo's queues, counters and lasting watches: DataWatch, ChildrenWatch, TreeCache."""

from kazoo.protocol.states import EventType
from kazoo.recipe.cache import TreeCache, TreeEvent
from kazoo.recipe.watchers import PatientChildrenWatch

from harness import PATIENCE, close_client, equal, eventually, judge, kill_and_start, open_client, start_thread
from locks import clients, close_all


@judge
def queue(hosts):
    """First in, first out, priorities first; several takers take each item once."""
    zks = clients(hosts, 3)
    line = zks[0].Queue("/queue")
    equal(line.get(), None, "an empty queue")
    for value, priority in [(b"b", 100), (b"c", 100), (b"a", 1)]:
        line.put(value, priority)
    equal((len(line), [line.get() for _ in range(4)]), (3, [b"a", b"b", b"c", None]), "what the queue gives")
    for number in range(60):
        line.put(b"%d" % number)

    def take(zk):
        queue, taken = zk.Queue("/queue"), []
        while (item := queue.get()) is not None:
            taken.append(int(item))
        return taken

    taken = [it.finish() for it in [start_thread(take, zk) for zk in zks]]
    equal(sorted(sum(taken, [])), list(range(60)), "items taken by three")
    assert all(share == sorted(share) for share in taken), "each takes in order"
    close_all(zks)


@judge
def locking_queue(hosts):
    """An item is held, then consumed or given back; a holder that dies gives it back."""
    zks = clients(hosts, 2)
    one, two = (zk.LockingQueue("/locking") for zk in zks)
    one.put_all([b"1", b"2"])
    one.put(b"0", priority=5)
    equal((len(one), one.get(PATIENCE), two.get(PATIENCE)), (3, b"0", b"1"), "what two holders get")
    assert one.holds_lock() and two.holds_lock()
    equal(one.consume(), True, "consume")
    equal(one.get(PATIENCE), b"2", "the next")
    equal(two.get(0.2), b"1", "get again, without consuming, gives the same")
    assert two.release()
    equal(one.consume(), True, "consume")
    equal(one.get(PATIENCE), b"1", "what the other gave back")
    waiting = start_thread(two.get, PATIENCE)
    zks[0].stop()
    equal(waiting.finish(), b"1", "what the ended session held")
    equal((two.consume(), two.get(0.2), len(two)), (True, None, 0), "the end of the queue")
    close_all(zks)


@judge
def counters(hosts):
    """Added to by several at once, nothing is lost."""
    zks = clients(hosts, 4)

    def add(zk):
        counter = zk.Counter("/count")
        for _ in range(25):
            counter += 2
            counter -= 1

    for thread in [start_thread(add, zk) for zk in zks]:
        thread.finish()
    equal(zks[0].Counter("/count").value, 100, "the sum")
    float_counter = zks[0].Counter("/float", default=1.5)
    float_counter += 1.0
    equal((float_counter.value, float_counter.pre_value, float_counter.post_value), (2.5, 1.5, 2.5), "a float counter")
    curator = zks[0].Counter("/curator", support_curator=True)
    curator += 7
    equal(zks[0].get("/curator")[0], b"\0\0\0\7", "a counter in Curator's form")
    close_all(zks)


@judge
def data_and_children_watches(hosts):
    """Each value that lasts is shown; the last value always; a function that says False is not called again."""
    zk, other = clients(hosts, 2)
    values, children, once = [], [], []
    zk.DataWatch("/dw", lambda data, stat, event: values.append((data, event and event.type)))
    equal(values, [(None, None)], "a data watch on nothing")
    for step in [lambda: other.create("/dw", b"1"), lambda: other.set("/dw", b"2"), lambda: other.delete("/dw")]:
        count = len(values)
        step()
        eventually("the data watch is called", lambda: len(values) > count)
    want = [(None, None), (b"1", EventType.CREATED), (b"2", EventType.CHANGED), (None, EventType.DELETED)]
    equal(values, want, "what the data watch was shown")
    other.create("/cw")
    zk.ChildrenWatch("/cw", lambda names: children.append(sorted(names)))
    zk.ChildrenWatch("/cw", lambda names: once.append(names) or False)
    for number in range(3):
        other.create(f"/cw/{number}")
        eventually("the children's watch is called", lambda: len(children[-1]) == number + 1)
    equal((children[-1], once), (["0", "1", "2"], [[]]), "what the children's watches were shown")
    for number in range(200):
        other.create("/cw/many-", sequence=True)
    eventually("the last state is shown", lambda: len(children[-1]) == 203)
    patient = PatientChildrenWatch(zk, "/cw", time_boundary=0.3).start()
    names, changed = patient.get(timeout=PATIENCE)
    equal((len(names), changed.ready()), (203, False), "a patient watch")
    other.delete("/cw/0")
    changed.get(timeout=PATIENCE)
    close_all([zk, other])


@judge
def tree_cache(hosts):
    """A whole tree mirrored, through writes and through a restart of the server."""
    zk, other = clients(hosts, 2, timeout=20)
    other.create("/tree/a/b", b"ab", makepath=True)
    cache, kinds = TreeCache(zk, "/tree"), []
    cache.listen(lambda event: kinds.append(event.event_type))
    faults = []
    cache.listen_fault(faults.append)
    cache.start()
    eventually("the cache is filled", lambda: TreeEvent.INITIALIZED in kinds)
    equal(cache.get_data("/tree/a/b").data, b"ab", "a cached znode")
    equal(cache.get_children("/tree/a"), {"b"}, "cached children")
    other.set("/tree/a/b", b"changed")
    other.create("/tree/a/c", b"ac")
    eventually("a write is seen", lambda: cache.get_data("/tree/a/b").data == b"changed")
    eventually("a create is seen", lambda: cache.get_data("/tree/a/c"))
    kill_and_start(zk, other)
    other.retry(other.delete, "/tree/a/c")
    other.create("/tree/d", b"new")
    eventually("a delete after the restart is seen", lambda: cache.get_data("/tree/a/c") is None)
    eventually("a create after the restart is seen", lambda: cache.get_data("/tree/d"))
    equal(cache.get_children("/tree"), {"a", "d"}, "cached children after the restart")
    equal(faults, [], "faults of the cache")
    cache.close()
    close_all([zk, other])
