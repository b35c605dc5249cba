package judge;

import static org.apache.zookeeper.Watcher.Event.EventType.NodeChildrenChanged;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeCreated;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeDataChanged;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeDeleted;

import java.util.List;
import java.util.TreeSet;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Sessions: what they survive, and what ends with them. */
final class Sessions {
    private Sessions() {}

    static void timeoutsAreNegotiated(String server) throws Exception {
        for (int[] pair : new int[][] {{900, 1_000}, {5_000, 5_000}, {40_000, 40_000}, {900_000, 40_000}}) {
            try (Client client = Client.to(server, pair[0])) {
                Check.equal(pair[1], client.zk.getSessionTimeout(), "the timeout for " + pair[0]);
            }
        }
        try (Client one = Client.to(server); Client two = Client.to(server)) {
            Check.that(one.zk.getSessionId() != two.zk.getSessionId(), "two sessions, two ids");
            Check.equal(1L, one.zk.getSessionId() >>> 56, "the server's number in the session id");
            Check.equal(16, one.zk.getSessionPasswd().length, "the length of the password");
        }
    }

    static void closingEndsEphemerals(String server) throws Exception {
        try (Client watcher = Client.to(server)) {
            Events events = new Events();
            watcher.create("/here");
            try (Client client = Client.to(server)) {
                client.create("/here/e1", "", CreateMode.EPHEMERAL);
                client.create("/here/e2", "", CreateMode.EPHEMERAL_SEQUENTIAL);
                client.create("/here/stays");
                watcher.zk.getData("/here/e1", events, null);
            }
            Check.equal(List.of("stays"), watcher.zk.getChildren("/here", false), "what a closed session leaves");
            events.expect(NodeDeleted, "/here/e1");
        }
    }

    static void idleSessionsLive(String server) throws Exception {
        try (Client client = Client.to(server, 9_000); Client watcher = Client.to(server)) {
            client.create("/idle", "", CreateMode.EPHEMERAL);
            Thread.sleep(12_000);
            Check.that(watcher.stat("/idle") != null, "pings keep a session");
            Check.that(!client.events.saw(KeeperState.Disconnected), "the connection never broke");
        }
    }

    static void aRestartInTheMiddle(String server) throws Exception {
        survive(server, "restart");
    }

    static void aKillInTheMiddle(String server) throws Exception {
        survive(server, "kill");
    }

