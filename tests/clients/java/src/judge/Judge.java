package judge;

import java.util.LinkedHashMap;
import java.util.Map;

/** Runs one judge: `Judge NAME HOST:PORT`. The table below is also what `judge list` reads. */
public final class Judge {
    private interface Test {
        void run(String server) throws Exception;
    }

    private static final Map<String, Test> TESTS = new LinkedHashMap<>();

    static {
        test("create_in_every_mode", Znodes::createInEveryMode);
        test("create_refused", Znodes::createRefused);
        test("sequential_names", Znodes::sequentialNames);
        test("data_and_versions", Znodes::dataAndVersions);
        test("large_values", Znodes::largeValues);
        test("deletes", Znodes::deletes);
        test("children", Znodes::children);
        test("deep_paths_and_chroot", Znodes::deepPathsAndChroot);
        test("acl_versions_and_forms", Acls::versionsAndForms);
        test("acl_for_every_op", Acls::everyOpNeedsItsPermission);
        test("acl_digest_ip_and_auth", Acls::digestIpAndAuth);
        test("acl_super_user", Acls::superUser);
        test("who_am_i", Acls::whoAmI);
        test("unknown_scheme_ends_the_connection", Acls::unknownSchemeEndsTheConnection);
        test("multi_every_sub_op", Multis::everySubOp);
        test("multi_all_or_nothing", Multis::allOrNothing);
        test("multi_later_sub_ops_see_earlier_ones", Multis::laterSubOpsSeeEarlierOnes);
        test("multi_reads", Multis::reads);
        test("multi_watches_see_each_sub_op", Multis::watchesSeeEachSubOp);
        test("watches_one_shot", Watches::oneShots);
        test("watches_on_own_changes", Watches::aSessionsOwnChangesFireToo);
        test("watches_persistent", Watches::persistent);
        test("watches_persistent_recursive", Watches::persistentRecursive);
        test("watches_removed", Watches::removed);
        test("watches_only_readers_see_events", Watches::onlyReadersSeeEvents);
        test("watches_come_before_what_they_tell", Watches::anEventComesBeforeWhatItTells);
        test("watches_by_many", Watches::manyWatchers);
        test("session_timeouts_are_negotiated", Sessions::timeoutsAreNegotiated);
        test("session_close_ends_ephemerals", Sessions::closingEndsEphemerals);
        test("session_idle_lives", Sessions::idleSessionsLive);
        test("session_over_a_restart", Sessions::aRestartInTheMiddle);
        test("session_over_a_kill", Sessions::aKillInTheMiddle);
        test("session_changes_while_away_are_told", Sessions::changesWhileAwayAreTold);
        test("session_many_watches_come_back", Sessions::manyWatchesComeBack);
        test("session_silence_expires", Sessions::silenceExpires);
        test("session_expiry_over_a_restart", Sessions::expiryGoesOnOverARestart);
        test("session_may_move", Sessions::aSessionMayMove);
        test("session_strangers_are_refused", Sessions::strangersAreRefused);
        test("session_closed_is_gone", Sessions::aClosedSessionIsGone);
        test("pipelined_replies_keep_their_order", Service::pipelinedRepliesKeepTheirOrder);
        test("containers_and_ttls_are_reaped", Service::containersAndTtlsAreReaped);
        test("configuration_of_one_server", Service::configurationOfOneServer);
        test("sync_and_read_only_clients", Service::syncAndReadOnlyClients);
        test("quotas", Service::quotas);
        test("four_letter_words", Service::fourLetterWords);
        test("netty_transport", Service::theNettyTransport);
        test("session_waves", Service::sessionsComeAndGo);
        test("too_many_connections_are_refused", Service::tooManyConnectionsAreRefused);
        test("curator_leader_latch", Recipes::leaderLatch);
        test("curator_leader_latch_over_a_restart", Recipes::leaderLatchOverARestart);
        test("curator_leader_selector", Recipes::leaderSelector);
        test("curator_mutex", Recipes::mutex);
        test("curator_mutex_over_a_restart", Recipes::mutexOverARestart);
        test("curator_read_write_lock", Recipes::readWriteLock);
        test("curator_multi_lock", Recipes::multiLock);
        test("curator_semaphore", Recipes::semaphore);
        test("curator_barrier", Recipes::barrier);
        test("curator_double_barrier", Recipes::doubleBarrier);
        test("curator_simple_queue", Recipes::simpleQueue);
        test("curator_queue", Recipes::queue);
        test("curator_shared_counter", Recipes::sharedCounter);
        test("curator_persistent_node", Recipes::persistentNode);
        test("curator_group_membership", Recipes::groupMembership);
        test("curator_tree_cache", Recipes::treeCache);
        test("curator_cache", Recipes::curatorCache);
        member("read_only_mode", Members::readOnlyMode);
        member("local_sessions", Members::localSessions);
    }

    private Judge() {}

    private static void test(String name, Test test) {
        TESTS.put(name, test);
    }

    /** One that wants an ensemble; `judge list` leaves it out. */
    private static void member(String name, Test test) {
        TESTS.put(name, test);
    }

    /** Exit code 0 is a pass; a failure's stack is printed. */
    public static void main(String[] args) {
        try {
            TESTS.get(args[0]).run(args[1]);
        } catch (Throwable failure) {
            failure.printStackTrace(System.out);
            System.out.flush();
            System.exit(1);
        }
        System.exit(0);
    }
}
