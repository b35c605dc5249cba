package judge;

import static org.apache.zookeeper.Watcher.Event.EventType.NodeCreated;
import static org.apache.zookeeper.Watcher.Event.EventType.NodeDeleted;

import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.concurrent.atomic.AtomicReference;
import org.apache.zookeeper.AddWatchMode;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.StatsTrack;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.ZooKeeper;
import org.apache.zookeeper.admin.ZooKeeperAdmin;
import org.apache.zookeeper.cli.SetQuotaCommand;
import org.apache.zookeeper.client.FourLetterWordMain;
import org.apache.zookeeper.data.Stat;

/** Order, reaping, configuration, quotas, four-letter words, and the other transport of the client. */
final class Service {
    private Service() {}

    static void pipelinedRepliesKeepTheirOrder(String server) throws Exception {
        int count = 100_000;
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            client.create("/o");
            client.create("/o/v");
            AtomicInteger next = new AtomicInteger();
            AtomicReference<String> wrong = new AtomicReference<>();
            CountDownLatch done = new CountDownLatch(count);
            for (int i = 0; i < count; i++) {
                int mine = i;
                Runnable check = () -> {
                    if (next.getAndIncrement() != mine) {
                        wrong.compareAndSet(null, "reply " + mine + " came out of order");
                    }
                    done.countDown();
                };
                int version = i / 5;
                switch (i % 5) {
                    case 0 -> zk.setData("/o/v", Client.bytes("" + version), version, (rc, path, ctx, stat) -> {
                        if (rc != 0 || stat.getVersion() != version + 1) {
                            wrong.compareAndSet(null, "set " + version + ": " + rc);
                        }
                        check.run();
                    }, null);
                    case 1 -> zk.getData("/o/v", false, (rc, path, ctx, data, stat) -> {
                        if (rc != 0 || !new String(data, StandardCharsets.UTF_8).equals("" + version)) {
                            wrong.compareAndSet(null, "get " + version + ": " + rc);
                        }
                        check.run();
                    }, null);
                    case 2 -> zk.create("/o/n" + version % 50, null, Client.OPEN, CreateMode.PERSISTENT, (rc, path, ctx, name) -> {
                        if (rc != 0) {
                            wrong.compareAndSet(null, "create " + version + ": " + rc);
                        }
                        check.run();
                    }, null);
                    case 3 -> zk.getChildren("/o", false, (int rc, String path, Object ctx, List<String> names) -> {
                        if (rc != 0 || !names.contains("n" + version % 50)) {
                            wrong.compareAndSet(null, "children " + version + ": " + rc);
                        }
                        check.run();
                    }, null);
                    default -> zk.delete("/o/n" + version % 50, 0, (rc, path, ctx) -> {
                        if (rc != 0) {
                            wrong.compareAndSet(null, "delete " + version + ": " + rc);
                        }
                        check.run();
                    }, null);
                }
            }
            done.await();
            Check.equal(null, wrong.get(), "what was wrong first");
            Check.equal(count / 5, client.stat("/o/v").getVersion(), "the version at the end");
            Check.equal(2 * (count / 5) + 1, client.stat("/o").getCversion(), "creations and deletions at the end");
        }
    }

    static void containersAndTtlsAreReaped(String server) throws Exception {
        try (Client client = Client.to(server)) {
            ZooKeeper zk = client.zk;
            zk.create("/c", null, Client.OPEN, CreateMode.CONTAINER);
            zk.create("/unused", null, Client.OPEN, CreateMode.CONTAINER);
            Events events = new Events();
            zk.addWatch("/t", events, AddWatchMode.PERSISTENT);
            zk.create("/t", null, Client.OPEN, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 1_500);
            events.expect(NodeCreated, "/t");
            zk.create("/busy", null, Client.OPEN, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 6_000);
            zk.create("/parent", null, Client.OPEN, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 6_000);
            String seq = zk.create("/q-", null, Client.OPEN, CreateMode.PERSISTENT_SEQUENTIAL_WITH_TTL, new Stat(), 1_500);
            client.create("/parent/kid");
            client.create("/c/kid");
            for (int i = 0; i < 16; i++) {
                Thread.sleep(500);
                client.set("/busy", "" + i);
            }
            Check.that(client.stat("/busy") != null, "a TTL counts from the last change");
            Check.that(client.stat("/parent") != null, "children keep a TTL znode");
            Check.that(client.stat("/c") != null, "children keep a container");
            Check.that(client.stat("/unused") != null, "a container that never had children stays");
            Check.soon("a TTL znode goes after its time", () -> client.stat("/t") == null);
            Check.soon("a sequential TTL znode goes after its time", () -> client.stat(seq) == null);
            events.expect(NodeDeleted, "/t");
            Check.that(events.isEmpty(), "it goes once");
            zk.exists("/c", events);
            zk.delete("/c/kid", -1);
            events.expect(NodeDeleted, "/c");
            zk.delete("/parent/kid", -1);
            Check.soon("a TTL znode goes when its children have gone", () -> client.stat("/parent") == null);
            Check.soon("a TTL znode that is left alone goes", () -> client.stat("/busy") == null);
            zk.create("/again", null, Client.OPEN, CreateMode.PERSISTENT_WITH_TTL, new Stat(), 1_500);
            Harness.ask("kill");
            Harness.ask("start");
            client.events.await(KeeperState.SyncConnected);
            Check.soon("a TTL survives a restart", () -> client.stat("/again") == null);
        }
    }

    static void configurationOfOneServer(String server) throws Exception {
        try (Client client = Client.to(server); Client root = Client.to(server)) {
            Stat stat = new Stat();
            client.zk.getConfig(false, stat);
            Check.equal(client.stat("/zookeeper/config"), stat, "the config's stat");
            ZooKeeperAdmin admin = new ZooKeeperAdmin(server, Client.TIMEOUT, event -> {});
            try {
                admin.addAuthInfo("digest", Client.bytes("super:judge"));
                Check.fails(KeeperException.Code.RECONFIGDISABLED, () -> admin.reconfigure("server.1=127.0.0.1:1:2", null, null, -1, stat));
            } finally {
                admin.close();
            }
        }
    }

    static void syncAndReadOnlyClients(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.zk.sync("/");
            client.zk.sync("/not/there");
            Events events = new Events();
            ZooKeeper careless = new ZooKeeper(server, Client.TIMEOUT, events, true);
            events.await(KeeperState.SyncConnected);
            Check.equal(ZooKeeper.States.CONNECTED, careless.getState(), "the state of a client that would read only");
            careless.create("/ro", null, Client.OPEN, CreateMode.PERSISTENT);
            careless.close();
        }
    }

    static void quotas(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.create("/q", "12345", CreateMode.PERSISTENT);
            StatsTrack limits = new StatsTrack();
            limits.setCount(3);
            limits.setBytes(100);
            limits.setCountHardLimit(-1);
            limits.setByteHardLimit(-1);
            SetQuotaCommand.createQuota(client.zk, "/q", limits);
            StatsTrack now = stats(client);
            Check.equal("1 5", now.getCount() + " " + now.getBytes(), "count and bytes at first");
            client.create("/q/a", "123", CreateMode.PERSISTENT);
            client.create("/q/a/b", "1", CreateMode.PERSISTENT);
            client.set("/q/a", "1234567");
            Check.equal("3 13", stats(client).getCount() + " " + stats(client).getBytes(), "count and bytes later");
            client.create("/q/over", "", CreateMode.PERSISTENT);
            client.zk.delete("/q/a/b", -1);
            Check.equal("3 12", stats(client).getCount() + " " + stats(client).getBytes(), "count and bytes after a delete");
            Check.fails(KeeperException.Code.BADARGUMENTS, () -> client.zk.delete("/zookeeper/quota", -1));
            Harness.ask("kill");
            Harness.ask("start");
            client.events.await(KeeperState.SyncConnected);
            Check.equal("3 12", stats(client).getCount() + " " + stats(client).getBytes(), "count and bytes after a restart");
        }
    }

    private static StatsTrack stats(Client client) throws Exception {
        return new StatsTrack(client.get("/zookeeper/quota/q/zookeeper_stats"));
    }

    static void fourLetterWords(String server) throws Exception {
        try (Client client = Client.to(server)) {
            client.create("/f", "x", CreateMode.EPHEMERAL);
            client.zk.getData("/f", new Events(), null);
            String session = "0x" + Long.toHexString(client.zk.getSessionId());
            Check.equal("imok\n", say(server, "ruok"), "ruok");
            Check.equal("rw\n", say(server, "isro"), "isro");
            String srvr = say(server, "srvr");
            Check.that(srvr.startsWith("Zookeeper version: "), "srvr begins with the version: " + srvr);
            Check.that(srvr.matches("(?s)Zookeeper version: \\S.*, built on \\S.*\nLatency min/avg/max: .*/.*/.*\nReceived: \\d+\nSent: \\d+\n"
                + "Connections: \\d+\nOutstanding: \\d+\nZxid: 0x[0-9a-f]+\nMode: standalone\nNode count: \\d+\n"), "srvr: " + srvr);
            Check.that(say(server, "stat").contains("Clients:\n /127.0.0.1:"), "stat names clients");
            Check.that(say(server, "cons").contains("sid=" + session), "cons names sessions");
            Check.that(say(server, "dump").contains(session + ":\n\t/f\n"), "dump names ephemerals: " + say(server, "dump"));
            Check.that(say(server, "wchs").startsWith("1 connections watching 1 paths\nTotal watches:1\n"), "wchs: " + say(server, "wchs"));
            Check.that(say(server, "wchc").contains(session + "\n\t/f\n"), "wchc: " + say(server, "wchc"));
            Check.that(say(server, "wchp").contains("/f\n\t" + session + "\n"), "wchp: " + say(server, "wchp"));
            Check.that(say(server, "envi").startsWith("Environment:\nzookeeper.version="), "envi: " + say(server, "envi"));
            String conf = say(server, "conf");
            for (String line : List.of("clientPort=", "dataDir=", "dataLogDir=", "tickTime=500", "maxClientCnxns=200",
                "minSessionTimeout=1000", "maxSessionTimeout=40000", "serverId=0")) {
                Check.that(conf.contains(line), "conf has " + line + ": " + conf);
            }
            Check.that(say(server, "dirs").matches("datadir_size: \\d+\nlogdir_size: \\d+\n"), "dirs: " + say(server, "dirs"));
            Check.that(say(server, "gtmk").matches("\\d+\\s*"), "gtmk: " + say(server, "gtmk"));
            Check.equal("Connection stats reset.\n", say(server, "crst"), "crst");
            Check.equal("Server stats reset.\n", say(server, "srst"), "srst");
            Map<String, String> mntr = new TreeMap<>();
            for (String line : say(server, "mntr").split("\n")) {
                String[] pair = line.split("\t", 2);
                Check.equal(2, pair.length, "the parts of `" + line + "`");
                mntr.put(pair[0], pair[1]);
            }
            Check.equal("standalone", mntr.get("zk_server_state"), "mntr's state");
            Check.equal("1", mntr.get("zk_ephemerals_count"), "mntr's ephemerals");
            Check.equal("1", mntr.get("zk_watch_count"), "mntr's watches");
            Check.equal("6", mntr.get("zk_znode_count"), "mntr's znodes: the root counts twice");
            for (String key : List.of("zk_version", "zk_avg_latency", "zk_max_latency", "zk_min_latency", "zk_packets_received",
                "zk_packets_sent", "zk_num_alive_connections", "zk_outstanding_requests", "zk_approximate_data_size",
                "zk_open_file_descriptor_count", "zk_max_file_descriptor_count", "zk_global_sessions", "zk_uptime")) {
                Check.that(mntr.containsKey(key), "mntr has " + key + ": " + mntr.keySet());
            }
        }
    }

    private static String say(String server, String word) throws Exception {
        int colon = server.lastIndexOf(':');
        String answer = FourLetterWordMain.send4LetterWord("127.0.0.1", Integer.parseInt(server.substring(colon + 1)), word);
        return answer.endsWith("\n\n") ? answer.substring(0, answer.length() - 1) : answer;
    }

    static void theNettyTransport(String server) throws Exception {
        System.setProperty("zookeeper.clientCnxnSocket", "org.apache.zookeeper.ClientCnxnSocketNetty");
        Znodes.createInEveryMode(server);
        Znodes.dataAndVersions(server);
        Watches.oneShots(server);
        Multis.laterSubOpsSeeEarlierOnes(server);
    }

    static void sessionsComeAndGo(String server) throws Exception {
        try (Client watcher = Client.to(server)) {
            watcher.create("/s");
            for (int wave = 0; wave < 4; wave++) {
                List<Client> clients = new ArrayList<>();
                for (int i = 0; i < 75; i++) {
                    Client client = Client.to(server);
                    client.create("/s/e-", "", CreateMode.EPHEMERAL_SEQUENTIAL);
                    clients.add(client);
                }
                Check.equal(75, watcher.stat("/s").getNumChildren(), "ephemerals in wave " + wave);
                for (Client client : clients) {
                    client.close();
                }
                Check.equal(0, watcher.stat("/s").getNumChildren(), "ephemerals after wave " + wave);
            }
        }
    }

    static void tooManyConnectionsAreRefused(String server) throws Exception {
        List<java.net.Socket> sockets = new ArrayList<>();
        try {
            int port = Integer.parseInt(server.substring(server.lastIndexOf(':') + 1));
            for (int i = 0; i < 200; i++) {
                sockets.add(new java.net.Socket("127.0.0.1", port));
                Thread.sleep(1);
            }
            Thread.sleep(500);
            for (int i = 0; i < 10; i++) {
                java.net.Socket socket = new java.net.Socket("127.0.0.1", port);
                sockets.add(socket);
                Check.that(ends(socket, 60_000), "connection " + (200 + i) + " is ended");
            }
            for (int i = 0; i < 200; i++) {
                Check.that(!ends(sockets.get(i), 1), "connection " + i + " stays");
            }
        } finally {
            for (java.net.Socket socket : sockets) {
                socket.close();
            }
        }
        try (Client client = Client.to(server)) {
            client.create("/room");
        }
    }

    private static boolean ends(java.net.Socket socket, int millis) throws Exception {
        socket.setSoTimeout(millis);
        try {
            return socket.getInputStream().read() < 0;
        } catch (java.net.SocketTimeoutException open) {
            return false;
        } catch (IOException reset) {
            return true;
        }
    }
}
