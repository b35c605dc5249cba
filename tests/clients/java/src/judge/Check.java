package judge;

import java.time.Duration;
import java.util.Arrays;
import java.util.Objects;
import java.util.concurrent.Callable;
import org.apache.zookeeper.KeeperException;
import org.apache.zookeeper.data.Stat;

/** Assertions that say what was expected and what came. */
final class Check {
    /** How long anything may take that is waited for: it costs nothing where all is well. */
    static final Duration PATIENCE = Duration.ofSeconds(60);

    /** Milliseconds by which a session may outlive its timeout: it ends with a tick of the server's clock, which is half a second here. */
    static final long TICKS = 1_600;

    /** Something that a server answers or refuses. */
    interface Call {
        void run() throws Exception;
    }

    private Check() {}

    static void that(boolean holds, String what) {
        if (!holds) {
            throw new AssertionError(what);
        }
    }

    static void equal(Object expected, Object actual, String what) {
        if (!Objects.equals(expected, actual)) {
            throw new AssertionError(what + ": expected <" + expected + ">, got <" + actual + ">");
        }
    }

    static void bytes(byte[] expected, byte[] actual, String what) {
        if (!Arrays.equals(expected, actual)) {
            throw new AssertionError(what + ": expected " + show(expected) + ", got " + show(actual));
        }
    }

    private static String show(byte[] bytes) {
        return bytes == null ? "null" : bytes.length > 60 ? bytes.length + " bytes" : Arrays.toString(bytes);
    }

    /** The call must be refused with this code. */
    static KeeperException fails(KeeperException.Code code, Call call) {
        try {
            call.run();
        } catch (KeeperException refused) {
            equal(code, refused.code(), "the code of the refusal");
            return refused;
        } catch (Exception other) {
            throw new AssertionError("expected " + code + ", got " + other, other);
        }
        throw new AssertionError("expected " + code + ", but it was done");
    }

    /** The condition must come to hold. */
    static void soon(String what, Callable<Boolean> condition) throws Exception {
        long end = System.nanoTime() + PATIENCE.toNanos();
        while (!condition.call()) {
            if (System.nanoTime() > end) {
                throw new AssertionError("not within " + PATIENCE + ": " + what);
            }
            Thread.sleep(10);
        }
    }

    /**
     * The condition must come to hold within so many milliseconds of `began`, of System.nanoTime. What the machine is late is not counted: twice the
     * longest turn of a write and a look, which is nothing where all is well. Gives how long it took.
     */
    static long atLast(String what, Client client, long began, long limit, Callable<Boolean> condition) throws Exception {
        long longest = 0;
        long turn = System.nanoTime();
        for (;;) {
            client.set("/", "");
            boolean done = condition.call();
            long now = System.nanoTime();
            longest = Math.max(longest, (now - turn) / 1_000_000);
            turn = now;
            long took = (now - began) / 1_000_000;
            that(took <= limit + 2 * longest, what + ": after " + took + " ms, not " + limit + "; turns took up to " + longest + " ms");
            if (done) {
                return took;
            }
            Thread.sleep(20);
        }
    }

    /** What a Stat says apart from zxids and times. */
    static void stat(String expected, Stat stat) {
        equal(expected, show(stat), "the stat");
    }

    private static String show(Stat stat) {
        return "version=" + stat.getVersion() + " cversion=" + stat.getCversion() + " aversion=" + stat.getAversion()
            + " owner=" + Long.toHexString(stat.getEphemeralOwner()) + " length=" + stat.getDataLength() + " children="
            + stat.getNumChildren();
    }

    /** The wall clock of server and client is one here: a time just taken is near now. */
    static void recent(long time, String what) {
        long age = System.currentTimeMillis() - time;
        that(-1000 <= age && age < 300_000, what + " is " + age + " ms ago");
    }
}
