package judge;

import static org.apache.zookeeper.KeeperException.Code.BADVERSION;
import static org.apache.zookeeper.KeeperException.Code.NOCHILDRENFOREPHEMERALS;
import static org.apache.zookeeper.KeeperException.Code.NODEEXISTS;
import static org.apache.zookeeper.KeeperException.Code.NONODE;
import static org.apache.zookeeper.KeeperException.Code.NOTEMPTY;
import static org.apache.zookeeper.KeeperException.Code.BADARGUMENTS;
import static org.apache.zookeeper.KeeperException.Code.INVALIDACL;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Random;
import java.util.TreeSet;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Every op on znodes, with the stats and the refusals. */
final class Znodes {
    private Znodes() {}

    static void createInEveryMode(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/m");
            long session = zk.getSessionId();
            for (CreateMode mode : CreateMode.values()) {
                Stat stat = new Stat();
                long ttl = mode.isTTL() ? 3_600_000 : -1;
                String path = zk.create("/m/" + mode, Client.bytes("abc"), Client.OPEN, mode, stat, ttl);
                Check.that(path.startsWith("/m/" + mode), "the path of " + mode + " is " + path);
                Check.equal(mode.isSequential() ? 10 : 0, path.length() - ("/m/" + mode).length(), "the suffix of " + path);
                String owner = mode.isEphemeral() ? Long.toHexString(session) : "0";
                Check.stat("version=0 cversion=0 aversion=0 owner=" + owner + " length=3 children=0", stat);
                Check.equal(stat.getCzxid(), stat.getMzxid(), "czxid and mzxid of a new znode");
                Check.equal(stat.getCzxid(), stat.getPzxid(), "czxid and pzxid of a new znode");
                Check.equal(stat.getCtime(), stat.getMtime(), "ctime and mtime of a new znode");
                Check.recent(stat.getCtime(), "ctime");
                Stat again = new Stat();
                Check.equal("abc", new String(zk.getData(path, false, again)), "the data");
                Check.equal(stat, again, "the stat that create gave and the one that getData gives");
                Check.equal(stat, zk.exists(path, false), "the stat that exists gives");
            }
            int count = CreateMode.values().length;
            Stat parent = client.stat("/m");
            Check.stat("version=0 cversion=" + count + " aversion=0 owner=0 length=0 children=" + count, parent);
            String last = zk.create("/m/s", null, Client.OPEN, CreateMode.PERSISTENT_SEQUENTIAL);
            Check.equal(String.format("/m/s%010d", count), last, "the counter counts creations");
            Check.that(client.stat("/m").getPzxid() > parent.getPzxid(), "pzxid goes up with each child");
        }
    }

    static void createRefused(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/r");
            Check.equal("/r", Check.fails(NODEEXISTS, () -> client.create("/r")).getPath(), "the path in the refusal");
            Check.fails(NODEEXISTS, () -> client.create("/"));
            Check.fails(NONODE, () -> client.create("/nobody/child"));
            client.create("/r/e", "", CreateMode.EPHEMERAL);
            Check.fails(NOCHILDRENFOREPHEMERALS, () -> client.create("/r/e/child"));
            Check.fails(INVALIDACL, () -> zk.create("/r/a", null, Collections.emptyList(), CreateMode.PERSISTENT));
            Check.stat("version=0 cversion=1 aversion=0 owner=0 length=0 children=1", client.stat("/r"));
        }
    }

    static void sequentialNames(String server) throws Exception {
        try (Client client = Client.to(server); Client other = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/seq");
            for (int i = 0; i < 20; i++) {
                Client who = i % 2 == 0 ? client : other;
                CreateMode mode = i % 3 == 0 ? CreateMode.EPHEMERAL_SEQUENTIAL : CreateMode.PERSISTENT_SEQUENTIAL;
                Check.equal(String.format("/seq/n-%010d", i), who.create("/seq/n-", "", mode), "the name");
            }
            zk.delete("/seq/n-0000000019", -1);
            Check.equal("/seq/n-0000000020", client.create("/seq/n-", "", CreateMode.PERSISTENT_SEQUENTIAL),
                "deleting does not give numbers back");
            client.create("/seq/plain");
            Check.equal("/seq/0000000022", client.create("/seq/", "", CreateMode.PERSISTENT_SEQUENTIAL),
                "plain children count, and a name may be digits only");
            Check.fails(KeeperException.Code.NONODE, () -> client.create("/none/n-", "", CreateMode.PERSISTENT_SEQUENTIAL));
            client.create("/seq/n-0000000025");
            client.create("/seq/n-", "", CreateMode.PERSISTENT_SEQUENTIAL);
            Check.fails(NODEEXISTS, () -> client.create("/seq/n-", "", CreateMode.PERSISTENT_SEQUENTIAL));
        }
    }

    static void dataAndVersions(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            Stat made = new Stat();
            zk.create("/d", Client.bytes("one"), Client.OPEN, CreateMode.PERSISTENT, made);
            Stat set = zk.setData("/d", Client.bytes("three"), 0);
            Check.stat("version=1 cversion=0 aversion=0 owner=0 length=5 children=0", set);
            Check.equal(made.getCzxid(), set.getCzxid(), "czxid stays");
            Check.equal(made.getPzxid(), set.getPzxid(), "pzxid stays");
            Check.equal(made.getCtime(), set.getCtime(), "ctime stays");
            Check.that(set.getMzxid() > made.getMzxid(), "mzxid goes up");
            Check.that(set.getMtime() >= made.getMtime(), "mtime does not go back");
            Check.fails(BADVERSION, () -> zk.setData("/d", null, 0));
            Check.fails(BADVERSION, () -> zk.setData("/d", null, 7));
            Check.fails(NONODE, () -> zk.setData("/none", null, -1));
            Check.equal(2, zk.setData("/d", null, -1).getVersion(), "the version after a set of any version");
            Check.equal(null, zk.getData("/d", false, null), "null stays null");
            Check.stat("version=2 cversion=0 aversion=0 owner=0 length=0 children=0", client.stat("/d"));
            zk.setData("/d", new byte[0], 2);
            Check.bytes(new byte[0], zk.getData("/d", false, null), "empty stays empty");
            Check.fails(NONODE, () -> zk.getData("/none", false, null));
            Check.equal(null, zk.exists("/none", false), "what does not exist");
            byte[] every = new byte[256];
            for (int i = 0; i < every.length; i++) {
                every[i] = (byte) i;
            }
            zk.setData("/d", every, -1);
            Check.bytes(every, zk.getData("/d", false, null), "every byte");
            zk.setData("/", Client.bytes("root"), -1);
            Check.equal("root", client.get("/"), "the root holds data too");
        }
    }

    static void largeValues(String server) throws Exception {
        Random random = new Random(7);
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/big");
            for (int size : new int[] {1, 100, 4_000, 4_096, 65_536, 300_000, 1_000_000, 1_048_000}) {
                byte[] value = new byte[size];
                random.nextBytes(value);
                zk.create("/big/" + size, value, Client.OPEN, CreateMode.PERSISTENT);
                Check.bytes(value, zk.getData("/big/" + size, false, null), "a value of " + size);
                random.nextBytes(value);
                Check.equal(size, zk.setData("/big/" + size, value, 0).getDataLength(), "the length");
                Check.bytes(value, zk.getData("/big/" + size, false, null), "a new value of " + size);
                zk.setData("/big/" + size, Client.bytes("small"), 1);
                zk.setData("/big/" + size, value, 2);
                Check.bytes(value, zk.getData("/big/" + size, false, null), "grown again to " + size);
            }
        }
        // More than the server takes in one frame (jute.maxbuffer, 0xfffff): refused, or the connection ends, and the session goes on.
        try (Client client = Client.to(server)) {
            client.create("/keep", "", CreateMode.EPHEMERAL);
            try {
                client.zk.setData("/keep", new byte[1_100_000], -1);
                throw new AssertionError("an oversize value was taken");
            } catch (KeeperException.ConnectionLossException ended) {
                client.events.await(org.apache.zookeeper.Watcher.Event.KeeperState.SyncConnected);
            } catch (KeeperException refused) {
                Check.that(!client.events.saw(org.apache.zookeeper.Watcher.Event.KeeperState.Disconnected), "refused, and yet cut off");
            }
            Check.equal(client.zk.getSessionId(), client.stat("/keep").getEphemeralOwner(), "the owner after an oversize request");
            Check.equal(0, client.stat("/keep").getVersion(), "the version after an oversize request");
        }
    }

    static void deletes(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/x");
            client.create("/x/y");
            Stat before = client.stat("/x");
            Check.fails(NOTEMPTY, () -> zk.delete("/x", -1));
            Check.fails(BADVERSION, () -> zk.delete("/x/y", 3));
            Check.fails(NONODE, () -> zk.delete("/x/none", -1));
            zk.delete("/x/y", 0);
            Stat after = client.stat("/x");
            Check.stat("version=0 cversion=2 aversion=0 owner=0 length=0 children=0", after);
            Check.that(after.getPzxid() > before.getPzxid(), "pzxid goes up with a delete");
            Check.equal(before.getMzxid(), after.getMzxid(), "mzxid is not the children's business");
            zk.delete("/x", -1);
            Check.equal(null, client.stat("/x"), "what was deleted");
            Check.fails(BADARGUMENTS, () -> zk.delete("/zookeeper/quota", -1));
            Check.fails(BADARGUMENTS, () -> zk.delete("/zookeeper", -1));
            Check.fails(BADARGUMENTS, () -> zk.delete("/", -1));
        }
    }

    static void children(String server) throws Exception {
        try (Client client = Client.to(server); Client other = Client.to(server)) {
            ZooKeeper zk = client.zk;
            Check.equal(List.of("zookeeper"), zk.getChildren("/", false), "the children of a new root");
            Check.equal(new TreeSet<>(List.of("config", "quota")), new TreeSet<>(zk.getChildren("/zookeeper", false)),
                "the children of /zookeeper");
            Check.stat("version=0 cversion=-1 aversion=0 owner=0 length=0 children=1", client.stat("/"));
            Check.equal(0, zk.getChildren("/zookeeper/config", false).size(), "the children of the config");
            client.create("/c");
            Stat stat = new Stat();
            Check.equal(List.of(), zk.getChildren("/c", false, stat), "no children");
            TreeSet<String> names = new TreeSet<>();
            for (int i = 0; i < 2_000; i++) {
                names.add("child-" + i);
                zk.create("/c/child-" + i, null, Client.OPEN, CreateMode.PERSISTENT, (rc, path, ctx, name) -> {}, null);
            }
            names.add("tëst-日本");
            client.create("/c/tëst-日本", "ü", CreateMode.PERSISTENT);
            Check.equal(names, new TreeSet<>(zk.getChildren("/c", false, stat)), "many children");
            Check.stat("version=0 cversion=2001 aversion=0 owner=0 length=0 children=2001", stat);
            Check.equal("ü", client.get("/c/tëst-日本"), "data under a name beyond ASCII");
            Check.equal(2_001, zk.getAllChildrenNumber("/c"), "all below /c");
            client.create("/c/child-5/deep");
            Check.equal(2_002, zk.getAllChildrenNumber("/c"), "all below /c with a grandchild");
            // The reference counts the four of its own with the others: /, /zookeeper and its two children less the root.
            Check.equal(2_003 + 3, zk.getAllChildrenNumber("/"), "all below the root");
            Check.fails(NONODE, () -> zk.getChildren("/none", false));
            Check.fails(NONODE, () -> zk.getChildren("/none", false, new Stat()));
            Check.fails(NONODE, () -> zk.getAllChildrenNumber("/none"));

            client.create("/c/child-1/e", "", CreateMode.EPHEMERAL);
            client.create("/c/e", "", CreateMode.EPHEMERAL);
            client.create("/other", "", CreateMode.EPHEMERAL);
            other.create("/c/foreign", "", CreateMode.EPHEMERAL);
            Check.equal(new TreeSet<>(List.of("/c/child-1/e", "/c/e", "/other")), new TreeSet<>(zk.getEphemerals()), "my ephemerals");
            Check.equal(new TreeSet<>(List.of("/c/child-1/e", "/c/e")), new TreeSet<>(zk.getEphemerals("/c")), "those below /c");
            Check.equal(List.of("/c/foreign"), other.zk.getEphemerals("/"), "the other's");
        }
    }

    static void deepPathsAndChroot(String server) throws Exception {
        try (Client client = Client.to(server)) {
            StringBuilder path = new StringBuilder();
            List<String> made = new ArrayList<>();
            for (int depth = 0; depth < 200; depth++) {
                path.append("/level").append(depth);
                made.add(client.create(path.toString()));
            }
            String longName = "/" + "n".repeat(5_000);
            client.create(longName, "long", CreateMode.PERSISTENT);
            Check.equal("long", client.get(longName), "data under a long name");
            try (Client rooted = Client.to(server + made.get(1))) {
                Check.equal("/here", rooted.create("/here"), "a path in a chroot");
                Check.that(rooted.zk.getChildren("/", false).contains("here"), "the chroot's children");
                Check.equal("/here-0000000002", rooted.create("/here-", "", CreateMode.EPHEMERAL_SEQUENTIAL), "a name in a chroot");
            }
            Check.that(client.stat(made.get(1) + "/here") != null, "the chroot is a folder of the tree");
            Check.equal(200 + 1 + 1 + 3, client.zk.getAllChildrenNumber("/"), "all znodes");
            Collections.reverse(made);
            client.zk.delete(made.get(198) + "/here", -1);
            for (String each : made) {
                client.zk.delete(each, 0);
            }
        }
    }
}
