//! `offsetd gateway --mode own` before another offsetd, which stands for the cluster: topics and brokers are the other's, groups
//! and positions the gateway's.

use std::collections::BTreeMap;
use std::time::Duration;

use kafka_protocol::messages::{ApiVersionsRequest, FindCoordinatorRequest, MetadataRequest};
use kafka_protocol::protocol::StrBytes;

use crate::support::groups::empty;
use crate::support::members::{Member, QUICK, heartbeat, join_of, rebalanced, state};
use crate::support::value::At;
use crate::support::*;

const ORDERS: At<'static> = ("orders", 0);

struct Pair {
    upstream: World,
    gateway: World,
}

/// The cluster has the topic `orders` of three partitions, and makes no topic by itself.
fn pair() -> Pair {
    let mut upstream = World::configured("[streams]\ncatalogue = 'declared'\n[guard]\nmode = 'off'");
    upstream.client().make_topic("orders", 3);
    // What is committed here stays here, so that it can be seen where it is.
    let settings = format!("{QUICK}gateway.own.mirror = false\n");
    let home =
        Home::new().gateway(upstream.address()).argument("--mode", "own").config(&settings).with_admin();
    Pair { gateway: World::at(home), upstream }
}

#[test]
fn positions_live_here_and_nowhere_else() {
    let Pair { mut upstream, mut gateway } = pair();
    assert_eq!(gateway.server().said("mode"), "own");
    for version in COMMIT_VERSIONS {
        let group = &format!("g{version}");
        let first = commit_of(group).put(ORDERS, 100).put(("orders", 2), 7);
        gateway.client().commit_ask(version, &first).is(&first, &[0, 0]);
        // Offsets that live here are guarded as in `serve`.
        let second = commit_of(group).put(ORDERS, 99).put(("orders", 2), 8);
        gateway.client().commit_ask(version, &second).is(&second, &[POLICY_VIOLATION, 0]);
        gateway.fetch(group, ORDERS).is(100);
        gateway.fetch(group, ("orders", 2)).is(8);
        upstream.fetch(group, ORDERS).is_nothing();
    }
    assert!(upstream.client().list_groups(4).is_empty(), "the cluster has no groups");
    assert_eq!(gateway.client().list_groups(4).len(), COMMIT_VERSIONS.count());
    gateway.server().never_panicked();
}

#[test]
fn what_the_cluster_does_not_have_cannot_be_committed() {
    let Pair { mut upstream, mut gateway } = pair();
    let ask = commit_of("g").put(ORDERS, 1).put(("orders", 3), 1).put(("none", 0), 1).put(("orders", -1), 1);
    gateway.commit_all(&ask).is(&ask, &[0, 3, 3, 3]);
    // As soon as it is there, it can be.
    upstream.client().make_topic("none", 1);
    upstream.client().grow_topic(1, topics::more_partitions("orders", 4));
    let ask = commit_of("g").put(("orders", 3), 1).put(("none", 0), 1);
    gateway.commit_all(&ask).is(&ask, &[0, 0]);
}

#[test]
fn a_group_lives_here() {
    let Pair { mut upstream, gateway } = pair();
    let one = Member::alone(&gateway, join_of("g"));
    let newcomer = Member::introduced(gateway.address(), join_of("g").session_ms(1_500));
    let [mut one, mut two] = rebalanced([one, newcomer]);
    assert_eq!((one.generation(), two.generation()), (2, 2));
    assert_eq!((one.commit(ORDERS, 10), two.commit(("orders", 1), 20)), (NONE, NONE));
    assert_eq!(state(&mut gateway.connect(), "g"), "Stable");
    assert_eq!(state(upstream.client(), "g"), "Dead", "the cluster knows nothing of it");
    assert_eq!(one.leave(), NONE);
    assert_eq!(two.heartbeat(), REBALANCE_IN_PROGRESS);
    two.rejoin().leads_and_assigns(&[]);
    assert_eq!((two.generation(), two.commit(ORDERS, 11)), (3, NONE));
    assert_eq!(one.commit(ORDERS, 12), UNKNOWN_MEMBER_ID);
    gateway.server().never_panicked();
}

#[test]
fn members_outlive_the_gateway() {
    let Pair { upstream: _running, mut gateway } = pair();
    let mut one = Member::alone(&gateway, join_of("g"));
    assert_eq!(one.commit(ORDERS, 10), NONE);
    gateway.kill_and_restart();
    one.reconnect(gateway.address());
    assert_eq!((one.heartbeat(), one.commit(ORDERS, 11)), (NONE, NONE));
    gateway.fetch("g", ORDERS).is(11);
    gateway.commit("g", ORDERS, 10).is(UNKNOWN_MEMBER_ID);
}

