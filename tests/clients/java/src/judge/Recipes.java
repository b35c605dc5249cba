package judge;

import java.util.ArrayList;
import java.util.Collections;
import java.util.List;
import java.util.Set;
import java.util.TreeSet;
import java.util.concurrent.ConcurrentHashMap;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.ExecutorService;
import java.util.concurrent.Executors;
import java.util.concurrent.Future;
import java.util.concurrent.TimeUnit;
import java.util.concurrent.atomic.AtomicInteger;
import org.apache.curator.framework.CuratorFramework;
import org.apache.curator.framework.CuratorFrameworkFactory;
import org.apache.curator.framework.recipes.atomic.DistributedAtomicLong;
import org.apache.curator.framework.recipes.barriers.DistributedBarrier;
import org.apache.curator.framework.recipes.barriers.DistributedDoubleBarrier;
import org.apache.curator.framework.recipes.cache.ChildData;
import org.apache.curator.framework.recipes.cache.CuratorCache;
import org.apache.curator.framework.recipes.cache.CuratorCacheListener;
import org.apache.curator.framework.recipes.cache.TreeCache;
import org.apache.curator.framework.recipes.leader.LeaderLatch;
import org.apache.curator.framework.recipes.leader.LeaderSelector;
import org.apache.curator.framework.recipes.leader.LeaderSelectorListenerAdapter;
import org.apache.curator.framework.recipes.locks.InterProcessLock;
import org.apache.curator.framework.recipes.locks.InterProcessMultiLock;
import org.apache.curator.framework.recipes.locks.InterProcessMutex;
import org.apache.curator.framework.recipes.locks.InterProcessReadWriteLock;
import org.apache.curator.framework.recipes.locks.InterProcessSemaphoreV2;
import org.apache.curator.framework.recipes.locks.Lease;
import org.apache.curator.framework.recipes.nodes.GroupMember;
import org.apache.curator.framework.recipes.nodes.PersistentNode;
import org.apache.curator.framework.recipes.nodes.PersistentTtlNode;
import org.apache.curator.framework.recipes.queue.DistributedQueue;
import org.apache.curator.framework.recipes.queue.QueueBuilder;
import org.apache.curator.framework.recipes.queue.QueueConsumer;
import org.apache.curator.framework.recipes.queue.QueueSerializer;
import org.apache.curator.framework.recipes.queue.SimpleDistributedQueue;
import org.apache.curator.framework.recipes.shared.SharedCount;
import org.apache.curator.framework.state.ConnectionState;
import org.apache.curator.retry.RetryNTimes;
import org.apache.zookeeper.CreateMode;

/** Curator's recipes, each with several contenders in sessions of their own. */
final class Recipes {
    /** Several sessions and a pool of threads, ended together. */
    private static final class Team implements AutoCloseable {
        final List<CuratorFramework> members = new ArrayList<>();
        final ExecutorService pool = Executors.newCachedThreadPool(work -> {
            Thread thread = new Thread(work, "contender");
            thread.setDaemon(true);
            return thread;
        });

        Team(String server, int count) throws Exception {
            for (int i = 0; i < count; i++) {
                CuratorFramework member = CuratorFrameworkFactory.builder().connectString(server).sessionTimeoutMs(20_000)
                    .connectionTimeoutMs(10_000).retryPolicy(new RetryNTimes(300, 200)).build();
                member.start();
                Check.that(member.blockUntilConnected(60, TimeUnit.SECONDS), "member " + i + " connects");
                members.add(member);
            }
        }

        CuratorFramework get(int index) {
            return members.get(index);
        }

        /** Runs work for each member at once and passes the first failure on. */
        void all(Work work) throws Exception {
            List<Future<?>> futures = new ArrayList<>();
            for (CuratorFramework member : members) {
                futures.add(pool.submit(() -> {
                    work.run(member);
                    return null;
                }));
            }
            for (Future<?> future : futures) {
                future.get(180, TimeUnit.SECONDS);
            }
        }

        @Override
        public void close() {
            members.forEach(CuratorFramework::close);
            pool.shutdownNow();
        }
    }

    private interface Work {
        void run(CuratorFramework member) throws Exception;
    }

    /** Counts who is inside, and the most there ever were. */
    private static final class Room {
        final AtomicInteger inside = new AtomicInteger();
        final AtomicInteger most = new AtomicInteger();

        void visit() throws InterruptedException {
            most.accumulateAndGet(inside.incrementAndGet(), Math::max);
            Thread.sleep(2);
            inside.decrementAndGet();
        }
    }

