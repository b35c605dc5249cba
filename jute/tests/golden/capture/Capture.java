import static java.nio.charset.StandardCharsets.UTF_8;

import java.io.ByteArrayOutputStream;
import java.io.DataOutputStream;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collections;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import org.apache.jute.BinaryOutputArchive;
import org.apache.jute.OutputArchive;
import org.apache.jute.Record;
import org.apache.zookeeper.CreateMode;
import org.apache.zookeeper.MultiOperationRecord;
import org.apache.zookeeper.MultiResponse;
import org.apache.zookeeper.Op;
import org.apache.zookeeper.OpResult;
import org.apache.zookeeper.data.ACL;
import org.apache.zookeeper.data.ClientInfo;
import org.apache.zookeeper.data.Id;
import org.apache.zookeeper.data.Stat;
import org.apache.zookeeper.proto.*;
import org.apache.zookeeper.DeleteContainerRequest;
import org.apache.zookeeper.txn.*;

/**
 * Writes one record after the other with the reference's classes: for each kind a file of frames (a length, then the
 * bytes), and in manifest.txt a line per frame with the fields as the reference names them.
 */
public final class Capture {
    private static final byte[] NO_BYTES = null;
    private static final int[] INTS = {0, 1, -1, 31, 0x01020304, Integer.MAX_VALUE, Integer.MIN_VALUE};
    private static final long[] LONGS = {0, 1, -1, 0x0102030405060708L, Long.MAX_VALUE, Long.MIN_VALUE};
    private static final String[] PATHS = {"/", "/a", "/a/b-0000000001", "/\u00e9/\u6f22\u5b57", ""};

    private final Map<String, ByteArrayOutputStream> frames = new TreeMap<>();
    private final Map<String, StringBuilder> lines = new TreeMap<>();

    public static void main(String[] args) throws IOException {
        Capture capture = new Capture();
        capture.headers();
        capture.handshakes();
        capture.requests();
        capture.watchRequests();
        capture.responses();
        capture.multis();
        capture.txns();
        capture.entries();
        capture.writeTo(Path.of(args[0]));
    }

    private void headers() throws IOException {
        for (int type : new int[] {-11, -10, -1, 0, 1, 22, 100, 107}) {
            add(new RequestHeader(type * 3, type));
        }
        for (int i : INTS) {
            add(new RequestHeader(i, i));
            for (long l : LONGS) {
                add(new ReplyHeader(i, l, -101));
            }
            add(new ReplyHeader(-1, 7, i));
            add(new MultiHeader(i, false, i));
        }
        add(new MultiHeader(-1, true, -1));
    }

    private void handshakes() throws IOException {
        List<byte[]> passwords = Arrays.asList(NO_BYTES, new byte[0], new byte[16], bytes(16), bytes(100));
        for (byte[] password : passwords) {
            for (long l : LONGS) {
                addBoth(new ConnectRequest(0, l, 30_000, l, password, l == 1), "ConnectRequestOld");
                addBoth(new ConnectResponse(0, 30_000, l, password, l == 1), "ConnectResponseOld");
            }
        }
        for (int i : INTS) {
            addBoth(new ConnectRequest(i, 5, i, 6, bytes(16), true), "ConnectRequestOld");
            addBoth(new ConnectResponse(i, i, 6, bytes(16), false), "ConnectResponseOld");
        }
        addBoth(new ConnectResponse(0, 0, 0, new byte[16], false), "ConnectResponseOld");
        for (String text : new String[] {null, "", "digest", "world", "\u00e9"}) {
            for (byte[] data : datas()) {
                add(new AuthPacket(0, text, data));
            }
        }
        for (byte[] data : datas()) {
            add(new GetSASLRequest(data));
            add(new SetSASLRequest(data));
            add(new SetSASLResponse(data));
        }
    }

    private void requests() throws IOException {
        for (String path : pathsAndNull()) {
            for (byte[] data : datas()) {
                for (List<ACL> acl : acls()) {
                    add(new CreateRequest(path, data, acl, 0));
                }
                add(new SetDataRequest(path, data, -1));
            }
            for (List<ACL> acl : acls()) {
                add(new CreateTTLRequest(path, new byte[] {7}, acl, 5, 60_000));
                add(new SetACLRequest(path, acl, 3));
            }
            add(new DeleteRequest(path, -1));
            add(new CheckVersionRequest(path, 4));
            add(new GetACLRequest(path));
            add(new SyncRequest(path));
            add(new GetEphemeralsRequest(path));
            add(new GetAllChildrenNumberRequest(path));
            if (path != null) {
                add(new DeleteContainerRequest(path));
            }
            for (boolean watch : new boolean[] {false, true}) {
                add(new ExistsRequest(path, watch));
                add(new GetDataRequest(path, watch));
                add(new GetChildrenRequest(path, watch));
                add(new GetChildren2Request(path, watch));
            }
            add(new ReconfigRequest(path, null, "server.1=a:2888:3888;2181", -1));
            add(new ReconfigRequest(null, path, "", Long.MAX_VALUE));
        }
        for (int i : INTS) {
            add(new CreateRequest("/a", bytes(3), acls().get(2), i));
            add(new CreateTTLRequest("/a", bytes(3), acls().get(2), i, i * 1_000L));
            add(new SetDataRequest("/a", bytes(3), i));
            add(new SetACLRequest("/a", acls().get(2), i));
            add(new DeleteRequest("/a", i));
            add(new CheckVersionRequest("/a", i));
        }
    }

