"""Leader election: candidates make ephemeral sequential znodes, the lowest leads, each other watches the one just before its own.

When a leader's session ends, exactly one candidate is woken, and it leads.
"""

import sys
import threading

from kazoo.client import KazooClient

ELECTION = "/examples/leader"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"
reigns = []
changed = threading.Condition()


class Candidate:
    def __init__(self, name):
        self.name = name
        self.zk = KazooClient(HOSTS)
        self.zk.start()

    def stand(self):
        self.mine = self.zk.create(f"{ELECTION}/n-", self.name.encode(), ephemeral=True, sequence=True).rsplit("/", 1)[1]
        self.look()

    def look(self, event=None):
        """Leads if it is the lowest; else watches the one before it; called again by that watch."""
        if event is not None and event.type != "DELETED":
            return  # its own session ends
        names = sorted(self.zk.get_children(ELECTION))
        place = names.index(self.mine)
        if place == 0:
            with changed:
                print(f"{self.name} leads")
                reigns.append(self.name)
                changed.notify_all()
        elif self.zk.exists(f"{ELECTION}/{names[place - 1]}", watch=self.look):
            print(f"{self.name} follows, and watches {names[place - 1]}")
        else:
            self.look()


def wait_for(*leaders):
    with changed:
        assert changed.wait_for(lambda: reigns == list(leaders), 60), f"the leaders were {reigns}, expected {leaders}"


def main():
    setup = KazooClient(HOSTS)
    setup.start()
    setup.delete(ELECTION, recursive=True)
    setup.ensure_path(ELECTION)
    ann, bob, cid, dan = candidates = [Candidate(name) for name in ("ann", "bob", "cid", "dan")]
    for candidate in candidates:
        candidate.stand()
    wait_for("ann")
    leader = setup.get(f"{ELECTION}/{sorted(setup.get_children(ELECTION))[0]}")[0].decode()
    assert leader == "ann", f"everybody can read who leads, and reads {leader}"
    bob.zk.stop()  # not the leader: nobody leads anew
    ann.zk.stop()
    wait_for("ann", "cid")
    cid.zk.stop()
    wait_for("ann", "cid", "dan")
    print(f"they led one after the other: {reigns}")
    for zk in (dan.zk, setup):
        zk.stop()


main()
