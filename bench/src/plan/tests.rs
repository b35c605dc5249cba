//! Needs in, plans out.

use super::{Measured, Needs, Plan, plan};

/// Round figures: a write costs 2 us, a read 1 us.
fn measured() -> Measured {
    Measured {
        machine: "a core".into(),
        write_servers: 1,
        writes_per_second: 400_000.0,
        write_cpu_us: 2.0,
        read_cpu_us: 1.0,
        event_cpu_us: 1.0,
        ping_cpu_us: 1.0,
        write_p50_us: 100.0,
        p99_by_share: vec![(0.1, 200.0), (0.25, 400.0), (0.5, 1_000.0), (0.9, 20_000.0)],
        log_bytes: 300.0,
        write_data: 100,
        forced_per_second: 20_000.0,
        znode_bytes: 280.0,
        znode_data: 100,
        empty_bytes: 1e7,
        session_bytes: 1_000.0,
        restart_seconds_per_znode: 5e-7,
    }
}

fn needs() -> Needs {
    Needs {
        znodes: 1_000_000,
        size: 100,
        sessions: 1_000,
        reads: 300_000.0,
        writes: 50_000.0,
        watchers: 0.0,
        p99_us: None,
        servers: 1,
    }
}

fn planned(needs: Needs) -> Plan {
    plan(needs, &measured()).unwrap()
}

#[test]
fn cores_are_busy_for_half_of_their_time() {
    // 0.1 for writes and 0.3 for reads.
    assert_eq!(planned(needs()).cores, 1);
    assert_eq!(planned(Needs { reads: 900_000.0, ..needs() }).cores, 3);
}

#[test]
fn reads_are_shared_among_servers_and_writes_are_not() {
    let three = |reads, writes| planned(Needs { reads, writes, servers: 3, ..needs() }).cores;
    assert_eq!(three(3_000_000.0, 0.0), 3);
    assert_eq!(
        three(0.0, 200_000.0),
        planned(Needs { reads: 0.0, writes: 200_000.0, ..needs() }).cores
    );
}

#[test]
fn more_writes_than_one_core_orders_are_past_one_ensemble() {
    let plan = planned(Needs { writes: 1_000_000.0, ..needs() });
    assert_eq!(plan.ensembles, 5);
    assert!(plan.to_string().contains("PAST ONE ENSEMBLE"), "{plan}");
    assert_eq!(planned(needs()).ensembles, 1);
}

#[test]
fn a_lower_p99_leaves_less_of_a_core() {
    let share = |p99_us| planned(Needs { p99_us: Some(p99_us), ..needs() }).busy_share;
    assert!((share(50_000.0) - 0.5).abs() < 1e-9);
    assert!((share(500.0) - 0.25).abs() < 1e-9);
    let impossible = planned(Needs { p99_us: Some(10.0), ..needs() });
    assert!(impossible.to_string().contains("not shown to be possible"), "{impossible}");
}

#[test]
fn larger_data_takes_memory_and_disk() {
    let (small, large) = (planned(needs()), planned(Needs { size: 1_100, ..needs() }));
    let more = large.memory - small.memory;
    assert!((1_200_000_000..1_400_000_000).contains(&more), "{more}");
    assert!(large.disk_bandwidth > small.disk_bandwidth && large.disk_space > small.disk_space);
}

#[test]
fn frequent_writes_want_rarer_snapshots_and_a_huge_tree_more_address_space() {
    assert!(planned(needs()).to_string().contains("snapCount=3000000"));
    assert!(!planned(Needs { writes: 10.0, ..needs() }).to_string().contains("snapCount"));
    let huge = planned(Needs { znodes: 1_000_000_000, ..needs() });
    assert!(huge.to_string().contains("arenaReserveMiB"), "{huge}");
}

#[test]
fn needs_that_are_no_numbers_are_refused() {
    assert!(plan(Needs { writes: f64::NAN, ..needs() }, &measured()).is_err());
    assert!(plan(Needs { servers: 2, ..needs() }, &measured()).is_err());
}

#[test]
fn an_ensemble_says_whether_its_writes_were_measured() {
    let three = Needs { servers: 3, ..needs() };
    assert!(planned(three).to_string().contains("was not measured"));
    let measured = Measured { write_servers: 3, write_cpu_us: 3.0, ..measured() };
    let text = plan(three, &measured).unwrap().to_string();
    assert!(text.contains("of an ensemble of 3") && text.contains("3.00 us a write"), "{text}");
}
