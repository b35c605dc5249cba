package judge;

import java.nio.charset.StandardCharsets;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.Watcher;
import org.apache.zookeeper.ZooDefs.Ids;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.Stat;

/** One connected client and its default watcher. */
final class Client implements AutoCloseable {
    static final int TIMEOUT = 30_000;
    static final List<ACL> OPEN = Ids.OPEN_ACL_UNSAFE;

    final ZooKeeper zk;
    final Events events;

    private Client(ZooKeeper zk, Events events) {
        this.zk = zk;
        this.events = events;
    }

    static Client to(String server) throws Exception {
        return to(server, TIMEOUT);
    }

    static Client to(String server, int timeout) throws Exception {
        Events events = new Events();
        Client client = new Client(new ZooKeeper(server, timeout, events), events);
        events.await(Watcher.Event.KeeperState.SyncConnected);
        return client;
    }

    /** A client that a read-only server will do for; `events` will tell which it found. */
    static Client reading(String server) throws Exception {
        Events events = new Events();
        return new Client(new ZooKeeper(server, TIMEOUT, events, true), events);
    }

    /** A client that claims a session; whether it gets it, `events` will tell. */
    static Client resume(String server, int timeout, long session, byte[] password) throws Exception {
        Events events = new Events();
        return new Client(new ZooKeeper(server, timeout, events, session, password), events);
    }

    String create(String path) throws Exception {
        return zk.create(path, new byte[0], OPEN, CreateMode.PERSISTENT);
    }

    String create(String path, String data, CreateMode mode) throws Exception {
        return zk.create(path, bytes(data), OPEN, mode);
    }

    String get(String path) throws Exception {
        return new String(zk.getData(path, false, null), StandardCharsets.UTF_8);
    }

    Stat stat(String path) throws Exception {
        return zk.exists(path, false);
    }

    void set(String path, String data) throws Exception {
        zk.setData(path, bytes(data), -1);
    }

    static byte[] bytes(String text) {
        return text.getBytes(StandardCharsets.UTF_8);
    }

    @Override
    public void close() throws Exception {
        zk.close();
    }
}
