"""Sessions: through restarts and kills of the server, moved between connections, expired, refused."""

import subprocess
import sys
import time
from pathlib import Path

from kazoo.client import KazooClient
from kazoo.protocol.states import EventType, KazooState

from harness import TICKS, Events, ask, at_last, close_client, equal, eventually, judge, kill_and_start, open_client, say

CREATED, DELETED, CHANGED, CHILD = EventType.CREATED, EventType.DELETED, EventType.CHANGED, EventType.CHILD
HOLDER = Path(__file__).with_name("holder.py")


def hold(hosts, path, seconds):
    """A process that holds an ephemeral there in a session of this timeout, and the session's id in hex."""
    command = [sys.executable, "-B", str(HOLDER), hosts, path, str(seconds)]
    holder = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    return holder, holder.stdout.readline().strip()


@judge
def restart_in_mid_session(hosts):
    """A clean stop and start: the session goes on."""
    outlives(hosts, ["stop"])


@judge
def kill_in_mid_session(hosts):
    """kill -9 and start, twice: the session goes on."""
    outlives(hosts, ["kill", "kill"])


def outlives(hosts, ends):
    zk, gone = open_client(hosts, timeout=20), open_client(hosts, timeout=20)
    states = []
    zk.add_listener(states.append)
    session = zk.client_id
    zk.add_auth("digest", "ann:secret")
    zk.create("/s", b"before")
    zk.create("/s/mine", ephemeral=True)
    zk.create("/s/seq-", ephemeral=True, sequence=True)
    gone.create("/s/theirs", ephemeral=True)
    acked = [it.get(10) for it in [zk.create_async(f"/s/acked-{i:03}", bytes([i])) for i in range(200)]]
    before = zk.get("/s")
    data, children, one_shot = [], [], Events()
    zk.DataWatch("/s", lambda value, stat: data.append(value))
    zk.ChildrenWatch("/s", lambda names: children.append(sorted(names)))
    zk.get("/s", watch=one_shot)
    close_client(gone)
    eventually("the other client's ephemeral is gone", lambda: "theirs" not in children[-1])
    for how in ends:
        kill_and_start(zk, how=how)
    eventually("the client is connected again", lambda: zk.state == KazooState.CONNECTED)
    equal(zk.retry(zk.get, "/s")[0], before[0], "the znode's data after the restart")
    equal(zk.get("/s")[1].mzxid, before[1].mzxid, "mzxid after the restart")
    equal(zk.client_id, session, "the session's id and password")
    equal(zk.exists("/s/mine").ephemeralOwner, session[0], "the ephemeral's owner after the restart")
    names = sorted(zk.get_children("/s"))
    equal(names, sorted([it[3:] for it in acked] + ["mine", "seq-0000000001"]), "the children after the restart")
    equal([zk.get(it)[0] for it in acked], [bytes([i]) for i in range(200)], "data acknowledged before the restart")
    equal({it for it in one_shot.seen}, {(EventType.NONE, None)}, "kazoo drops one-shot watches when it is disconnected")
    equal(children[-1], names, "what the children's watch shows after the restart")
    assert KazooState.LOST not in states, f"the session was lost: {states}"
    with_others(hosts, zk, data, children)


def with_others(hosts, zk, data, children):
    """The watches fire again; the sequence goes on; the ephemerals end with their session."""
    other = open_client(hosts)
    other.set("/s", b"after")
    eventually("the data watch shows the write", lambda: data[-1] == b"after")
    equal(other.create("/s/seq-", sequence=True), "/s/seq-0000000203", "the next sequential name")
    eventually("the children's watch shows it", lambda: "seq-0000000203" in children[-1])
    close_client(zk)
    eventually("the ephemerals are gone with their session", lambda: other.exists("/s/mine") is None)
    equal(other.exists("/s/seq-0000000001"), None, "the second ephemeral")
    close_client(other)


@judge
def watches_catch_up_after_a_break(hosts):
    """What changed while the client was away is shown by its lasting watches when it is back."""
    zk, other = open_client(hosts, timeout=20), open_client(hosts, timeout=20)
    for path in ("/d", "/gone", "/k"):
        zk.create(path, b"old")
    shown = {}
    for path in ("/d", "/gone", "/new"):
        zk.DataWatch(path, shower(shown, path))
    zk.ChildrenWatch("/k", lambda names: shown.update({"/k": names}))
    equal(shown, {"/d": b"old", "/gone": b"old", "/new": None, "/k": []}, "what the watches show at first")
    hold_connection(zk)
    other.set("/d", b"new")
    other.delete("/gone")
    other.create("/k/child")
    other.create("/new", b"new")
    release_connection(zk)
    want = {"/d": b"new", "/gone": None, "/new": b"new", "/k": ["child"]}
    eventually(f"the watches show {want}", lambda: shown == want)
    for client in (zk, other):
        close_client(client)


def shower(shown, path):
    """A function for a data watch, of two arguments because kazoo counts them."""
    return lambda value, stat: shown.update({path: value})


def hold_connection(zk):
    """Breaks the connection, and lets no other be made until it is released."""
    zk.judge_hosts = list(zk.hosts)
    zk.set_hosts("127.0.0.1:1")
    zk._connection._socket.shutdown(2)
    eventually("the client notices", lambda: not zk.connected)


def release_connection(zk):
    host, port = zk.judge_hosts[0][:2]
    zk.set_hosts(f"{host}:{port}")
    eventually("the client is back", lambda: zk.connected)


