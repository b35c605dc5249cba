package judge;

import static org.apache.zookeeper.KeeperException.Code.BADVERSION;
import static org.apache.zookeeper.KeeperException.Code.INVALIDACL;
import static org.apache.zookeeper.KeeperException.Code.NOAUTH;
import static org.apache.zookeeper.KeeperException.Code.NONODE;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashSet;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooDefs.Perms;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.server.auth.DigestAuthenticationProvider;

/** Access lists: who may do what, by each scheme. */
final class Acls {
    private Acls() {}

    private static List<ACL> list(int perms, String scheme, String id) {
        return list(new ACL(perms, new Id(scheme, id)));
    }

    /** A list that may be asked whether it contains null, as the client does. */
    static List<ACL> list(ACL... acls) {
        return Arrays.asList(acls);
    }

    static void versionsAndForms(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/a");
            Stat stat = new Stat();
            Check.equal(Ids.OPEN_ACL_UNSAFE, zk.getACL("/a", stat), "the open list");
            Check.equal(stat, client.stat("/a"), "the stat with the list");
            List<ACL> two = list(new ACL(Perms.ALL, Ids.ANYONE_ID_UNSAFE), new ACL(Perms.READ, new Id("ip", "10.0.0.0/8")));
            Stat set = zk.setACL("/a", two, 0);
            Check.stat("version=0 cversion=0 aversion=1 owner=0 length=0 children=0", set);
            Check.equal(stat.getMzxid(), set.getMzxid(), "an access list is not data");
            Check.equal(two, zk.getACL("/a", stat), "the list that was set");
            Check.fails(BADVERSION, () -> zk.setACL("/a", two, 0));
            Check.equal(2, zk.setACL("/a", two, -1).getAversion(), "the version after any");
            Check.fails(NONODE, () -> zk.setACL("/none", two, -1));
            Check.fails(NONODE, () -> zk.getACL("/none", stat));
            List<ACL> twice = new ArrayList<>(two);
            twice.addAll(two);
            zk.setACL("/a", twice, -1);
            Check.equal(two, zk.getACL("/a", stat), "exact repetitions are dropped");
            for (List<ACL> bad : List.of(
                list(Perms.ALL, "nobody", "knows"), list(Perms.ALL, "ip", "300.1.2.3"), list(Perms.ALL, "ip", "1.2.3.4/99"),
                list(Perms.ALL, "digest", "no-colon"), list(Perms.ALL, "world", "someone"), list(Perms.ALL, "auth", ""))) {
                Check.fails(INVALIDACL, () -> zk.setACL("/a", bad, -1));
                Check.fails(INVALIDACL, () -> zk.create("/bad", null, bad, CreateMode.PERSISTENT));
            }
            Check.equal(two, zk.getACL("/a", stat), "a refused list changes nothing");
        }
    }

    static void everyOpNeedsItsPermission(String server) throws Exception {
        try (Client owner = Client.to(server); Client guest = Client.to(server)) {
            owner.zk.addAuthInfo("digest", Client.bytes("owner:secret"));
            for (int perm : new int[] {Perms.READ, Perms.WRITE, Perms.CREATE, Perms.DELETE, Perms.ADMIN}) {
                String path = "/p" + perm;
                List<ACL> acl = new ArrayList<>(Ids.CREATOR_ALL_ACL);
                acl.add(new ACL(perm, Ids.ANYONE_ID_UNSAFE));
                owner.zk.create(path, Client.bytes("x"), acl, CreateMode.PERSISTENT);
                owner.zk.create(path + "/child", null, Client.OPEN, CreateMode.PERSISTENT);
                ZooKeeper zk = guest.zk;
                allowed(perm == Perms.READ, () -> zk.getData(path, false, null));
                allowed(perm == Perms.READ, () -> zk.getChildren(path, false));
                allowed(perm == Perms.READ, () -> zk.getChildren(path, false, new Stat()));
                allowed(perm == Perms.READ, () -> zk.getAllChildrenNumber(path));
                allowed(perm == Perms.READ, () -> zk.exists(path, false));
                allowed(perm == Perms.READ, () -> zk.multi(List.of(Op.check(path, -1))));
                allowed(perm == Perms.READ || perm == Perms.ADMIN, () -> zk.getACL(path, new Stat()));
                allowed(perm == Perms.WRITE, () -> zk.setData(path, null, -1));
                allowed(perm == Perms.CREATE, () -> zk.create(path + "/new", null, Client.OPEN, CreateMode.PERSISTENT));
                allowed(perm == Perms.DELETE, () -> zk.delete(path + "/child", -1));
                allowed(perm == Perms.ADMIN, () -> zk.setACL(path, Client.OPEN, -1));
            }
            guest.zk.addAuthInfo("digest", Client.bytes("owner:secret"));
            Check.equal("x", guest.get("/p" + Perms.CREATE), "the same name and password see the same");
        }
    }

    private static void allowed(boolean allowed, Check.Call call) throws Exception {
        if (allowed) {
            call.run();
        } else {
            Check.fails(NOAUTH, call);
        }
    }

    static void digestIpAndAuth(String server) throws Exception {
        try (Client client = Client.to(server); Client guest = Client.to(server)) {
            ZooKeeper zk = client.zk;
            zk.addAuthInfo("digest", Client.bytes("ann:pw"));
            zk.addAuthInfo("digest", Client.bytes("bob:pw"));
            zk.create("/auth", null, Ids.CREATOR_ALL_ACL, CreateMode.PERSISTENT);
            String ann = DigestAuthenticationProvider.generateDigest("ann:pw");
            String bob = DigestAuthenticationProvider.generateDigest("bob:pw");
            List<ACL> both = list(new ACL(Perms.ALL, new Id("digest", ann)), new ACL(Perms.ALL, new Id("digest", bob)));
            Check.equal(new HashSet<>(both), new HashSet<>(zk.getACL("/auth", new Stat())), "`auth` stands for every id of the connection");
            Check.fails(NOAUTH, () -> guest.get("/auth"));
            zk.create("/digest", null, list(Perms.READ, "digest", bob), CreateMode.PERSISTENT);
            Check.equal(list(new ACL(Perms.READ, new Id("digest", "bob:x"))), zk.getACL("/digest", new Stat()),
                "who may not administer does not see the hash");
            zk.create("/here", null, list(Perms.ALL, "ip", "127.0.0.1"), CreateMode.PERSISTENT);
            guest.zk.setData("/here", null, -1);
            zk.create("/net", null, list(Perms.ALL, "ip", "127.0.0.0/8"), CreateMode.PERSISTENT);
            guest.zk.setData("/net", null, -1);
            zk.create("/elsewhere", null, list(Perms.ALL, "ip", "10.1.2.3"), CreateMode.PERSISTENT);
            Check.fails(NOAUTH, () -> guest.zk.setData("/elsewhere", null, -1));
            zk.create("/no", null, list(0, "world", "anyone"), CreateMode.PERSISTENT);
            Check.fails(NOAUTH, () -> guest.zk.setData("/no", null, -1));
        }
    }

    static void superUser(String server) throws Exception {
        try (Client client = Client.to(server); Client root = Client.to(server)) {
            client.zk.create("/locked", Client.bytes("x"), list(0, "world", "anyone"), CreateMode.PERSISTENT);
            Check.fails(NOAUTH, () -> root.get("/locked"));
            root.zk.addAuthInfo("digest", Client.bytes("super:judge"));
            Check.equal("x", root.get("/locked"), "the super user reads");
            root.zk.setACL("/locked", Client.OPEN, -1);
            client.set("/locked", "y");
            root.zk.setData("/zookeeper/config", Client.bytes("free"), -1);
            Check.fails(NOAUTH, () -> client.zk.setData("/zookeeper/config", null, -1));
        }
    }

    static void whoAmI(String server) throws Exception {
        try (Client client = Client.to(server)) {
            Check.equal(List.of(new ClientInfo("ip", "127.0.0.1")), client.zk.whoAmI(), "who a new connection is");
            client.zk.addAuthInfo("digest", Client.bytes("ann:pw"));
            Check.equal(List.of("digest ann", "ip 127.0.0.1"), sorted(client.zk.whoAmI()), "with a digest");
            client.zk.addAuthInfo("digest", Client.bytes("super:judge"));
            Check.equal(List.of("digest ann", "digest super", "ip 127.0.0.1", "super "), sorted(client.zk.whoAmI()), "with super");
        }
    }

    private static List<String> sorted(List<ClientInfo> infos) {
        return infos.stream().map(it -> it.getAuthScheme() + " " + it.getUser()).sorted().toList();
    }

    static void unknownSchemeEndsTheConnection(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.zk.addAuthInfo("nobody", Client.bytes("knows"));
            client.events.await(Watcher.Event.KeeperState.AuthFailed);
            Check.fails(KeeperException.Code.AUTHFAILED, () -> client.zk.exists("/", false));
        }
    }
}