/// A member that waits for others holds up nothing but what its own connection asked behind it.
#[test]
fn a_join_that_waits_is_answered_in_its_turn() {
    let Pair { upstream: _running, gateway } = pair();
    let one = Member::alone(&gateway, join_of("g"));
    let mut two = Member::introduced(gateway.address(), join_of("g"));
    let joining = two.send_join();
    let behind = two.client.send(12, &MetadataRequest::default());
    two.client.read_timeout(Duration::from_millis(300));
    assert!(two.client.frame().is_err(), "the join waits, and what is behind it");
    // Others are served.
    assert_eq!(heartbeat(&mut gateway.connect(), &one.claim), REBALANCE_IN_PROGRESS);
    two.client.read_timeout(Duration::from_secs(10));
    let mut one = one;
    let again = one.send_join();
    two.joined(joining);
    two.client.receive::<MetadataRequest>(12, behind);
    one.joined(again);
    assert_eq!(one.generation(), two.generation());
}

/// One that hangs up while it waits is noticed: its connection ends, to the cluster too.
#[test]
fn a_client_that_hangs_up_while_it_waits_is_noticed() {
    let Pair { upstream, gateway } = pair();
    let _one = Member::alone(&gateway, join_of("g"));
    let open = || Samples::of(gateway.server().admin()).get("offsetd_connections", &[]);
    let before = open();
    let mut two = Member::introduced(gateway.address(), join_of("g"));
    two.send_join();
    within(Duration::from_secs(5), "it waits", || open() > before);
    drop(two);
    within(Duration::from_secs(3), "its connection is gone", || open() <= before);
    drop(upstream);
}

/// Requests one behind the other, ours and the cluster's: answers come in their order, and a fetch sees the commits before it.
#[test]
fn order_is_kept_on_a_connection() {
    let Pair { upstream: _running, mut gateway } = pair();
    let client = gateway.client();
    for round in 1..30 {
        let commit = commit_of("g").put(ORDERS, round * 10).request(8);
        let lower = commit_of("g").put(ORDERS, round * 10 - 5).request(8);
        let sent = [
            client.send(8, &commit),
            client.send(8, &commit),
            client.send(12, &MetadataRequest::default()),
            client.send(8, &lower),
        ];
        type Commit = kafka_protocol::messages::OffsetCommitRequest;
        let codes = |answer| value::CommitAnswer::of(answer).codes();
        assert_eq!(codes(client.receive::<Commit>(8, sent[0])), [NONE]);
        assert_eq!(codes(client.receive::<Commit>(8, sent[1])), [NONE]);
        client.receive::<MetadataRequest>(12, sent[2]);
        assert_eq!(codes(client.receive::<Commit>(8, sent[3])), [POLICY_VIOLATION]);
        client.fetch("g", ORDERS).is(round * 10);
    }
}

/// Commits of a simple consumer that are sent one behind the other share syncs, as without a gateway.
#[test]
fn commits_in_a_row_share_syncs() {
    const COUNT: i64 = 200;
    let Pair { upstream: _running, mut gateway } = pair();
    gateway.commit("g", ORDERS, 0).ok();
    let batches = || Samples::of(gateway.server().admin()).get("offsetd_batch_ops_count", &[]);
    let before = batches();
    let mut client = gateway.connect();
    let sent: Vec<i32> =
        (1..=COUNT).map(|n| client.send(8, &commit_of("g").put(ORDERS, n).request(8))).collect();
    for correlation in sent {
        client.receive::<kafka_protocol::messages::OffsetCommitRequest>(8, correlation);
    }
    let took = batches() - before;
    assert!(took < COUNT as f64 * 0.9, "{took} batches for {COUNT} commits");
    client.fetch("g", ORDERS).is(COUNT);
}

