package judge;

import static org.apache.zookeeper.KeeperException.Code.BADVERSION;
import static org.apache.zookeeper.KeeperException.Code.NOAUTH;
import static org.apache.zookeeper.KeeperException.Code.NODEEXISTS;
import static org.apache.zookeeper.KeeperException.Code.NONODE;
import static org.apache.zookeeper.KeeperException.Code.NOTEMPTY;
import static org.apache.zookeeper.KeeperException.Code.RUNTIMEINCONSISTENCY;

import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.Watcher.Event.EventType;
import org.apache.zookeeper.ZooDefs;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.Stat;

/** Multis: all of it or nothing of it. */
final class Multis {
    private Multis() {}

    static void everySubOp(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            List<OpResult> results = zk.multi(List.of(
                Op.create("/m", Client.bytes("1"), Client.OPEN, CreateMode.PERSISTENT),
                Op.create("/m/c", null, Client.OPEN, CreateMode.CONTAINER),
                Op.create("/m/t", null, Client.OPEN, CreateMode.PERSISTENT_WITH_TTL, 1_000_000L),
                Op.create("/m/s-", null, Client.OPEN, CreateMode.PERSISTENT_SEQUENTIAL),
                Op.create("/m/e-", null, Client.OPEN, CreateMode.EPHEMERAL_SEQUENTIAL),
                Op.check("/m", 0),
                Op.setData("/m", Client.bytes("two"), 0),
                Op.check("/m", 1),
                Op.delete("/m/s-0000000002", 0)));
            Check.equal(9, results.size(), "the number of results");
            Check.equal("/m", ((OpResult.CreateResult) results.get(0)).getPath(), "the first path");
            Check.equal("/m/s-0000000002", ((OpResult.CreateResult) results.get(3)).getPath(), "a name inside a multi");
            Check.equal("/m/e-0000000003", ((OpResult.CreateResult) results.get(4)).getPath(), "the next name");
            Stat set = ((OpResult.SetDataResult) results.get(6)).getStat();
            Check.stat("version=1 cversion=4 aversion=0 owner=0 length=3 children=4", set);
            Check.equal(set.getCzxid(), set.getMzxid(), "one transaction, one zxid");
            Check.that(results.get(5) instanceof OpResult.CheckResult, "a check's result");
            Check.that(results.get(8) instanceof OpResult.DeleteResult, "a delete's result");
            Check.stat("version=1 cversion=5 aversion=0 owner=0 length=3 children=3", client.stat("/m"));
            Check.equal(zk.getSessionId(), client.stat("/m/e-0000000003").getEphemeralOwner(), "the owner");
            Check.equal(List.of(), zk.multi(new ArrayList<Op>()), "an empty multi");
            zk.transaction().create("/m/x", null, Client.OPEN, CreateMode.PERSISTENT).setData("/m/x", null, 0).commit();
            Check.equal(1, client.stat("/m/x").getVersion(), "the version after a transaction");
        }
    }

    static void allOrNothing(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/m");
            client.create("/m/full");
            client.create("/m/full/child");
            client.create("/m/spare");
            zk.create("/m/closed", null, Acls.list(new org.apache.zookeeper.data.ACL(ZooDefs.Perms.READ, ZooDefs.Ids.ANYONE_ID_UNSAFE)),
                CreateMode.PERSISTENT);
            Stat before = client.stat("/m");
            Map<Op, KeeperException.Code> failures = Map.of(
                Op.check("/m", 4), BADVERSION,
                Op.check("/none", -1), NONODE,
                Op.create("/m", null, Client.OPEN, CreateMode.PERSISTENT), NODEEXISTS,
                Op.create("/none/child", null, Client.OPEN, CreateMode.PERSISTENT), NONODE,
                Op.delete("/m/full", -1), NOTEMPTY,
                Op.delete("/none", -1), NONODE,
                Op.delete("/m/full/child", 8), BADVERSION,
                Op.setData("/none", null, -1), NONODE,
                Op.setData("/m", null, 9), BADVERSION,
                Op.setData("/m/closed", null, -1), NOAUTH);
            for (Map.Entry<Op, KeeperException.Code> failure : failures.entrySet()) {
                int code = failure.getValue().intValue();
                KeeperException refused = Check.fails(failure.getValue(), () -> zk.multi(List.of(
                    Op.create("/m/first", null, Client.OPEN, CreateMode.PERSISTENT),
                    Op.setData("/m", Client.bytes("changed"), -1),
                    Op.delete("/m/spare", 0),
                    failure.getKey(),
                    Op.create("/m/last", null, Client.OPEN, CreateMode.PERSISTENT))));
                List<Integer> codes = refused.getResults().stream().map(it -> ((OpResult.ErrorResult) it).getErr()).toList();
                Check.equal(List.of(0, 0, 0, code, RUNTIMEINCONSISTENCY.intValue()), codes, "the results");
                Check.equal(before, client.stat("/m"), "what a refused multi touched");
                Check.equal(null, client.stat("/m/first"), "what a refused multi created");
                Check.that(client.stat("/m/spare") != null, "what a refused multi deleted");
            }
            String next = client.create("/m/n-", "", CreateMode.PERSISTENT_SEQUENTIAL);
            Check.equal("/m/n-0000000003", next, "refused creations do not count");
        }
    }

    static void laterSubOpsSeeEarlierOnes(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            zk.multi(List.of(
                Op.create("/a", null, Client.OPEN, CreateMode.PERSISTENT),
                Op.create("/a/b", null, Client.OPEN, CreateMode.PERSISTENT),
                Op.delete("/a/b", 0),
                Op.create("/a/b", Client.bytes("second"), Client.OPEN, CreateMode.EPHEMERAL),
                Op.setData("/a/b", Client.bytes("third"), 0),
                Op.check("/a/b", 1)));
            Check.equal("third", client.get("/a/b"), "the data");
            Check.stat("version=0 cversion=3 aversion=0 owner=0 length=0 children=1", client.stat("/a"));
            zk.multi(List.of(Op.delete("/a/b", 1), Op.delete("/a", 0)));
            Check.equal(null, client.stat("/a"), "what was deleted");
            List<Op> many = new ArrayList<>();
            many.add(Op.create("/many", null, Client.OPEN, CreateMode.PERSISTENT));
            for (int i = 0; i < 3_000; i++) {
                many.add(Op.create("/many/" + i, Client.bytes("v" + i), Client.OPEN, CreateMode.PERSISTENT));
            }
            Check.equal(3_001, zk.multi(many).size(), "the results of a large multi");
            Check.equal(3_000, client.stat("/many").getNumChildren(), "its children");
        }
    }

    static void reads(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/r", "data", CreateMode.PERSISTENT);
            client.create("/r/kid", "kid", CreateMode.PERSISTENT);
            zk.create("/r/closed", null, Acls.list(new org.apache.zookeeper.data.ACL(ZooDefs.Perms.ADMIN, ZooDefs.Ids.ANYONE_ID_UNSAFE)),
                CreateMode.PERSISTENT);
            List<OpResult> results = zk.multi(List.of(
                Op.getData("/r"), Op.getChildren("/r"), Op.getData("/none"), Op.getChildren("/none"), Op.getData("/r/closed"),
                Op.getData("/r/kid")));
            OpResult.GetDataResult first = (OpResult.GetDataResult) results.get(0);
            Check.bytes(Client.bytes("data"), first.getData(), "the data");
            Check.equal(client.stat("/r"), first.getStat(), "the stat");
            List<String> names = ((OpResult.GetChildrenResult) results.get(1)).getChildren();
            Check.equal(List.of("closed", "kid"), names.stream().sorted().toList(), "the children");
            Check.equal(NONODE.intValue(), ((OpResult.ErrorResult) results.get(2)).getErr(), "the third");
            Check.equal(NONODE.intValue(), ((OpResult.ErrorResult) results.get(3)).getErr(), "the fourth");
            Check.equal(NOAUTH.intValue(), ((OpResult.ErrorResult) results.get(4)).getErr(), "the fifth");
            Check.bytes(Client.bytes("kid"), ((OpResult.GetDataResult) results.get(5)).getData(), "a failed read stops nobody");
        }
    }

    static void watchesSeeEachSubOp(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/w");
            Events events = new Events();
            zk.addWatch("/w", events, org.apache.zookeeper.AddWatchMode.PERSISTENT_RECURSIVE);
            zk.multi(List.of(
                Op.create("/w/a", null, Client.OPEN, CreateMode.PERSISTENT),
                Op.setData("/w/a", null, 0),
                Op.delete("/w/a", 1)));
            long zxid = events.expect(EventType.NodeCreated, "/w/a").getZxid();
            Check.equal(zxid, events.expect(EventType.NodeDataChanged, "/w/a").getZxid(), "one transaction, one zxid");
            Check.equal(zxid, events.expect(EventType.NodeDeleted, "/w/a").getZxid(), "one transaction, one zxid");
            Check.fails(NONODE, () -> zk.multi(List.of(
                Op.create("/w/b", null, Client.OPEN, CreateMode.PERSISTENT), Op.delete("/w/none", -1))));
            events.none("a refused multi fires nothing");
        }
    }
}