    private void watchRequests() throws IOException {
        for (String path : pathsAndNull()) {
            for (int i : INTS) {
                add(new AddWatchRequest(path, i));
                add(new CheckWatchesRequest(path, i));
                add(new RemoveWatchesRequest(path, i));
            }
        }
        for (List<String> some : stringLists()) {
            for (long l : LONGS) {
                add(new SetWatches(l, some, List.of("/x"), some));
            }
            add(new SetWatches2(9, some, List.of(), some, List.of("/p", "/q"), some));
            add(new SetWatches2(9, List.of(), some, List.of(), some, List.of()));
        }
        for (int i : INTS) {
            add(new WatcherEvent(i, 3, "/a"));
            add(new WatcherEvent(4, i, "/"));
        }
    }

    private void responses() throws IOException {
        for (Stat stat : stats()) {
            add(stat);
            add(new ExistsResponse(stat));
            add(new SetDataResponse(stat));
            add(new SetACLResponse(stat));
            for (byte[] data : datas()) {
                add(new GetDataResponse(data, stat));
            }
            for (List<ACL> acl : acls()) {
                add(new GetACLResponse(acl, stat));
            }
            for (List<String> names : stringLists()) {
                add(new GetChildren2Response(names, stat));
            }
            add(new Create2Response("/a", stat));
        }
        for (String path : PATHS) {
            add(new CreateResponse(path));
            add(new SyncResponse(path));
        }
        for (List<String> names : stringLists()) {
            add(new GetChildrenResponse(names));
            add(new GetEphemeralsResponse(names));
        }
        for (int i : INTS) {
            add(new ErrorResponse(i));
            add(new GetAllChildrenNumberResponse(i));
        }
        ClientInfo ip = new ClientInfo("ip", "127.0.0.1");
        ClientInfo digest = new ClientInfo("digest", "pat");
        for (ClientInfo[] infos : new ClientInfo[][] {{}, {ip}, {ip, new ClientInfo("super", ""), digest}}) {
            add(new WhoAmIResponse(List.of(infos)));
        }
    }

    private void multis() throws IOException {
        List<ACL> open = acls().get(2);
        List<Op> writes = List.of(
            Op.create("/a", bytes(3), open, CreateMode.PERSISTENT.toFlag()),
            Op.create("/c", null, open, CreateMode.CONTAINER),
            Op.create("/t", new byte[0], open, CreateMode.PERSISTENT_WITH_TTL, 60_000),
            Op.delete("/b", -1),
            Op.setData("/a", bytes(256), 2),
            Op.check("/a", 7));
        List<Op> reads = List.of(Op.getData("/a"), Op.getChildren("/"));
        add(new MultiOperationRecord(List.of()));
        add(new MultiOperationRecord(writes));
        add(new MultiOperationRecord(reads));
        for (Op op : writes) {
            add(new MultiOperationRecord(List.of(op)));
            add(new MultiOperationRecord(List.of(op, op)));
        }
        for (Op op : reads) {
            add(new MultiOperationRecord(List.of(op)));
        }
        Stat stat = stats().get(1);
        List<OpResult> results = List.of(
            new OpResult.CreateResult("/a"),
            new OpResult.CreateResult("/c", stat),
            new OpResult.DeleteResult(),
            new OpResult.SetDataResult(stat),
            new OpResult.CheckResult(),
            new OpResult.GetDataResult(bytes(3), stat),
            new OpResult.GetChildrenResult(List.of("a", "b")),
            new OpResult.ErrorResult(-101));
        add(multiResponse(List.of()));
        add(multiResponse(results));
        for (OpResult result : results) {
            add(multiResponse(List.of(result)));
        }
        add(multiResponse(List.of(
            new OpResult.ErrorResult(0), new OpResult.ErrorResult(-110), new OpResult.ErrorResult(-2))));
    }