@judge
def a_session_moves_between_connections(hosts):
    """The id and password of a session open it elsewhere; the first connection is closed; ephemerals stay."""
    first = open_client(hosts, timeout=20)
    first.create("/moved", ephemeral=True)
    session = first.client_id
    hold_connection(first)
    second = open_client(hosts, timeout=20, client_id=session)
    equal(second.client_id, session, "the session of the second client")
    equal(second.exists("/moved").ephemeralOwner, session[0], "the ephemeral's owner")
    second.stop()
    other = open_client(hosts)
    eventually("the ephemeral is gone with the session", lambda: other.exists("/moved") is None)
    states = []
    first.add_listener(states.append)
    host, port = first.judge_hosts[0][:2]
    first.set_hosts(f"{host}:{port}")
    eventually("the first client hears that the session is over", lambda: KazooState.LOST in states)
    for client in (first, other):
        close_client(client)


@judge
def a_wrong_password_opens_nothing(hosts):
    """A session's id with another password is answered as expired, and the session lives on."""
    zk = open_client(hosts, timeout=20)
    zk.create("/guarded", ephemeral=True)
    thief = KazooClient(hosts, client_id=(zk.client_id[0], b"\x01" * 16), timeout=20)
    states = []
    thief.add_listener(states.append)
    thief.start()
    assert thief.client_id[0] != zk.client_id[0], "a wrong password opened the session"
    assert zk.exists("/guarded"), "the ephemeral is still there"
    close_client(thief)
    assert zk.exists("/guarded"), "and after the other client has gone"
    close_client(zk)


@judge
def silence_expires_a_session(hosts):
    """A stopped process: its ephemerals go after its timeout and not before; it learns of it; it can begin anew."""
    zk = open_client(hosts)
    zk.create("/x")
    events = Events()
    timeout = 4
    holder, session = hold(hosts, "/x/held", timeout)
    equal(f"{zk.exists('/x/held').ephemeralOwner:x}", session, "the ephemeral's owner")
    zk.get_children("/x", watch=events)
    stopped = time.monotonic()
    print("live", file=holder.stdin, flush=True)
    equal(holder.stdout.readline().strip(), "touched", "a last sign of life")
    holder.send_signal(19)
    # until the signal it may have been heard of
    at_last("the ephemeral is gone", zk, time.monotonic(), timeout + TICKS, lambda: zk.exists("/x/held") is None)
    took = time.monotonic() - stopped
    say(f"timeout {timeout} s, expired {took:.2f} s after the last sign of life")
    assert timeout - 0.1 < took, f"expired after {took:.2f} s, the timeout is {timeout} s"
    events.expect((CHILD, "/x"))
    holder.send_signal(18)
    equal(holder.stdout.readline().strip(), "LOST", "what the expired client is told")
    equal(holder.stdout.readline().strip(), "anew", "it begins a new session and makes its znode again")
    assert f"{zk.exists('/x/held').ephemeralOwner:x}" != session, "the new session has a new id"
    killed = time.monotonic()
    holder.kill()
    holder.wait()
    at_last("a killed client's ephemeral is gone", zk, killed, timeout + TICKS, lambda: zk.exists("/x/held") is None)
    close_client(zk)


@judge
def timeouts_are_negotiated(hosts):
    """What is asked for is brought between 1 and 40 s here."""
    for asked, given in [(0.2, 1000), (1.0, 1000), (4.3, 4300), (600.0, 40000)]:
        zk = open_client(hosts, timeout=asked)
        equal(negotiated(zk), given, f"the timeout for {asked} s asked")
        close_client(zk)


def negotiated(zk):
    """What `cons` tells of the session's timeout."""
    words = zk.command(b"cons")
    session = f"sid=0x{zk.client_id[0]:x},"
    line = next(line for line in words.splitlines() if session in line)
    return int(line.split("to=")[1].split(",")[0])


@judge
def sessions_expire_while_the_server_is_down_only_after_their_timeout(hosts):
    """A client that never comes back after a kill loses its ephemerals within its timeout of the new start."""
    zk = open_client(hosts, timeout=20)
    timeout = 12
    holder, _ = hold(hosts, "/orphan", timeout)
    ask("kill")
    holder.kill()
    holder.wait()
    eventually("the client notices", lambda: not zk.connected)
    ask("start")
    began = time.monotonic()
    eventually("connected again", lambda: zk.connected)
    assert zk.retry(zk.exists, "/orphan"), "the ephemeral is there right after the restart"
    took = at_last("the orphan's end", zk, began, timeout + TICKS, lambda: zk.exists("/orphan") is None)
    say(f"gone {took:.2f} s after the start, timeout {timeout} s")
    close_client(zk)


@judge
def read_only_client_gets_a_full_session(hosts):
    """A client that would be content with a read-only server gets a read-write session here."""
    zk = open_client(hosts, read_only=True)
    equal(str(zk.client_state), "CONNECTED", "the state of a read-only client on a read-write server")
    zk.create("/written")
    close_client(zk)


@judge
def a_chroot_hides_the_rest(hosts):
    """The client's chroot: paths and events come without it."""
    zk = open_client(hosts)
    zk.create("/app")
    inner = KazooClient(hosts + "/app")
    inner.start()
    events = Events()
    inner.exists("/x", watch=events)
    zk.create("/app/x", b"1")
    events.expect((CREATED, "/x"))
    equal(inner.get("/x")[0], b"1", "data below the chroot")
    equal(inner.get_children("/"), ["x"], "the chroot's children")
    for client in (zk, inner):
        close_client(client)