    private Recipes() {}

    static void leaderLatch(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            List<LeaderLatch> latches = new ArrayList<>();
            for (int i = 0; i < 4; i++) {
                LeaderLatch latch = new LeaderLatch(team.get(i), "/latch", "member-" + i);
                latch.start();
                latches.add(latch);
            }
            while (!latches.isEmpty()) {
                Check.soon("one leads", () -> latches.stream().filter(LeaderLatch::hasLeadership).count() == 1);
                LeaderLatch leader = latches.stream().filter(LeaderLatch::hasLeadership).findFirst().orElseThrow();
                Check.equal(leader.getId(), leader.getLeader().getId(), "the leader that all see");
                Check.soon("all take part", () -> leader.getParticipants().size() == latches.size());
                latches.remove(leader);
                leader.close();
            }
        }
    }

    static void leaderLatchOverARestart(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            List<LeaderLatch> latches = new ArrayList<>();
            for (CuratorFramework member : team.members) {
                LeaderLatch latch = new LeaderLatch(member, "/latch");
                latch.start();
                latches.add(latch);
            }
            Check.soon("one leads", () -> latches.stream().filter(LeaderLatch::hasLeadership).count() == 1);
            Harness.ask("kill");
            Check.soon("a leader that cannot know stops leading", () -> latches.stream().noneMatch(LeaderLatch::hasLeadership));
            Harness.ask("start");
            Check.soon("one leads again",
                () -> latches.stream().filter(LeaderLatch::hasLeadership).count() == 1);
            for (LeaderLatch latch : latches) {
                latch.close();
            }
        }
    }

    static void leaderSelector(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            Room room = new Room();
            Set<String> led = ConcurrentHashMap.newKeySet();
            CountDownLatch turns = new CountDownLatch(12);
            List<LeaderSelector> selectors = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                String name = "member-" + i;
                LeaderSelector selector = new LeaderSelector(team.get(i), "/selector", new LeaderSelectorListenerAdapter() {
                    @Override
                    public void takeLeadership(CuratorFramework client) throws Exception {
                        led.add(name);
                        room.visit();
                        turns.countDown();
                    }
                });
                selector.autoRequeue();
                selector.start();
                selectors.add(selector);
            }
            Check.that(turns.await(60, TimeUnit.SECONDS), "twelve turns are taken");
            // One that comes late has its turn too.
            Check.soon("each leads", () -> led.size() == 3);
            selectors.forEach(LeaderSelector::close);
            Check.equal(3, led.size(), "members that led");
            Check.equal(1, room.most.get(), "leaders at once");
        }
    }

    static void mutex(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            Room room = new Room();
            AtomicInteger turns = new AtomicInteger();
            team.all(member -> {
                InterProcessMutex mutex = new InterProcessMutex(member, "/mutex");
                for (int i = 0; i < 15; i++) {
                    Check.that(mutex.acquire(60, TimeUnit.SECONDS), "the lock comes");
                    Check.that(mutex.acquire(1, TimeUnit.SECONDS), "its owner may take it again");
                    mutex.release();
                    room.visit();
                    turns.incrementAndGet();
                    mutex.release();
                }
            });
            Check.equal("60 1", turns.get() + " " + room.most.get(), "turns, and owners at once");
            InterProcessMutex held = new InterProcessMutex(team.get(0), "/mutex");
            held.acquire();
            InterProcessMutex wanted = new InterProcessMutex(team.get(1), "/mutex");
            Check.that(!wanted.acquire(300, TimeUnit.MILLISECONDS), "a lock that is held is not given");
            // The holder's session goes, and with it the lock.
            team.get(0).close();
            Check.that(wanted.acquire(60, TimeUnit.SECONDS), "the lock of a session that went is free");
        }
    }

    static void mutexOverARestart(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            Room room = new Room();
            CountDownLatch early = new CountDownLatch(10);
            Future<?> work = team.pool.submit(() -> {
                team.all(member -> {
                    InterProcessMutex mutex = new InterProcessMutex(member, "/mutex");
                    for (int i = 0; i < 20; i++) {
                        mutex.acquire();
                        room.visit();
                        early.countDown();
                        mutex.release();
                    }
                });
                return null;
            });
            early.await();
            Harness.ask("restart");
            work.get(180, TimeUnit.SECONDS);
            Check.equal(1, room.most.get(), "owners at once");
        }
    }

    static void readWriteLock(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            AtomicInteger readers = new AtomicInteger();
            AtomicInteger writers = new AtomicInteger();
            AtomicInteger together = new AtomicInteger();
            CountDownLatch meeting = new CountDownLatch(4);
            team.all(member -> {
                InterProcessReadWriteLock lock = new InterProcessReadWriteLock(member, "/rw");
                lock.readLock().acquire();
                meeting.countDown();
                Check.that(meeting.await(60, TimeUnit.SECONDS), "four read together");
                lock.readLock().release();
                for (int i = 0; i < 8; i++) {
                    lock.writeLock().acquire();
                    Check.equal("1 0", writers.incrementAndGet() + " " + readers.get(), "writers and readers while one writes");
                    Thread.sleep(2);
                    writers.decrementAndGet();
                    lock.writeLock().release();
                    lock.readLock().acquire();
                    together.accumulateAndGet(readers.incrementAndGet(), Math::max);
                    Check.equal(0, writers.get(), "writers while one reads");
                    Thread.sleep(2);
                    readers.decrementAndGet();
                    lock.readLock().release();
                }
            });
            InterProcessReadWriteLock mine = new InterProcessReadWriteLock(team.get(0), "/rw");
            InterProcessReadWriteLock yours = new InterProcessReadWriteLock(team.get(1), "/rw");
            mine.writeLock().acquire();
            mine.readLock().acquire();
            Check.that(!yours.readLock().acquire(200, TimeUnit.MILLISECONDS), "no reading beside a writer");
            mine.writeLock().release();
            Check.that(yours.readLock().acquire(60, TimeUnit.SECONDS), "a writer may become a reader");
        }
    }

    static void multiLock(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            Room room = new Room();
            team.all(member -> {
                InterProcessLock lock = new InterProcessMultiLock(member, List.of("/ml/a", "/ml/b"));
                for (int i = 0; i < 8; i++) {
                    lock.acquire();
                    room.visit();
                    lock.release();
                }
            });
            Check.equal(1, room.most.get(), "owners at once");
        }
    }

    static void semaphore(String server) throws Exception {
        try (Team team = new Team(server, 5)) {
            Room room = new Room();
            team.all(member -> {
                InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(member, "/semaphore", 3);
                for (int i = 0; i < 10; i++) {
                    Lease lease = semaphore.acquire(60, TimeUnit.SECONDS);
                    Check.that(lease != null, "a lease comes");
                    room.visit();
                    semaphore.returnLease(lease);
                }
            });
            Check.that(room.most.get() <= 3, "at most three leases at once, not " + room.most.get());
            InterProcessSemaphoreV2 semaphore = new InterProcessSemaphoreV2(team.get(0), "/semaphore", 3);
            semaphore.acquire(3);
            InterProcessSemaphoreV2 other = new InterProcessSemaphoreV2(team.get(1), "/semaphore", 3);
            Check.equal(null, other.acquire(300, TimeUnit.MILLISECONDS), "a fourth lease");
            team.get(0).close();
            Check.that(other.acquire(60, TimeUnit.SECONDS) != null, "the leases of a session that went are free");
        }
    }

    static void barrier(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            DistributedBarrier control = new DistributedBarrier(team.get(0), "/barrier");
            control.setBarrier();
            AtomicInteger through = new AtomicInteger();
            Future<?> waiting = team.pool.submit(() -> {
                team.all(member -> {
                    Check.that(new DistributedBarrier(member, "/barrier").waitOnBarrier(60, TimeUnit.SECONDS), "the barrier opens");
                    through.incrementAndGet();
                });
                return null;
            });
            Thread.sleep(500);
            Check.equal(0, through.get(), "who went through a closed barrier");
            control.removeBarrier();
            waiting.get(60, TimeUnit.SECONDS);
            Check.equal(4, through.get(), "who went through");
        }
    }

    static void doubleBarrier(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            for (int round = 0; round < 3; round++) {
                AtomicInteger came = new AtomicInteger();
                AtomicInteger worked = new AtomicInteger();
                int each = round;
                team.all(member -> {
                    DistributedDoubleBarrier barrier = new DistributedDoubleBarrier(member, "/double" + each, 4);
                    came.incrementAndGet();
                    Check.that(barrier.enter(60, TimeUnit.SECONDS), "all enter");
                    Check.equal(4, came.get(), "who had come when one entered");
                    worked.incrementAndGet();
                    Check.that(barrier.leave(60, TimeUnit.SECONDS), "all leave");
                    Check.equal(4, worked.get(), "who had worked when one left");
                });
            }
        }
    }

    static void simpleQueue(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            Set<String> taken = ConcurrentHashMap.newKeySet();
            AtomicInteger count = new AtomicInteger();
            AtomicInteger role = new AtomicInteger();
            team.all(member -> {
                SimpleDistributedQueue queue = new SimpleDistributedQueue(member, "/queue");
                int mine = role.getAndIncrement();
                for (int i = 0; i < 50; i++) {
                    if (mine % 2 == 0) {
                        Check.that(queue.offer(Client.bytes(mine + "-" + i)), "an item is put");
                    } else {
                        byte[] item = queue.poll(60, TimeUnit.SECONDS);
                        Check.that(item != null, "an item comes");
                        taken.add(new String(item));
                        count.incrementAndGet();
                    }
                }
            });
            Check.equal("100 100", count.get() + " " + taken.size(), "items taken, and different ones");
            SimpleDistributedQueue queue = new SimpleDistributedQueue(team.get(0), "/order");
            for (int i = 0; i < 30; i++) {
                queue.offer(Client.bytes("" + i));
            }
            for (int i = 0; i < 30; i++) {
                Check.equal("" + i, new String(queue.take()), "first in, first out");
            }
        }
    }

    static void queue(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            ConcurrentLinkedQueue<String> taken = new ConcurrentLinkedQueue<>();
            QueueSerializer<String> text = new QueueSerializer<>() {
                @Override
                public byte[] serialize(String item) {
                    return Client.bytes(item);
                }

                @Override
                public String deserialize(byte[] bytes) {
                    return new String(bytes);
                }
            };
            List<DistributedQueue<String>> queues = new ArrayList<>();
            for (CuratorFramework member : team.members) {
                DistributedQueue<String> queue = QueueBuilder.builder(member, new QueueConsumer<String>() {
                    @Override
                    public void consumeMessage(String message) {
                        taken.add(message);
                    }

                    @Override
                    public void stateChanged(CuratorFramework client, ConnectionState state) {}
                }, text, "/items").lockPath("/locks").buildQueue();
                queue.start();
                queues.add(queue);
            }
            for (int i = 0; i < 120; i++) {
                queues.get(i % 3).put("item-" + i);
            }
            Check.soon("all items are consumed", () -> taken.size() >= 120);
            Check.equal("120 120", taken.size() + " " + new TreeSet<>(taken).size(), "items consumed, and different ones");
            for (DistributedQueue<String> queue : queues) {
                queue.close();
            }
        }
    }

    static void sharedCounter(String server) throws Exception {
        try (Team team = new Team(server, 4)) {
            List<SharedCount> counts = Collections.synchronizedList(new ArrayList<>());
            team.all(member -> {
                SharedCount count = new SharedCount(member, "/count", 5);
                count.start();
                counts.add(count);
                for (int i = 0; i < 10; i++) {
                    while (!count.trySetCount(count.getVersionedValue(), count.getCount() + 1)) {
                        Thread.sleep(1);
                    }
                }
            });
            for (SharedCount count : counts) {
                Check.soon("all see the sum", () -> count.getCount() == 45);
                count.close();
            }
            team.all(member -> {
                DistributedAtomicLong number = new DistributedAtomicLong(member, "/long", new RetryNTimes(1_000, 5));
                for (int i = 0; i < 10; i++) {
                    Check.that(number.increment().succeeded(), "an increment succeeds");
                }
            });
            long sum = new DistributedAtomicLong(team.get(0), "/long", new RetryNTimes(1, 1)).get().postValue();
            Check.equal(40L, sum, "the sum of all increments");
        }
    }

    static void persistentNode(String server) throws Exception {
        try (Team team = new Team(server, 2)) {
            CuratorFramework mine = team.get(0);
            CuratorFramework other = team.get(1);
            PersistentNode node = new PersistentNode(mine, CreateMode.EPHEMERAL, false, "/group/node", Client.bytes("one"));
            node.start();
            Check.that(node.waitForInitialCreate(60, TimeUnit.SECONDS), "it is created");
            other.delete().forPath("/group/node");
            Check.soon("it comes back", () -> other.checkExists().forPath("/group/node") != null);
            node.setData(Client.bytes("two"));
            Check.soon("its data changes", () -> new String(other.getData().forPath("/group/node")).equals("two"));
            Harness.ask("restart");
            Check.soon("it is there after a restart",
                () -> other.checkExists().forPath("/group/node") != null);
            long session = mine.getZookeeperClient().getZooKeeper().getSessionId();
            Check.equal(session, other.checkExists().forPath("/group/node").getEphemeralOwner(), "its owner");
            node.close();
            Check.soon("it goes when it is closed", () -> other.checkExists().forPath("/group/node") == null);

            PersistentTtlNode ttl = new PersistentTtlNode(mine, "/ttl", 6_000, Client.bytes("t"));
            ttl.start();
            Check.that(ttl.waitForInitialCreate(60, TimeUnit.SECONDS), "the TTL node is created");
            Thread.sleep(9_000);
            Check.that(other.checkExists().forPath("/ttl") != null, "touching keeps it");
            ttl.close();
            Check.soon("it goes when nobody touches it",
                () -> other.checkExists().forPath("/ttl") == null);
        }
    }

    static void groupMembership(String server) throws Exception {
        try (Team team = new Team(server, 3)) {
            List<GroupMember> group = new ArrayList<>();
            for (int i = 0; i < 3; i++) {
                GroupMember member = new GroupMember(team.get(i), "/group", "m" + i, Client.bytes("d" + i));
                member.start();
                group.add(member);
            }
            for (GroupMember member : group) {
                Check.soon("each sees all", () -> member.getCurrentMembers().keySet().equals(Set.of("m0", "m1", "m2")));
            }
            group.get(1).close();
            Check.soon("who left is gone", () -> group.get(0).getCurrentMembers().keySet().equals(Set.of("m0", "m2")));
            team.get(2).close();
            Check.soon("whose session ended is gone", () -> group.get(0).getCurrentMembers().keySet().equals(Set.of("m0")));
            group.get(0).close();
        }
    }

    static void treeCache(String server) throws Exception {
        try (Team team = new Team(server, 2)) {
            CuratorFramework writer = team.get(1);
            writer.create().creatingParentsIfNeeded().forPath("/tree/a/b", Client.bytes("ab"));
            TreeCache cache = new TreeCache(team.get(0), "/tree");
            cache.start();
            Check.soon("what was there is seen", () -> text(cache.getCurrentData("/tree/a/b")).equals("ab"));
            for (int i = 0; i < 200; i++) {
                writer.create().forPath("/tree/a/n" + i, Client.bytes("" + i));
            }
            writer.setData().forPath("/tree/a/b", Client.bytes("new"));
            writer.delete().forPath("/tree/a/n7");
            Check.soon("changes are seen", () -> cache.size() == 3 + 199 && text(cache.getCurrentData("/tree/a/b")).equals("new"));
            Harness.ask("restart");
            writer.delete().deletingChildrenIfNeeded().forPath("/tree/a");
            writer.create().forPath("/tree/z", Client.bytes("z"));
            Check.soon("changes after a restart are seen",
                () -> cache.size() == 2 && text(cache.getCurrentData("/tree/z")).equals("z"));
            cache.close();
        }
    }

    static void curatorCache(String server) throws Exception {
        try (Team team = new Team(server, 2)) {
            CuratorFramework writer = team.get(1);
            writer.create().creatingParentsIfNeeded().forPath("/tree/a", Client.bytes("1"));
            CuratorCache cache = CuratorCache.build(team.get(0), "/tree");
            AtomicInteger creates = new AtomicInteger();
            AtomicInteger changes = new AtomicInteger();
            AtomicInteger deletes = new AtomicInteger();
            cache.listenable().addListener(CuratorCacheListener.builder().forCreates(it -> creates.incrementAndGet())
                .forChanges((before, after) -> changes.incrementAndGet()).forDeletes(it -> deletes.incrementAndGet()).build());
            cache.start();
            Check.soon("what was there is seen", () -> cache.size() == 2);
            for (int i = 0; i < 100; i++) {
                writer.create().forPath("/tree/a/n" + i);
                writer.setData().forPath("/tree/a/n" + i, Client.bytes("x" + i));
            }
            Check.soon("creations and changes are seen",
                () -> cache.size() == 102 && cache.get("/tree/a/n99").map(it -> text(it).equals("x99")).orElse(false));
            Harness.ask("kill");
            Harness.ask("start");
            writer.delete().deletingChildrenIfNeeded().forPath("/tree/a");
            Check.soon("deletions after a kill are seen", () -> cache.size() == 1);
            // Listeners are called behind the change of the cache.
            Check.soon("listeners are told all", () -> creates.get() >= 102 && deletes.get() >= 101);
            cache.close();
        }
    }

    private static String text(ChildData data) {
        return data == null ? "" : new String(data.getData());
    }
}
