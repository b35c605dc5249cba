package judge;

import static org.apache.zookeeper.Watcher.Event.EventType.ChildWatchRemoved;
import static org.apache.zookeeper.Watcher.Event.EventType.DataWatchRemoved;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeChildrenChanged;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeCreated;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeDataChanged;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeDeleted;
import static org.apache.zookeeper.Watcher.Event.EventType.PersistentWatchRemoved;

import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicBoolean;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher.WatcherType;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;

/** Watches of every kind, every trigger, and what must not trigger. */
final class Watches {
    private Watches() {}

    static void oneShots(String server) throws Exception {
        try (Client client = Client.to(server); Client actor = Client.to(server)) {
            ZooKeeper zk = client.zk;
            Events events = new Events();
            Check.equal(null, zk.exists("/w", events), "not there yet");
            actor.create("/w");
            long created = events.expect(NodeCreated, "/w").getZxid();
            Check.equal(actor.stat("/w").getCzxid(), created, "an event tells the zxid of its transaction");

            zk.exists("/w", events);
            actor.set("/w", "1");
            Check.equal(actor.stat("/w").getMzxid(), events.expect(NodeDataChanged, "/w").getZxid(), "the event's zxid");
            actor.set("/w", "2");
            events.none("a one-shot fires once");

            zk.getData("/w", events, null);
            actor.set("/w", "3");
            events.expect(NodeDataChanged, "/w");

            zk.getChildren("/w", events);
            actor.set("/w", "4");
            actor.zk.setACL("/w", Ids.OPEN_ACL_UNSAFE, -1);
            actor.create("/w/kid");
            events.expect(NodeChildrenChanged, "/w");
            zk.getChildren("/w", events, new org.apache.zookeeper.data.Stat());
            actor.create("/w/kid/grandkid");
            actor.set("/w/kid", "x");
            events.none("neither grandchildren nor data are the children's business");
            actor.zk.delete("/w/kid/grandkid", -1);
            actor.zk.delete("/w/kid", -1);
            events.expect(NodeChildrenChanged, "/w");

            zk.getData("/w", events, null);
            zk.getChildren("/w", events);
            zk.exists("/w", events);
            actor.zk.delete("/w", -1);
            events.expect(NodeDeleted, "/w");
            events.none("one delete, one event to each watcher");

            Check.fails(KeeperException.Code.NONODE, () -> zk.getData("/gone", events, null));
            Check.fails(KeeperException.Code.NONODE, () -> zk.getChildren("/gone", events));
            actor.create("/gone");
            events.none("a read that failed leaves no watch");
        }
    }

