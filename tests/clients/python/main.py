"""Runs one judge (or `all`, one after the other, on one server)."""

import faulthandler
import logging
import sys
import time

import caches  # noqa: F401 - importing registers the judges
import coordination  # noqa: F401
import guarantees
import locks  # noqa: F401
import members
import ops  # noqa: F401
import sessions  # noqa: F401
import watches  # noqa: F401
from harness import JUDGES, open_client, close_client


def empty(hosts):
    """Removes what an earlier judge left, so that `all` can use one server."""
    client = open_client(hosts)
    client.add_auth("digest", "super:judge")
    for name in client.get_children("/"):
        if name != "zookeeper":
            client.delete("/" + name, recursive=True)
    close_client(client)


def main():
    logging.basicConfig(level=logging.CRITICAL)
    faulthandler.enable()
    faulthandler.dump_traceback_later(280, exit=True)
    _, _, name, hosts = sys.argv
    if name == "stress_worker":
        guarantees.stress_worker(hosts)
        return
    if name in members.MEMBERS:
        members.MEMBERS[name](hosts)
        return
    names = list(JUDGES) if name == "all" else [name]
    for each in names:
        began = time.monotonic()
        JUDGES[each](hosts)
        print(f"{each}: passed in {time.monotonic() - began:.1f} s", flush=True)
        if name == "all":
            faulthandler.dump_traceback_later(280, exit=True)
            empty(hosts)


main()
