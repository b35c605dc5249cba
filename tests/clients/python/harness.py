"""What every judge here uses: clients, assertions that say what was expected, and the words to the harness.

A judge is a function of `host:port`; it registers itself with `@judge` under its own name. It passes by returning.
"""

import sys
import threading
import time

from kazoo.client import KazooClient
from kazoo.retry import KazooRetry

JUDGES = {}

# Seconds that anything may take that is waited for: it costs nothing where all is well.
PATIENCE = 60.0

# Seconds by which a session may outlive its timeout: it ends with a tick of the server's clock, which is half a second here.
TICKS = 1.6


def judge(function):
    """Registers `function(hosts)` as a judge under its name."""
    JUDGES[function.__name__] = function
    return function


def ask(action):
    """Asks the harness for `restart`, `kill`, `stop` or `start` and returns when it is done."""
    print(f"@{action}", flush=True)
    answer = sys.stdin.readline().strip()
    assert answer == "ok", f"the harness answered {answer!r} to @{action}"


def say(text):
    """A line for the judge's log."""
    print(f"  {text}", flush=True)


def open_client(hosts, timeout=30.0, **options):
    """A started client that retries for ever while a server restarts. `timeout` is the session's, in seconds."""
    retry = KazooRetry(max_tries=-1, delay=0.05, max_delay=0.5)
    client = KazooClient(hosts, timeout=timeout, connection_retry=retry, command_retry=retry, **options)
    client.start(timeout=PATIENCE)
    return client


def close_client(client):
    """Ends the session and frees the sockets."""
    client.stop()
    client.close()


def equal(found, expected, what):
    """Fails unless `found == expected`; `what` is a noun phrase."""
    assert found == expected, f"{what}: found {found!r}, expected {expected!r}"


def refused(error, function, *args, **kwargs):
    """Calls the function, which must raise exactly `error`."""
    try:
        found = function(*args, **kwargs)
    except Exception as err:  # noqa: BLE001 - the type is what is judged
        assert type(err) is error, f"{args}: raised {err!r}, expected {error.__name__}"
        return
    raise AssertionError(f"{args}: answered {found!r}, expected {error.__name__}")


def eventually(what, condition):
    """Waits until `condition()` is true and returns its value."""
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        value = condition()
        if value:
            return value
        time.sleep(0.02)
    raise AssertionError(f"not within {PATIENCE} s: {what}")


def at_last(what, zk, began, seconds, condition):
    """Waits until `condition()` is true, which must come within so many seconds of `began`. What the machine is late is not counted: twice the longest
    turn of a write by `zk` and a look, which is nothing where all is well. Gives the seconds."""
    longest, turn = 0.0, time.monotonic()
    while True:
        zk.set("/", b"")
        done, now = condition(), time.monotonic()
        longest, turn, took = max(longest, now - turn), now, now - began
        assert took <= seconds + 2 * longest, f"{what}: after {took:.2f} s, not {seconds:.2f}; turns took up to {longest:.2f} s"
        if done:
            return took
        time.sleep(0.02)


def kill_and_start(*clients, how="kill"):
    """The server is killed and comes back, and so do all of these clients."""
    ask(how)
    eventually("all clients notice", lambda: not any(zk.connected for zk in clients))
    ask("start")
    eventually("all are back", lambda: all(zk.connected for zk in clients))


def start_thread(function, *args):
    """Runs `function(*args)` beside the judge; `finish()` on the result joins and raises what it raised."""
    return Background(function, args)


class Background(threading.Thread):
    """A thread whose failure is the judge's failure."""

    def __init__(self, function, args):
        super().__init__(daemon=True)
        self.function, self.args, self.result, self.error = function, args, None, None
        self.start()

    def run(self):
        try:
            self.result = self.function(*self.args)
        except BaseException as err:  # noqa: BLE001 - raised again in finish
            self.error = err

    def finish(self, seconds=PATIENCE):
        """Waits for the end and gives what the function returned."""
        self.join(seconds)
        assert not self.is_alive(), f"{self.function.__name__} did not end within {seconds} s"
        if self.error is not None:
            raise self.error
        return self.result


class Events:
    """A watch that notes its events as `(type, path)`."""

    def __init__(self):
        self.seen = []

    def __call__(self, event):
        self.seen.append((event.type, event.path))

    def expect(self, *events):
        """Waits for exactly these events, in this order, and forgets them."""
        wanted = list(events)
        eventually_or_show = time.monotonic() + PATIENCE
        while len(self.seen) < len(wanted) and time.monotonic() < eventually_or_show:
            time.sleep(0.01)
        equal(self.seen, wanted, "events")
        self.seen = []
