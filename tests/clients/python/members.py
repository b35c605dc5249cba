"""What kazoo sees of an ensemble's members; each function gets them as HOST:PORT,HOST:PORT,HOST:PORT."""

from kazoo.client import KeeperState
from kazoo.exceptions import NotReadOnlyCallError

from harness import ask, close_client, equal, eventually, open_client, refused


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


MEMBERS = {"read_only_mode": read_only_mode}
