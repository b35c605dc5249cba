"""What kazoo sees of an ensemble's members; each function gets them as HOST:PORT,HOST:PORT,HOST:PORT."""

from kazoo.client import KeeperState
from kazoo.exceptions import BadArgumentsError, BadVersionError, NewConfigNoQuorumError, NoAuthError, NotReadOnlyCallError, ReconfigInProcessError
from kazoo.protocol.states import EventType

from harness import Events, ask, close_client, equal, eventually, open_client, refused


def read_only_mode(hosts):
    """The first member is left alone by the others, and joined by them again."""
    left = hosts.split(",")[0]
    client = open_client(left)
    client.create("/kazoo-seen", b"before")
    close_client(client)
    ask("kill")
    client = open_client(left, read_only=True)
    eventually("a read-only session", lambda: client.client_state == KeeperState.CONNECTED_RO)
    equal(client.get("/kazoo-seen")[0], b"before", "what the member had")
    refused(NotReadOnlyCallError, client.create, "/kazoo-written", b"")
    refused(NotReadOnlyCallError, client.set, "/kazoo-seen", b"after")
    equal(client.exists("/kazoo-written"), None, "what was refused")
    ask("start")
    eventually("a session", lambda: client.client_state == KeeperState.CONNECTED)
    client.create("/kazoo-written", b"")
    close_client(client)


def reconfiguration(hosts):
    """The last member leaves, comes again, and is made an observer by a list of all; who may not is refused, and so is an old version."""
    members = hosts.split(",")
    client = open_client(",".join(members[:2]))
    before = client.get("/zookeeper/config")[0].decode()
    lines = sorted(line for line in before.splitlines() if line.startswith("server."))
    leaving = next(line for line in lines if line.endswith(members[2]))
    number = leaving[len("server.") : leaving.index("=")]
    refused(NoAuthError, client.reconfig, None, number, None)
    client.add_auth("digest", "super:judge")
    refused(BadVersionError, client.reconfig, None, number, None, 7)
    refused(BadArgumentsError, client.reconfig, "server.9=127.0.0.1:1:2", None, None)
    events = Events()
    client.get("/zookeeper/config", watch=events)
    stay = [line for line in lines if line != leaving]
    equal(reconfigured(client, None, number, None), stay, "the members without one")
    events.expect((EventType.CHANGED, "/zookeeper/config"))
    equal(reconfigured(client, leaving, None, None), lines, "the members with it again")
    observing = leaving.replace("participant", "observer")
    whole = sorted([*stay, observing])
    equal(reconfigured(client, None, None, ",".join(whole)), whole, "the members by a list of all")
    equal(reconfigured(client, leaving, None, None), lines, "the members in the end")
    close_client(client)


def reconfigured(client, *change):
    """The lines of the members when it is done."""

    def asked():
        try:
            return client.retry(client.reconfig, *change)
        except (NewConfigNoQuorumError, ReconfigInProcessError):
            return None

    data, _ = eventually(f"reconfigured by {change}", asked)
    return sorted(line for line in data.decode().splitlines() if line.startswith("server."))


MEMBERS = {"read_only_mode": read_only_mode, "reconfiguration": reconfiguration}