    static void aSessionsOwnChangesFireToo(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.create("/own");
            Events events = new Events();
            client.zk.getData("/own", events, null);
            client.zk.getChildren("/", events);
            // Both are told by one thread, in the order in which they came.
            CountDownLatch replied = new CountDownLatch(1);
            AtomicBoolean wasTold = new AtomicBoolean();
            client.zk.setData("/own", Client.bytes("x"), -1, (rc, path, ctx, stat) -> {
                wasTold.set(!events.isEmpty());
                replied.countDown();
            }, null);
            replied.await();
            Check.that(wasTold.get(), "the event comes before the reply");
            events.expect(NodeDataChanged, "/own");
            client.create("/another");
            events.expect(NodeChildrenChanged, "/");
            Events default_ = client.events;
            client.zk.exists("/own", true);
            client.zk.delete("/own", -1);
            default_.expect(NodeDeleted, "/own");
        }
    }

    static void persistent(String server) throws Exception {
        try (Client client = Client.to(server); Client actor = Client.to(server)) {
            Events events = new Events();
            client.zk.addWatch("/p", events, AddWatchMode.PERSISTENT);
            for (int round = 0; round < 3; round++) {
                actor.create("/p");
                events.expect(NodeCreated, "/p");
                actor.set("/p", "x");
                events.expect(NodeDataChanged, "/p");
                actor.create("/p/kid");
                events.expect(NodeChildrenChanged, "/p");
                actor.set("/p/kid", "x");
                actor.zk.delete("/p/kid", -1);
                events.expect(NodeChildrenChanged, "/p");
                actor.zk.delete("/p", -1);
                events.expect(NodeDeleted, "/p");
            }
            events.none("nothing twice");
        }
    }

    static void persistentRecursive(String server) throws Exception {
        try (Client client = Client.to(server); Client actor = Client.to(server)) {
            Events events = new Events();
            client.zk.addWatch("/r", events, AddWatchMode.PERSISTENT_RECURSIVE);
            actor.create("/r");
            events.expect(NodeCreated, "/r");
            actor.create("/r/a");
            events.expect(NodeCreated, "/r/a");
            actor.create("/r/a/b", "", CreateMode.EPHEMERAL);
            events.expect(NodeCreated, "/r/a/b");
            actor.set("/r/a", "x");
            events.expect(NodeDataChanged, "/r/a");
            actor.create("/rx");
            actor.zk.delete("/r/a/b", -1);
            events.expect(NodeDeleted, "/r/a/b");
            actor.zk.delete("/r/a", -1);
            events.expect(NodeDeleted, "/r/a");

            Events one = new Events();
            client.zk.getChildren("/r", one);
            client.zk.getData("/r", one, null);
            actor.create("/r/c");
            events.expect(NodeCreated, "/r/c");
            one.expect(NodeChildrenChanged, "/r");
            actor.set("/r", "x");
            events.expect(NodeDataChanged, "/r");
            one.expect(NodeDataChanged, "/r");
            Events all = new Events();
            client.zk.addWatch("/", all, AddWatchMode.PERSISTENT_RECURSIVE);
            actor.create("/elsewhere");
            all.expect(NodeCreated, "/elsewhere");
            events.none("other branches are not watched");
        }
    }

    static void removed(String server) throws Exception {
        try (Client client = Client.to(server); Client actor = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/x");
            Events data = new Events();
            Events child = new Events();
            zk.getData("/x", data, null);
            zk.getChildren("/x", child);
            Check.fails(KeeperException.Code.NOWATCHER, () -> zk.removeWatches("/x", data, WatcherType.Children, false));
            Check.fails(KeeperException.Code.NOWATCHER, () -> zk.removeWatches("/none", data, WatcherType.Any, false));
            zk.removeWatches("/x", data, WatcherType.Data, false);
            data.expect(DataWatchRemoved, "/x");
            actor.set("/x", "1");
            actor.create("/x/kid");
            child.expect(NodeChildrenChanged, "/x");
            data.none("what was removed does not fire");
            zk.getChildren("/x", child);
            zk.removeAllWatches("/x", WatcherType.Children, false);
            child.expect(ChildWatchRemoved, "/x");
            actor.create("/x/kid2");
            child.none("what was removed does not fire");

            Events standing = new Events();
            zk.addWatch("/x", standing, AddWatchMode.PERSISTENT);
            zk.getData("/x", standing, null);
            zk.removeWatches("/x", standing, WatcherType.Any, false);
            actor.set("/x", "2");
            int count = 0;
            for (; count < 2; count++) {
                WatchedEvent gone = standing.next();
                Check.that(gone.getType() == PersistentWatchRemoved || gone.getType() == DataWatchRemoved, "removed: " + gone);
            }
            standing.none("what was removed does not fire");
            zk.addWatch("/x", standing, AddWatchMode.PERSISTENT_RECURSIVE);
            zk.removeAllWatches("/x", WatcherType.Any, false);
            Check.equal(PersistentWatchRemoved, standing.next().getType(), "the recursive one");
            actor.set("/x", "3");
            standing.none("what was removed does not fire");
        }
    }

    static void onlyReadersSeeEvents(String server) throws Exception {
        try (Client client = Client.to(server); Client owner = Client.to(server)) {
            owner.zk.addAuthInfo("digest", Client.bytes("owner:secret"));
            List<ACL> hidden = Ids.CREATOR_ALL_ACL;
            Events events = new Events();
            client.zk.addWatch("/h", events, AddWatchMode.PERSISTENT_RECURSIVE);
            owner.create("/h");
            events.expect(NodeCreated, "/h");
            owner.zk.create("/h/secret", null, hidden, CreateMode.PERSISTENT);
            owner.zk.setData("/h/secret", null, -1);
            owner.zk.delete("/h/secret", -1);
            owner.create("/h/open");
            events.expect(NodeCreated, "/h/open");
            Events one = new Events();
            client.zk.getData("/h/open", one, null);
            owner.zk.setACL("/h/open", Acls.list(new ACL(Perms.READ, new org.apache.zookeeper.data.Id("ip", "10.0.0.1")),
                new ACL(Perms.ALL, Ids.AUTH_IDS)), -1);
            owner.set("/h/open", "x");
            one.none("who may not read any more is told nothing");
            events.none("who may not read any more is told nothing");
        }
    }

    static void anEventComesBeforeWhatItTells(String server) throws Exception {
        try (Client client = Client.to(server); Client actor = Client.to(server)) {
            client.create("/order");
            for (int round = 0; round < 300; round++) {
                List<String> order = new ArrayList<>();
                int version = client.zk.exists("/order", event -> {
                    synchronized (order) {
                        order.add("event");
                    }
                }).getVersion();
                actor.zk.setData("/order", null, -1, (rc, path, ctx, stat) -> {}, null);
                CountDownLatch seen = new CountDownLatch(1);
                poll(client.zk, version, order, seen);
                seen.await();
                synchronized (order) {
                    Check.equal(List.of("event", "new"), order.stream().filter(it -> !it.equals("old")).toList(), "round " + round);
                }
            }
        }
    }

    private static void poll(ZooKeeper zk, int version, List<String> order, CountDownLatch seen) {
        zk.getData("/order", false, (rc, path, ctx, data, stat) -> {
            boolean changed = stat.getVersion() > version;
            synchronized (order) {
                order.add(changed ? "new" : "old");
            }
            if (changed) {
                seen.countDown();
            } else {
                poll(zk, version, order, seen);
            }
        }, null);
    }

    static void manyWatchers(String server) throws Exception {
        List<Client> clients = new ArrayList<>();
        try (Client actor = Client.to(server)) {
            actor.create("/many");
            CountDownLatch told = new CountDownLatch(50 * 20);
            for (int i = 0; i < 50; i++) {
                Client client = Client.to(server);
                clients.add(client);
                for (int j = 0; j < 20; j++) {
                    client.zk.exists("/many/" + j, event -> told.countDown());
                }
            }
            for (int j = 0; j < 20; j++) {
                actor.create("/many/" + j);
            }
            Check.soon("1,000 watches fire", () -> told.getCount() == 0);
        } finally {
            for (Client client : clients) {
                client.close();
            }
        }
    }
}
