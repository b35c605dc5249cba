"""Group membership: each member is an ephemeral znode under the group's; who watches the group's children sees all come and go."""

import sys
import threading

from kazoo.client import KazooClient

GROUP = "/examples/membership"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


class Observer:
    """Sees the group: `members` is the last state that it was shown."""

    def __init__(self):
        self.zk = connect()
        self.changed = threading.Condition()
        self.members = []
        self.look()

    def look(self, event=None):
        """Lists and watches in one request; called again by the watch."""
        names = sorted(self.zk.get_children(GROUP, watch=self.look))
        with self.changed:
            for name in set(names) - set(self.members):
                print(f"{name} has come")
            for name in set(self.members) - set(names):
                print(f"{name} has gone")
            self.members = names
            self.changed.notify_all()

    def wait_for(self, *members):
        with self.changed:
            assert self.changed.wait_for(lambda: self.members == list(members), 60), self.members


def join(name):
    """A member of its own session."""
    zk = connect()
    zk.create(f"{GROUP}/{name}", b"what others should know of it", ephemeral=True)
    return zk


def main():
    setup = connect()
    setup.delete(GROUP, recursive=True)
    setup.ensure_path(GROUP)
    observer = Observer()
    ann, bob = join("ann"), join("bob")
    observer.wait_for("ann", "bob")
    cid = join("cid")
    observer.wait_for("ann", "bob", "cid")
    ann.delete(f"{GROUP}/ann")  # leaves, and keeps its session
    observer.wait_for("bob", "cid")
    bob.stop()  # its session ends, and with it its membership
    observer.wait_for("cid")
    print(f"the group is {observer.members}")
    for zk in (ann, cid, setup, observer.zk):
        zk.stop()


main()
