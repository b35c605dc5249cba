"""A naming service: services register under a name, clients look up where a name lives, and dead services vanish by themselves.

/examples/naming/NAME/instance-0000000000 holds "address:port" and is ephemeral: it lives as long as its service's session.
"""

import random
import sys
import time

from kazoo.client import KazooClient
from kazoo.exceptions import NoNodeError

ROOT = "/examples/naming"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


def register(zk, name, address):
    """Puts an address under a name for as long as this session lives."""
    zk.create(f"{ROOT}/{name}/instance-", address.encode(), ephemeral=True, sequence=True, makepath=True)
    print(f"{name} is at {address}")


def lookup(zk, name):
    """All addresses of a name, oldest first."""
    addresses = []
    for instance in sorted(zk.get_children(f"{ROOT}/{name}")):
        try:
            addresses.append(zk.get(f"{ROOT}/{name}/{instance}")[0].decode())
        except NoNodeError:
            pass  # it went away between the two requests
    return addresses


def main():
    client, first, second, mail = (connect() for _ in range(4))
    client.delete(ROOT, recursive=True)
    register(first, "shop", "10.0.0.1:80")
    register(second, "shop", "10.0.0.2:80")
    register(mail, "mail", "10.0.0.3:25")
    names = sorted(client.get_children(ROOT))
    print(f"the names are {names}")
    assert names == ["mail", "shop"]
    found = lookup(client, "shop")
    print(f"the shop is at {found}; this time we ask {random.choice(found)}")
    assert found == ["10.0.0.1:80", "10.0.0.2:80"]

    first.stop()
    print("the first shop has gone")
    end = time.monotonic() + 10
    while lookup(client, "shop") != ["10.0.0.2:80"]:
        assert time.monotonic() < end, "its name is still there"
        time.sleep(0.05)
    print(f"the shop is at {lookup(client, 'shop')}")
    for zk in (second, mail, client):
        zk.stop()


main()
