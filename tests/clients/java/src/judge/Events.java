package judge;

import java.util.concurrent.BlockingQueue;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;
import org.apache.zookeeper.WatchedEvent;
import org.apache.zookeeper.Watcher;

/** A watcher that keeps what it is told: events of znodes and states of the connection, apart. */
final class Events implements Watcher {
    private final BlockingQueue<WatchedEvent> events = new LinkedBlockingQueue<>();
    private final BlockingQueue<Event.KeeperState> states = new LinkedBlockingQueue<>();

    @Override
    public void process(WatchedEvent event) {
        if (event.getType() == Event.EventType.None) {
            states.add(event.getState());
        } else {
            events.add(event);
        }
    }

    /** The next event, whatever it is. */
    WatchedEvent next() throws InterruptedException {
        WatchedEvent event = events.poll(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        Check.that(event != null, "no event came");
        return event;
    }

    /** The next event must be this one. */
    WatchedEvent expect(Event.EventType type, String path) throws InterruptedException {
        WatchedEvent event = events.poll(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
        Check.that(event != null, "no event came, expected " + type + " " + path);
        Check.equal(type + " " + path, event.getType() + " " + event.getPath(), "the event");
        Check.equal(Event.KeeperState.SyncConnected, event.getState(), "the state in the event");
        return event;
    }

    /** No event may have come; ask after something that would have brought it, such as a reply to a later read. */
    void none(String why) throws InterruptedException {
        WatchedEvent event = events.poll(200, TimeUnit.MILLISECONDS);
        Check.that(event == null, why + ": " + event);
    }

    boolean isEmpty() {
        return events.isEmpty();
    }

    /** Waits for this state of the connection; others before it are passed over. */
    void await(Event.KeeperState state) throws InterruptedException {
        for (;;) {
            Event.KeeperState next = states.poll(Check.PATIENCE.toSeconds(), TimeUnit.SECONDS);
            Check.that(next != null, "the connection was never " + state);
            if (next == state) {
                return;
            }
        }
    }

    /** The states told since, without waiting. */
    boolean saw(Event.KeeperState state) {
        return states.contains(state);
    }
}
