package judge;

import java.util.ArrayList;
import java.util.List;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.KeeperException.Code;
import org.apache.zookeeper.Watcher.Event.KeeperState;
import org.apache.zookeeper.client.FourLetterWordMain;

/** What clients see of an ensemble's members; each gets them as HOST:PORT,HOST:PORT,HOST:PORT. */
final class Members {
    private Members() {}

    /** The first is left alone by the others, and joined by them again. */
    static void readOnlyMode(String servers) throws Exception {
        String left = servers.split(",")[0];
        try (Client client = Client.to(left)) {
            client.create("/java-seen");
        }
        Harness.ask("kill");
        try (Client client = Client.reading(left)) {
            client.events.await(KeeperState.ConnectedReadOnly);
            Check.equal("", client.get("/java-seen"), "what the member had");
            Check.fails(Code.NOTREADONLY, () -> client.create("/java-written"));
            Check.fails(Code.NOTREADONLY, () -> client.set("/java-seen", "x"));
            Check.equal(null, client.stat("/java-written"), "what was refused");
            Harness.ask("start");
            client.events.await(KeeperState.SyncConnected);
            client.create("/java-written");
        }
    }

    /** A session is known to one server until its first ephemeral. */
    static void localSessions(String servers) throws Exception {
        List<String> each = List.of(servers.split(","));
        for (int number = 0; number < each.size(); number++) {
            String server = each.get(number);
            String other = each.get((number + 1) % each.size());
            String plain = "/local-" + number;
            String ephemeral = "/upgraded-" + number;
            try (Client client = Client.to(server)) {
                client.create(plain);
                client.set(plain, "by a local session");
                Check.that(0 < sessions(server, "local"), "a session of " + server + " is local");
                Check.equal(0L, sessions(server, "global"), "global sessions of " + server);
                long id = client.zk.getSessionId();
                try (Client moved = Client.resume(other, Client.TIMEOUT, id, client.zk.getSessionPasswd())) {
                    moved.events.await(KeeperState.Expired);
                }
                client.create(ephemeral, "x", CreateMode.EPHEMERAL);
                Check.equal(1L, sessions(server, "global"), "global sessions of " + server);
                Check.equal(id, client.stat(ephemeral).getEphemeralOwner(), "the owner");
                try (Client reader = Client.to(other)) {
                    reader.zk.sync("/");
                    Check.soon(ephemeral + " is at " + other, () -> reader.stat(ephemeral) != null);
                }
                // Now it moves as any other does.
                try (Client moved = Client.resume(other, Client.TIMEOUT, id, client.zk.getSessionPasswd())) {
                    moved.events.await(KeeperState.SyncConnected);
                    Check.equal("by a local session", moved.get(plain), "what it wrote");
                }
            }
            List<String> seen = new ArrayList<>();
            try (Client reader = Client.to(server)) {
                Check.soon(ephemeral + " goes with its session", () -> reader.stat(ephemeral) == null);
                seen.addAll(reader.zk.getChildren("/", false));
            }
            Check.that(seen.contains(plain.substring(1)), plain + " stays: " + seen);
        }
    }

    private static long sessions(String server, String kind) throws Exception {
        String[] parts = server.split(":");
        String row = "zk_" + kind + "_sessions\t";
        for (String line : FourLetterWordMain.send4LetterWord(parts[0], Integer.parseInt(parts[1]), "mntr").split("\n")) {
            if (line.startsWith(row)) {
                return Long.parseLong(line.substring(row.length()));
            }
        }
        throw new AssertionError("mntr of " + server + " has no " + row);
    }
}