    private void txns() throws IOException {
        for (long l : LONGS) {
            add(new TxnHeader(l, 5, l, l, 1));
            add(new TxnDigest(2, l));
        }
        for (String path : PATHS) {
            for (byte[] data : datas()) {
                for (List<ACL> acl : acls()) {
                    add(new CreateTxn(path, data, acl, data == null, 8));
                }
                add(new SetDataTxn(path, data, 9));
            }
            for (List<ACL> acl : acls()) {
                add(new CreateTTLTxn(path, bytes(3), acl, 8, 60_000));
                add(new CreateContainerTxn(path, bytes(3), acl, 8));
                add(new SetACLTxn(path, acl, 2));
            }
            add(new DeleteTxn(path));
            add(new CheckVersionTxn(path, 2));
        }
        for (int i : INTS) {
            add(new TxnHeader(1, i, 2, 3, i));
            add(new CreateTxn("/a", bytes(3), acls().get(2), true, i));
            add(new CreateTTLTxn("/a", bytes(3), acls().get(2), i, i));
            add(new CreateContainerTxn("/a", bytes(3), acls().get(2), i));
            add(new SetDataTxn("/a", bytes(3), i));
            add(new SetACLTxn("/a", acls().get(2), i));
            add(new CheckVersionTxn("/a", i));
            add(new CreateSessionTxn(i));
            add(new ErrorTxn(i));
            add(new TxnDigest(i, i));
        }
        for (List<String> paths : stringLists()) {
            add(new CloseSessionTxn(paths));
        }
        add(new MultiTxn(List.of()));
        add(multiTxn());
    }

    /** What a log holds per transaction: header, record, and mostly a digest. */
    private void entries() throws IOException {
        TxnDigest digest = new TxnDigest(2, 0x1234_5678_9abcL);
        List<ACL> open = acls().get(2);
        addAll("Entry", header(-10), new CreateSessionTxn(30_000), digest);
        addAll("Entry", header(1), new CreateTxn("/a", bytes(3), open, false, 1), digest);
        addAll("Entry", header(2), new DeleteTxn("/a"), digest);
        addAll("Entry", header(5), new SetDataTxn("/a", bytes(3), 1), digest);
        addAll("Entry", header(7), new SetACLTxn("/a", open, 1), digest);
        addAll("Entry", header(14), multiTxn(), digest);
        addAll("Entry", header(15), new CreateTxn("/b", null, open, true, 2), digest);
        addAll("Entry", header(19), new CreateContainerTxn("/c", bytes(3), open, 3), digest);
        addAll("Entry", header(20), new DeleteTxn("/c"), digest);
        addAll("Entry", header(21), new CreateTTLTxn("/t", bytes(3), open, 4, 1_000), digest);
        addAll("Entry", header(-11), new CloseSessionTxn(List.of("/b", "/e")), digest);
        addAll("Entry", header(-1), new ErrorTxn(-101));
        addAll("Entry", header(2), new DeleteTxn("/without-digest"));
    }

    private static TxnHeader header(int type) {
        return new TxnHeader(0x0100_0012_3456_789aL, 4, 0x2_0000_0003L, 1_700_000_000_000L, type);
    }

    private static MultiTxn multiTxn() throws IOException {
        List<ACL> open = acls().get(2);
        return new MultiTxn(List.of(
            new Txn(1, binary(new CreateTxn("/a", bytes(3), open, false, 1))),
            new Txn(19, binary(new CreateContainerTxn("/c", null, open, 2))),
            new Txn(21, binary(new CreateTTLTxn("/t", bytes(3), open, 3, 60_000))),
            new Txn(2, binary(new DeleteTxn("/b"))),
            new Txn(5, binary(new SetDataTxn("/a", new byte[0], 4))),
            new Txn(13, binary(new CheckVersionTxn("/a", 5))),
            new Txn(-1, binary(new ErrorTxn(-101)))));
    }

    private static MultiResponse multiResponse(List<OpResult> results) {
        MultiResponse response = new MultiResponse();
        results.forEach(response::add);
        return response;
    }

    private static List<String> pathsAndNull() {
        List<String> paths = new ArrayList<>(List.of(PATHS));
        paths.add(null);
        return paths;
    }

    private static List<byte[]> datas() {
        return Arrays.asList(NO_BYTES, new byte[0], bytes(3), bytes(256));
    }

    private static List<List<ACL>> acls() {
        ACL open = new ACL(31, new Id("world", "anyone"));
        ACL digest = new ACL(3, new Id("digest", "pat:aNdT8FWxoVs="));
        ACL ip = new ACL(-1, new Id("ip", "10.0.0.0/8"));
        ACL nulls = new ACL(0, new Id(null, null));
        return Arrays.asList(null, Collections.emptyList(), List.of(open), List.of(open, digest, ip, open), List.of(nulls));
    }

    private static List<List<String>> stringLists() {
        return Arrays.asList(null, List.of(), List.of(""), List.of("/a"), List.of("/a", "", "\u6f22", "/b/c"));
    }

