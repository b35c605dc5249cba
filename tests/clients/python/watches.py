"""Watches: what fires, what does not, once each, in order, and never after the change can be read."""

from kazoo import exceptions as err
from kazoo.protocol.states import EventType
from kazoo.security import make_digest_acl

from harness import Events, close_client, equal, eventually, judge, open_client, refused

CREATED, DELETED, CHANGED, CHILD = EventType.CREATED, EventType.DELETED, EventType.CHANGED, EventType.CHILD


@judge
def one_shot_watches(hosts):
    """exists, getData and getChildren watches against every change that can fire them."""
    zk, other = open_client(hosts), open_client(hosts)
    events = Events()
    equal(zk.exists("/w", watch=events), None, "exists before the create")
    other.create("/w", b"1")
    events.expect((CREATED, "/w"))
    zk.get("/w", watch=events)
    other.set("/w", b"2")
    events.expect((CHANGED, "/w"))
    other.set("/w", b"3")
    zk.exists("/w", watch=events)
    other.set("/w", b"4")
    events.expect((CHANGED, "/w"))
    zk.get_children("/w", watch=events)
    other.set("/w", b"5")
    other.create("/w/a")
    events.expect((CHILD, "/w"))
    zk.get_children("/w", watch=events, include_data=True)
    other.set("/w/a", b"no event for the parent")
    other.delete("/w/a")
    events.expect((CHILD, "/w"))
    data, child = Events(), Events()
    zk.get("/w", watch=data)
    zk.get_children("/w", watch=child)
    other.delete("/w")
    data.expect((DELETED, "/w"))
    child.expect((DELETED, "/w"))
    refused(err.NoNodeError, zk.get, "/w", watch=events)
    refused(err.NoNodeError, zk.get_children, "/w", watch=events)
    other.create("/w")
    other.create("/w/b")
    zk.sync("/")
    equal(events.seen, [], "events of watches that a failed read did not leave")
    fires_only_when_due(zk, other, events)
    for client in (zk, other):
        close_client(client)


def fires_only_when_due(zk, other, events):
    zk.get("/w", watch=events)
    refused(err.BadVersionError, other.set, "/w", b"", version=9)
    other.get_acls("/w")
    other.set_acls("/w", other.get_acls("/w")[0])
    txn = other.transaction()
    txn.set_data("/w", b"rolled back")
    txn.check("/w", 99)
    txn.commit()
    zk.sync("/")
    equal(events.seen, [], "events after refused writes and setACL")
    with other.transaction() as txn:
        txn.set_data("/w", b"6")
        txn.set_data("/w", b"7")
    events.expect((CHANGED, "/w"))
    equal(zk.get("/w")[0], b"7", "data after a transaction's event")


@judge
def events_come_before_the_change_is_seen(hosts):
    """An event is there before any reply that shows its change, on a connection with reads in flight."""
    zk, other = open_client(hosts), open_client(hosts)
    zk.create("/order", b"0")
    for round_number in range(1, 51):
        order = []
        zk.get("/order", watch=lambda event: order.append("event"))
        write = other.set_async("/order", str(round_number).encode())
        for _ in range(20):
            reads = [zk.get_async("/order") for _ in range(10)]
            for read in reads:
                read.rawlink(lambda done: order.append(int(done.get()[0])))
            for read in reads:
                read.get(10)
        write.get(10)
        eventually("the event", lambda: "event" in order)
        # results and events run on different threads of the client: what counts is what a read begun after the write shows
        equal(int(zk.get("/order")[0]), round_number, "the value after the event")
        shown = [it for it in order if it != "event"]
        equal(shown, sorted(shown), "values that reads of one session show")
    for client in (zk, other):
        close_client(client)


@judge
def events_need_read_permission(hosts):
    """A watcher that may not read the znode any more gets no event for it."""
    zk, other = open_client(hosts), open_client(hosts)
    zk.add_auth("digest", "ann:secret")
    zk.create("/p")
    zk.create("/p/child")
    events = Events()
    other.exists("/p", watch=events)
    other.get_children("/p", watch=events)
    zk.set_acls("/p", [make_digest_acl("ann", "secret", all=True)])
    zk.set("/p", b"hidden")
    zk.create("/p/second")
    other.sync("/")
    equal(events.seen, [], "events for a watcher without READ")
    for client in (zk, other):
        close_client(client)


@judge
def many_watches_fire_once_each(hosts):
    """A thousand watches of one client, and two hundred clients' worth of callbacks on one znode."""
    zk, other = open_client(hosts), open_client(hosts)
    zk.create("/many")
    count = 1000
    for request in [zk.create_async(f"/many/{i}") for i in range(count)]:
        request.get(20)
    events = Events()
    for request in [zk.get_async(f"/many/{i}", watch=events) for i in range(count)]:
        request.get(20)
    for request in [other.set_async(f"/many/{i}", b"x") for i in range(count)]:
        request.get(20)
    eventually(f"{count} events", lambda: len(events.seen) >= count)
    for request in [other.delete_async(f"/many/{i}") for i in range(count)]:
        request.get(20)
    zk.sync("/")
    equal([it[1] for it in events.seen], [f"/many/{i}" for i in range(count)], "the order of events is the order of writes")
    for client in (zk, other):
        close_client(client)