#[test]
fn clients_are_sent_here() {
    let Pair { upstream, mut gateway } = pair();
    let metadata = gateway.client().call(12, &MetadataRequest::default());
    let known: Vec<(i32, i32)> = metadata.brokers.iter().map(|one| (one.node_id.0, one.port)).collect();
    for version in FIND_COORDINATOR_VERSIONS {
        let keys = vec![StrBytes::from_static_str("g"), StrBytes::from_static_str("h")];
        let request = match version {
            0..4 => FindCoordinatorRequest::default().with_key(keys[0].clone()),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(keys),
        };
        let answer = gateway.client().call(version, &request);
        let mut told = vec![(answer.error_code, answer.node_id.0, answer.host, answer.port)];
        if version >= 4 {
            let of = |c: &kafka_protocol::messages::find_coordinator_response::Coordinator| {
                (c.error_code, c.node_id.0, c.host.clone(), c.port)
            };
            told = answer.coordinators.iter().map(of).collect();
            assert_eq!(told.len(), 2);
        }
        for (code, id, host, port) in told {
            assert_eq!((code, &*host), (NONE, "127.0.0.1"), "{version}");
            assert!(known.contains(&(id, port)), "{version}: {id} at {port} is in Metadata: {known:?}");
        }
    }
    // Transactions are the cluster's: it says what it says.
    let request = FindCoordinatorRequest::default().with_key(StrBytes::from_static_str("t")).with_key_type(1);
    assert_eq!(
        gateway.client().call(3, &request).error_code,
        upstream.connect().call(3, &request).error_code
    );
}

#[test]
fn our_apis_have_our_ranges() {
    let Pair { upstream, mut gateway } = pair();
    let request = ApiVersionsRequest::default();
    let ranges = |client: &mut Client| -> BTreeMap<i16, (i16, i16)> {
        let answer = client.call(2, &request);
        answer.api_keys.iter().map(|api| (api.api_key, (api.min_version, api.max_version))).collect()
    };
    // The other is an offsetd too: where they differ, it would be by the gateway's doing.
    assert_eq!(ranges(gateway.client()), ranges(&mut upstream.connect()));
    // Members of the newer protocols need the cluster as coordinator: as from a broker that knows none.
    for key in [68i16, 69, 76, 78, 79, 88] {
        let mut client = gateway.connect();
        let mut payload = Vec::from(key.to_be_bytes());
        payload.extend([0, 1, 0, 0, 0, 9, 0xff, 0xff, 0, 0, 0, 0]);
        client.send_payload(&payload);
        assert!(client.until_closed().answers.is_empty(), "{key}");
    }
}

#[test]
fn deletions_are_ours() {
    let Pair { upstream: _running, mut gateway } = pair();
    gateway.commit("g", ORDERS, 100).ok();
    gateway.commit("g", ("orders", 1), 100).ok();
    gateway.client().delete_offsets("g", &[ORDERS, ("orders", 7)]).is(&[(ORDERS, NONE), (("orders", 7), 3)]);
    gateway.commit("g", ORDERS, 5).ok();
    gateway.commit("g", ("orders", 1), 5).is(POLICY_VIOLATION);
    assert_eq!(gateway.client().describe_groups(5, &["g"]), [empty("g")]);
    for version in DELETE_GROUPS_VERSIONS {
        assert_eq!(gateway.client().delete_groups(version, &["g", "nobody"]), [NONE, GROUP_ID_NOT_FOUND]);
        gateway.commit("g", ORDERS, 3).ok();
    }
}

/// Questions that the cluster is asked do not grow with what clients ask.
#[test]
fn the_cluster_is_asked_little() {
    let Pair { upstream: _running, mut gateway } = pair();
    let mut one = Member::alone(&gateway, join_of("g"));
    let asked =
        || Samples::of(gateway.server().admin()).get("offsetd_gateway_own_total", &[("what", "asked")]);
    let before = asked();
    for offset in 0..50 {
        assert_eq!((one.commit(ORDERS, offset), one.heartbeat()), (NONE, NONE));
    }
    assert!(asked() - before <= 1.0, "one for the topic: {}", asked() - before);
    gateway.fetch("g", ORDERS).is(49);
}

#[test]
fn a_cluster_that_is_gone_is_what_clients_see() {
    let Pair { mut upstream, mut gateway } = pair();
    let mut one = Member::alone(&gateway, join_of("g").session_ms(30_000));
    assert_eq!(one.commit(ORDERS, 10), NONE);
    let (address, theirs) = (gateway.address(), upstream.address());
    drop(upstream.take_server());
    one.client.until_closed();
    assert!(gateway.connect().until_closed().answers.is_empty());
    upstream.start_at(theirs);
    // The group has lived on.
    one.reconnect(address);
    assert_eq!((one.heartbeat(), one.commit(ORDERS, 11)), (NONE, NONE));
    gateway.disconnect();
    gateway.fetch("g", ORDERS).is(11);
    gateway.server().never_panicked();
}