    private static List<Stat> stats() {
        long min = Long.MIN_VALUE;
        return List.of(
            new Stat(0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
            new Stat(1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11),
            new Stat(-1, min, -3, Long.MAX_VALUE, -5, Integer.MIN_VALUE, Integer.MAX_VALUE, min, -9, -10, -11));
    }

    private static byte[] bytes(int count) {
        byte[] bytes = new byte[count];
        for (int i = 0; i < count; i++) {
            bytes[i] = (byte) (count - 1 - i);
        }
        return bytes;
    }

    private void add(Record record) throws IOException {
        addAll(record.getClass().getSimpleName(), record);
    }

    /** Also as clients before 3.4 have it, who do not know the last field. */
    private void addBoth(Record record, String oldName) throws IOException {
        add(record);
        byte[] bytes = binary(record);
        String line = text(record);
        addFrame(oldName, Arrays.copyOf(bytes, bytes.length - 1), line.substring(0, line.lastIndexOf(' ')));
    }

    private void addAll(String name, Record... records) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        StringBuilder line = new StringBuilder();
        for (Record record : records) {
            bytes.writeBytes(binary(record));
            line.append(text(record));
        }
        addFrame(name, bytes.toByteArray(), line.toString());
    }

    private void addFrame(String name, byte[] bytes, String line) throws IOException {
        DataOutputStream out = new DataOutputStream(frames.computeIfAbsent(name, it -> new ByteArrayOutputStream()));
        out.writeInt(bytes.length);
        out.write(bytes);
        lines.computeIfAbsent(name, it -> new StringBuilder()).append(name).append(line).append('\n');
    }

    private void writeTo(Path folder) throws IOException {
        StringBuilder manifest = new StringBuilder();
        for (String name : frames.keySet()) {
            Files.write(folder.resolve(name + ".bin"), frames.get(name).toByteArray());
            manifest.append(lines.get(name));
        }
        Files.writeString(folder.resolve("manifest.txt"), manifest);
    }

    private static byte[] binary(Record record) throws IOException {
        ByteArrayOutputStream bytes = new ByteArrayOutputStream();
        record.serialize(BinaryOutputArchive.getArchive(bytes), "");
        return bytes.toByteArray();
    }

    private static String text(Record record) throws IOException {
        TextArchive archive = new TextArchive();
        record.serialize(archive, "");
        return archive.text.toString();
    }

    /** Fields as text: every value after a blank, with its name unless it stands in a vector. */
    private static final class TextArchive implements OutputArchive {
        private final StringBuilder text = new StringBuilder();
        private int depth;

        private void put(String value, String tag) {
            text.append(' ');
            if (!tag.isEmpty() && !tag.equals("e1")) {
                text.append(tag).append('=');
            }
            text.append(value);
        }

        private static String quoted(byte[] bytes) {
            if (bytes == null) {
                return "null";
            }
            StringBuilder out = new StringBuilder("\"");
            for (byte b : bytes) {
                if (b >= 0x20 && b < 0x7f && b != '"' && b != '\\') {
                    out.append((char) b);
                } else {
                    out.append(String.format("\\x%02x", b));
                }
            }
            return out.append('"').toString();
        }

        @Override
        public void writeByte(byte b, String tag) {
            put(Byte.toString(b), tag);
        }

        @Override
        public void writeBool(boolean b, String tag) {
            put(Boolean.toString(b), tag);
        }

        @Override
        public void writeInt(int i, String tag) {
            put(Integer.toString(i), tag);
        }

        @Override
        public void writeLong(long l, String tag) {
            put(Long.toString(l), tag);
        }

        @Override
        public void writeFloat(float f, String tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void writeDouble(double d, String tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void writeString(String s, String tag) {
            put(quoted(s == null ? null : s.getBytes(UTF_8)), tag);
        }

        @Override
        public void writeBuffer(byte[] buf, String tag) {
            put(quoted(buf), tag);
        }

        @Override
        public void writeRecord(Record r, String tag) throws IOException {
            r.serialize(this, tag);
        }

        @Override
        public void startRecord(Record r, String tag) {
            if (depth > 0) {
                put("(", tag);
            }
            depth++;
        }

        @Override
        public void endRecord(Record r, String tag) {
            depth--;
            if (depth > 0) {
                text.append(" )");
            }
        }

        @Override
        public void startVector(List<?> v, String tag) {
            put(v == null ? "null" : "[", tag);
        }

        @Override
        public void endVector(List<?> v, String tag) {
            if (v != null) {
                text.append(" ]");
            }
        }

        @Override
        public void startMap(TreeMap<?, ?> v, String tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public void endMap(TreeMap<?, ?> v, String tag) {
            throw new UnsupportedOperationException();
        }

        @Override
        public long getDataSize() {
            return 0;
        }
    }
}
