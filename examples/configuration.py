"""Configuration push: one znode holds the configuration, every server watches it and has each change within milliseconds.

A watch fires once, so a server reads again and leaves a new watch in the same request: no change that lasts is missed.
"""

import json
import sys
import threading

from kazoo.client import KazooClient
from kazoo.exceptions import BadVersionError

PATH = "/examples/configuration"
HOSTS = sys.argv[1] if len(sys.argv) > 1 else "127.0.0.1:2181"


def connect():
    zk = KazooClient(HOSTS)
    zk.start()
    return zk


class Server:
    """Has the newest configuration that it was shown."""

    def __init__(self, name):
        self.name, self.zk = name, connect()
        self.changed = threading.Condition()
        self.version = -1
        self.load()

    def load(self, event=None):
        """Reads and watches in one request; called again by the watch."""
        data, stat = self.zk.get(PATH, watch=self.load)
        with self.changed:
            self.config, self.version = json.loads(data), stat.version
            print(f"{self.name} runs with version {self.version}: {self.config}")
            self.changed.notify_all()

    def wait_for(self, version):
        with self.changed:
            assert self.changed.wait_for(lambda: self.version >= version, 60), f"{self.name} was not told"


def change(zk, **settings):
    """Changes some settings; asks again when somebody else was faster. Gives the version that has them."""
    while True:
        data, stat = zk.get(PATH)
        new = json.dumps({**json.loads(data), **settings}).encode()
        try:
            return zk.set(PATH, new, version=stat.version).version
        except BadVersionError:
            print("somebody else was faster: read again")


def main():
    admin, second_admin = connect(), connect()
    admin.ensure_path("/examples")
    admin.delete(PATH, recursive=True)
    admin.create(PATH, json.dumps({"limit": 10}).encode())
    servers = [Server(f"server {number}") for number in (1, 2, 3)]
    changes = [
        threading.Thread(target=change, args=(admin,), kwargs={"limit": 20}),
        threading.Thread(target=change, args=(second_admin,), kwargs={"colour": "green"}),
    ]
    for each in changes:
        each.start()
    for server in servers:
        server.wait_for(2)
        assert server.config == {"limit": 20, "colour": "green"}, server.config
    print("every server has both changes")
    for zk in (admin, second_admin, *(server.zk for server in servers)):
        zk.stop()


main()