    private static void survive(String server, String how) throws Exception {
        try (Client client = Client.to(server, 20_000); Client other = Client.to(server, 20_000)) {
            ZooKeeper zk = client.zk;
            client.zk.addAuthInfo("digest", Client.bytes("ann:pw"));
            client.create("/s", "before", CreateMode.PERSISTENT);
            client.create("/s/e", "mine", CreateMode.EPHEMERAL);
            client.create("/s/n-", "", CreateMode.PERSISTENT_SEQUENTIAL);
            zk.create("/s/closed", null, org.apache.zookeeper.ZooDefs.Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            Stat stat = client.stat("/s");
            Events data = new Events();
            Events child = new Events();
            Events exists = new Events();
            Events standing = new Events();
            Events recursive = new Events();
            zk.getData("/s", data, null);
            zk.getChildren("/s", child);
            zk.exists("/s/later", exists);
            zk.addWatch("/s", standing, AddWatchMode.PERSISTENT);
            zk.addWatch("/s", recursive, AddWatchMode.PERSISTENT_RECURSIVE);
            long session = zk.getSessionId();

            if (how.equals("kill")) {
                Harness.ask("kill");
                client.events.await(KeeperState.Disconnected);
                Harness.ask("start");
            } else {
                Harness.ask("restart");
            }
            client.events.await(KeeperState.SyncConnected);
            other.events.await(KeeperState.SyncConnected);
            Check.equal(session, zk.getSessionId(), "the session");
            Check.equal(stat, client.stat("/s"), "the stat after");
            Check.equal("before", client.get("/s"), "the data after");
            Check.equal(session, other.stat("/s/e").getEphemeralOwner(), "the owner of the ephemeral after");
            Check.equal(List.of("/s/e"), zk.getEphemerals(), "the ephemerals after");
            zk.getData("/s/closed", false, null);
            Check.fails(KeeperException.Code.NOAUTH, () -> other.zk.getData("/s/closed", false, null));
            data.none("nothing happened to it");

            other.set("/s", "after");
            data.expect(NodeDataChanged, "/s");
            standing.expect(NodeDataChanged, "/s");
            recursive.expect(NodeDataChanged, "/s");
            other.create("/s/later");
            exists.expect(NodeCreated, "/s/later");
            child.expect(NodeChildrenChanged, "/s");
            standing.expect(NodeChildrenChanged, "/s");
            recursive.expect(NodeCreated, "/s/later");
            Check.equal("/s/n-0000000004", other.create("/s/n-", "", CreateMode.PERSISTENT_SEQUENTIAL), "the counter goes on");
            Check.that(other.stat("/s/later").getCzxid() > stat.getPzxid(), "zxids go on");
            client.close();
            Check.equal(null, other.stat("/s/e"), "the ephemeral of the closed session");
        }
    }

    static void changesWhileAwayAreTold(String server) throws Exception {
        try (Relay relay = new Relay(server); Client client = Client.to(relay.address(), 20_000); Client other = Client.to(server)) {
            ZooKeeper zk = client.zk;
            for (String path : List.of("/changed", "/deleted", "/parent", "/quiet")) {
                client.create(path);
            }
            Events events = new Events();
            Events standing = new Events();
            zk.getData("/changed", events, null);
            zk.getData("/deleted", events, null);
            zk.getData("/quiet", events, null);
            zk.exists("/born", events);
            zk.getChildren("/parent", events);
            zk.addWatch("/parent", standing, AddWatchMode.PERSISTENT_RECURSIVE);
            relay.hold();
            other.set("/changed", "x");
            other.zk.delete("/deleted", -1);
            other.create("/born");
            other.create("/parent/kid");
            relay.release();
            client.events.await(KeeperState.SyncConnected);
            TreeSet<String> told = new TreeSet<>();
            for (int i = 0; i < 4; i++) {
                told.add(events.next().toString().replaceAll(" zxid: .*", ""));
            }
            String state = "WatchedEvent state:SyncConnected type:";
            Check.equal(new TreeSet<>(List.of(state + "NodeDataChanged path:/changed", state + "NodeDeleted path:/deleted",
                state + "NodeCreated path:/born", state + "NodeChildrenChanged path:/parent")), told, "what is told on return");
            other.create("/parent/second");
            standing.expect(NodeCreated, "/parent/second");
            other.set("/quiet", "x");
            events.expect(NodeDataChanged, "/quiet");
        }
    }

    static void manyWatchesComeBack(String server) throws Exception {
        int count = 6_000;
        String longName = "x".repeat(80);
        try (Relay relay = new Relay(server); Client client = Client.to(relay.address(), 20_000); Client other = Client.to(server)) {
            Events events = new Events();
            for (int i = 0; i < count; i++) {
                client.zk.exists("/" + longName + i, events, (rc, path, ctx, stat) -> {}, null);
            }
            client.stat("/");
            relay.cut();
            client.events.await(KeeperState.SyncConnected);
            client.stat("/");
            for (int i = 0; i < count; i += 100) {
                other.create("/" + longName + i);
                events.expect(NodeCreated, "/" + longName + i);
            }
        }
    }

    static void silenceExpires(String server) throws Exception {
        try (Relay relay = new Relay(server); Client watcher = Client.to(server)) {
            Client client = Client.to(relay.address(), 4_000);
            client.create("/gone", "", CreateMode.EPHEMERAL);
            Events events = new Events();
            watcher.zk.exists("/gone", events);
            long begin = System.nanoTime();
            client.create("/stays");
            relay.hold();
            // Until it was held it may have been heard of.
            Check.atLast("the silent session expires", watcher, System.nanoTime(), 4_000 + Check.TICKS, () -> !events.isEmpty());
            long millis = (System.nanoTime() - begin) / 1_000_000;
            events.expect(NodeDeleted, "/gone");
            Check.that(3_900 <= millis, "a session of 4,000 ms expired after " + millis + " ms");
            Check.that(watcher.stat("/stays") != null, "what is not ephemeral stays");
            relay.release();
            client.events.await(KeeperState.Expired);
            Check.fails(KeeperException.Code.SESSIONEXPIRED, () -> client.create("/never"));
            client.close();
            long id = client.zk.getSessionId();
            Client again = Client.resume(server, 5_000, id, client.zk.getSessionPasswd());
            again.events.await(KeeperState.Expired);
            again.close();
        }
    }

    static void expiryGoesOnOverARestart(String server) throws Exception {
        try (Relay relay = new Relay(server); Client watcher = Client.to(server, 30_000)) {
            Client client = Client.to(relay.address(), 8_000);
            client.create("/gone", "", CreateMode.EPHEMERAL);
            relay.hold();
            Harness.ask("kill");
            Harness.ask("start");
            long begin = System.nanoTime();
            watcher.events.await(KeeperState.SyncConnected);
            Check.that(watcher.stat("/gone") != null, "a session has its full time after a restart");
            Check.atLast("the silent session expires", watcher, begin, 8_000 + Check.TICKS, () -> watcher.stat("/gone") == null);
            relay.release();
            client.events.await(KeeperState.Expired);
            client.close();
        }
    }

    static void aSessionMayMove(String server) throws Exception {
        Client first = Client.to(server);
        first.create("/mine", "", CreateMode.EPHEMERAL);
        long id = first.zk.getSessionId();
        byte[] password = first.zk.getSessionPasswd();
        Client second = Client.resume(server, Client.TIMEOUT, id, password);
        second.events.await(KeeperState.SyncConnected);
        Check.equal(id, second.zk.getSessionId(), "the session that was taken over");
        Check.equal(id, second.stat("/mine").getEphemeralOwner(), "its ephemeral");
        first.events.await(KeeperState.Disconnected);
        second.close();
        first.events.await(KeeperState.Expired);
        first.close();
        try (Client third = Client.to(server)) {
            Check.equal(null, third.stat("/mine"), "the ephemeral of the closed session");
        }
    }

    static void strangersAreRefused(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.create("/mine", "", CreateMode.EPHEMERAL);
            byte[] wrong = client.zk.getSessionPasswd().clone();
            wrong[3] ^= 1;
            Client thief = Client.resume(server, Client.TIMEOUT, client.zk.getSessionId(), wrong);
            thief.events.await(KeeperState.Expired);
            thief.close();
            Client ghost = Client.resume(server, Client.TIMEOUT, 0x1234567890L, new byte[16]);
            ghost.events.await(KeeperState.Expired);
            ghost.close();
            // The reference cuts the owner off before it looks at the password; a server may spare it that.
            Check.soon("the owner is served", () -> {
                try {
                    return client.stat("/mine").getEphemeralOwner() == client.zk.getSessionId();
                } catch (KeeperException.ConnectionLossException cut) {
                    return false;
                }
            });
        }
    }

    static void aClosedSessionIsGone(String server) throws Exception {
        Client client = Client.to(server);
        long id = client.zk.getSessionId();
        byte[] password = client.zk.getSessionPasswd();
        client.close();
        Client again = Client.resume(server, Client.TIMEOUT, id, password);
        again.events.await(KeeperState.Expired);
        again.close();
        Harness.ask("kill");
        Harness.ask("start");
        Client later = Client.resume(server, Client.TIMEOUT, id, password);
        later.events.await(KeeperState.Expired);
        later.close();
    }
}
