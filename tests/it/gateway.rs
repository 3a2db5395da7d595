//! `offsetd gateway` before another offsetd, whose guard is off: a cluster of one broker that stores whatever comes, and
//! that can be asked and moved past the gateway.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use kafka_protocol::messages::{
    ApiVersionsRequest, DescribeClusterRequest, FindCoordinatorRequest, MetadataRequest,
};
use kafka_protocol::protocol::StrBytes;

use crate::support::members::{Claim, Member, commit_as, join_of};
use crate::support::*;

const AT: (&str, i32) = ("orders", 0);
const GUARD_OFF: &str = "[guard]\nmode = 'off'";

struct Pair {
    upstream: World,
    gateway: World,
}

fn home(upstream: &World, guard: &str) -> Home {
    Home::new().gateway(upstream.address()).argument("--guard", guard).with_admin()
}

fn pair(guard: &str) -> Pair {
    let upstream = World::configured(GUARD_OFF);
    let gateway = World::at(home(&upstream, guard));
    Pair { upstream, gateway }
}

#[test]
fn what_would_go_back_is_taken_out_in_every_version_and_the_rest_goes_on() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    for version in COMMIT_VERSIONS {
        let group = &format!("g{version}");
        let ask = |a, b, c| commit_of(group).put(("b", 1), a).put(AT, b).put(("b", 0), c);
        let first = ask(10, 100, 10);
        gateway.client().commit_ask(version, &first).is(&first, &[0, 0, 0]);
        let second = ask(11, 99, 12);
        gateway.client().commit_ask(version, &second).is(&second, &[0, POLICY_VIOLATION, 0]);
        upstream.fetch(group, AT).is(100);
        upstream.fetch(group, ("b", 1)).is(11);
        upstream.fetch(group, ("b", 0)).is(12);
        let third = ask(1, 99, 2);
        gateway.client().commit_ask(version, &third).is(&third, &[POLICY_VIOLATION; 3]);
        upstream.fetch(group, ("b", 1)).is(11);
        // The same again, and one that goes on.
        gateway.client().commit_at(version, group, AT, 100).ok();
        gateway.client().commit_at(version, group, AT, 101).ok();
        upstream.fetch(group, AT).is(101);
    }
    gateway.server().never_panicked();
}

#[test]
fn a_partition_named_twice_is_judged_twice() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    let ask = commit_of("g").put(AT, 10).put(AT, 30).put(AT, 20).put(AT, 40);
    gateway.commit_all(&ask).is(&ask, &[0, 0, POLICY_VIOLATION, 0]);
    upstream.fetch("g", AT).is(40);
}

#[test]
fn an_epoch_excuses_what_a_new_leader_cut_off() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    gateway.commit("g", AT, offset(100).epoch(3)).ok();
    gateway.commit("g", AT, offset(90).epoch(3)).is(POLICY_VIOLATION);
    gateway.commit("g", AT, offset(90).epoch(4)).ok();
    upstream.fetch("g", AT).is(offset(90).epoch(4));
    gateway.commit("g", AT, offset(80).epoch(4)).is(POLICY_VIOLATION);
}

#[test]
fn what_is_observed_passes_and_is_told() {
    let Pair { mut upstream, mut gateway } = pair("observe");
    gateway.commit("g", AT, 100).ok();
    gateway.commit("g", AT, 40).ok();
    upstream.fetch("g", AT).is(40);
    let told = || gateway.sees(&["refusals", "--group", "g", "--output", "json"]).ok().json();
    // Whoever is only observed does not wait for the journal.
    within(Duration::from_secs(5), "it is told", || told()["refusals"][0].is_object());
    let first = &told()["refusals"][0];
    assert_eq!(
        (&first["what"], &first["stored"], &first["proposed"]),
        (&"observed".into(), &100.into(), &40.into())
    );
    let samples = Samples::of(gateway.server().admin());
    assert_eq!(samples.get("offsetd_refusals_total", &[("kind", "regression"), ("mode", "observe")]), 1.0);
    // From there it goes on.
    gateway.commit("g", AT, 41).ok();
}

/// Nothing said of the guard: then it observes, since adoption begins with a report. An override is stricter.
#[test]
fn it_observes_unless_it_is_told_otherwise() {
    let mut upstream = World::configured(GUARD_OFF);
    let toml = "[[guard.overrides]]\ngroup = 'strict-*'\nmode = 'reject'\n\
                [[guard.overrides]]\ngroup = 'soft-*'\nmode = 'clamp'";
    let mut gateway = World::at(Home::new().gateway(upstream.address()).config(toml));
    for (group, code, stands) in [("g", 0, 40), ("strict-1", POLICY_VIOLATION, 100), ("soft-1", 0, 100)] {
        gateway.commit(group, AT, 100).ok();
        gateway.commit(group, AT, 40).is(code);
        upstream.fetch(group, AT).is(stands);
    }
}

/// Who may not commit at all is told so in Kafka's words; only one that may is told that it goes back.
#[test]
fn a_zombie_is_told_that_it_is_one() {
    let mut upstream = World::configured("[guard]\nmode = 'off'\n[groups]\ninitial_rebalance_delay_ms = 0");
    let mut gateway = World::at(home(&upstream, "reject"));
    let mut member = Member::alone(&gateway, join_of("g"));
    assert_eq!(member.commit(AT, 100), NONE);
    for version in COMMIT_VERSIONS {
        let as_member = |claim: &Claim| {
            let back = commit_of("g").member(&claim.member).generation(claim.generation);
            back.put(AT, 50).put(("orders", 1), 1)
        };
        let mut says = |ask: &CommitAsk, codes: [i16; 2]| {
            gateway.client().commit_ask(version, ask).is(ask, &codes);
        };
        let current = &member.claim;
        says(&as_member(current), [POLICY_VIOLATION, NONE]);
        says(&as_member(&current.clone().generation(current.generation + 1)), [ILLEGAL_GENERATION; 2]);
        says(&as_member(&current.clone().member("nobody")), [UNKNOWN_MEMBER_ID; 2]);
        says(&commit_of("g").put(AT, 50).put(("orders", 1), 1), [UNKNOWN_MEMBER_ID; 2]);
    }
    assert_eq!(member.heartbeat(), NONE);
    let mut fixed = Member::alone(&gateway, join_of("fixed").instance("one"));
    assert_eq!(fixed.commit(AT, 100), NONE);
    let zombie = fixed.claim.clone().member("one-of-before");
    assert_eq!(commit_as(gateway.client(), &zombie, AT, 50), FENCED_INSTANCE_ID);
    assert_eq!(fixed.commit(AT, 50), POLICY_VIOLATION);
    // Where nobody is a member any more, anybody may commit who does not say that he is one.
    assert_eq!(member.leave(), NONE);
    assert_eq!(member.commit(AT, 50), UNKNOWN_MEMBER_ID);
    gateway.commit("g", AT, 50).is(POLICY_VIOLATION);
    upstream.fetch("g", AT).is(100);
    let fenced =
        Samples::of(gateway.server().admin()).get("offsetd_gateway_guard_total", &[("what", "fenced")]);
    assert_eq!(fenced, 3.0 * COMMIT_VERSIONS.count() as f64 + 2.0);
    let told = gateway.sees(&["refusals", "--group", "fixed", "--output", "json"]).ok().json();
    assert_eq!(
        told["refusals"].as_array().map(Vec::len),
        Some(1),
        "who is fenced is not in the report: {told:#}"
    );
}

#[test]
fn floors_are_where_the_cluster_is() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    upstream.commit("g", AT, 100).ok();
    gateway.commit("g", AT, 99).is(POLICY_VIOLATION);
    // Somebody goes round the gateway and back: not fought.
    gateway.commit("g", AT, 150).ok();
    upstream.commit("g", AT, 50).ok();
    gateway.commit("g", AT, 60).ok();
    gateway.commit("g", AT, 59).is(POLICY_VIOLATION);
    // Seen as it passes.
    upstream.commit("g", AT, 20).ok();
    gateway.fetch("g", AT).is(20);
    within(Duration::from_secs(5), "the floor follows what was fetched", || {
        Samples::of(gateway.server().admin()).get("offsetd_gateway_guard_total", &[("what", "moved_back")])
            == 2.0
    });
    gateway.commit("g", AT, 19).is(POLICY_VIOLATION);
    gateway.commit("g", AT, 21).ok();
}

#[test]
fn deleting_is_the_deliberate_way_back() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    let both = commit_of("g").put(AT, 100).put(("orders", 1), 100);
    gateway.commit_all(&both).is(&both, &[0, 0]);
    gateway.client().delete_offsets("g", &[AT]).is(&[(AT, NONE)]);
    let lower = commit_of("g").put(AT, 5).put(("orders", 1), 5);
    gateway.commit_all(&lower).is(&lower, &[0, POLICY_VIOLATION]);
    for version in DELETE_GROUPS_VERSIONS {
        assert_eq!(gateway.client().delete_groups(version, &["g", "nobody"]), [NONE, GROUP_ID_NOT_FOUND]);
        gateway.commit("g", AT, 3).ok();
    }
    upstream.fetch("g", AT).is(3);
    // Gone past the gateway.
    upstream.client().delete_offsets("g", &[AT]).is(&[(AT, NONE)]);
    gateway.commit("g", AT, 1).ok();
    let events = gateway.sees(&["why", "g", "orders:0", "--output", "json"]).ok().json();
    let whats: Vec<_> =
        events["events"].as_array().must("see events").iter().map(|e| e["what"].clone()).collect();
    assert!(whats.contains(&"offset_deleted".into()), "{whats:?}");
}

#[test]
fn floors_outlive_the_gateway_and_the_cluster_its_absence() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    gateway.commit("g", AT, 100).ok();
    gateway.kill_and_restart();
    gateway.commit("g", AT, 99).is(POLICY_VIOLATION);
    upstream.kill_and_restart();
    gateway.disconnect();
    within(Duration::from_secs(10), "the cluster answers again", || {
        Page::get(gateway.server().admin(), "/health/ready").status == 200
    });
}

#[test]
fn a_cluster_that_is_gone_is_what_clients_see() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    gateway.commit("g", AT, 100).ok();
    let admin = gateway.server().admin();
    assert_eq!(Page::get(admin, "/health/ready").status, 200);
    drop(upstream.take_server());
    gateway.client().until_closed();
    gateway.disconnect();
    assert!(gateway.connect().until_closed().answers.is_empty());
    within(Duration::from_secs(20), "it says that no broker answers", || {
        Page::get(admin, "/health/ready").status == 503
    });
    gateway.server().never_panicked();
}

/// Clients try again and again; the log has a line a minute for each broker, and the metrics have them all.
#[test]
fn a_broker_that_is_away_does_not_fill_the_log() {
    let Pair { mut upstream, gateway } = pair("observe");
    drop(upstream.take_server());
    for _ in 0..50 {
        assert!(gateway.connect().until_closed().answers.is_empty());
    }
    let said = gateway.server().stderr();
    assert_eq!(said.matches("its broker cannot be reached").count(), 1, "{said}");
    let samples = Samples::of(gateway.server().admin());
    assert_eq!(samples.get("offsetd_gateway_unreachable_total", &[("broker", "bootstrap")]), 50.0);
}

/// What has to be held whole has a limit, and the log says which.
#[test]
fn a_commit_that_is_too_large_says_which_setting_it_is() {
    let upstream = World::configured(GUARD_OFF);
    let home = home(&upstream, "observe").config("[server]\nmax_request_bytes = 4096\n");
    let mut gateway = World::at(home);
    gateway.commit("g", AT, 1).ok();
    let mut client = gateway.connect();
    let ask = commit_of("g").put(AT, offset(2).metadata("m".repeat(5_000)));
    client.send(8, &ask.request(8));
    assert!(client.until_closed().answers.is_empty());
    within(Duration::from_secs(5), "it is told", || gateway.server().stderr().contains("connection closed"));
    let said = gateway.server().stderr();
    let line = said.lines().find(|line| line.contains("connection closed")).must("find its line");
    for word in ["a request of OffsetCommit 8", "4096", "server.max_request_bytes"] {
        assert!(line.contains(word), "{word}: {line}");
    }
    let samples = Samples::of(gateway.server().admin());
    assert_eq!(samples.get("offsetd_connections_refused_total", &[("reason", "too_large")]), 1.0);
}

/// Many at once, on connections of their own, none ahead of its answer: what stands in the end is the highest that anybody
/// was told is there, and nothing was stored below what was there before it.
#[test]
fn racing_commits_never_leave_a_lower_position() {
    let Pair { mut upstream, mut gateway } = pair("reject");
    gateway.commit("g", AT, 0).ok();
    let address = gateway.address();
    let highest = thread::scope(|scope| {
        let racing = |seed: i64| {
            move || {
                let mut client = Client::connect(address);
                let offsets = (1..100).map(|n| (n * 37 + seed * 53) % 1_000);
                let told = offsets.filter(|offset| {
                    let ask = commit_of("g").put(AT, *offset);
                    client.commit_ask(8, &ask).codes() == [NONE]
                });
                told.max().unwrap_or(0)
            }
        };
        let racers: Vec<_> = (0..6).map(|seed| scope.spawn(racing(seed))).collect();
        racers.into_iter().map(|racer| racer.join().must("race")).max().must("have a highest")
    });
    upstream.fetch("g", AT).is(highest);
    gateway.server().never_panicked();
}

/// Requests one behind the other, commits among them: answers come in their order, and a fetch sees the commits before it.
#[test]
fn order_is_kept_on_a_connection() {
    let Pair { upstream: _running, mut gateway } = pair("reject");
    let client = gateway.client();
    for round in 1..50 {
        let commit = commit_of("g").put(AT, round * 10).request(8);
        let lower = commit_of("g").put(AT, round * 10 - 5).request(8);
        let sent: Vec<i32> = vec![
            client.send(8, &commit),
            client.send(12, &MetadataRequest::default()),
            client.send(8, &lower),
            client.send(8, &commit),
        ];
        let codes = |answer| value::CommitAnswer::of(answer).codes();
        assert_eq!(
            codes(client.receive::<kafka_protocol::messages::OffsetCommitRequest>(8, sent[0])),
            [NONE]
        );
        client.receive::<MetadataRequest>(12, sent[1]);
        let refused = client.receive::<kafka_protocol::messages::OffsetCommitRequest>(8, sent[2]);
        assert_eq!(codes(refused), [POLICY_VIOLATION]);
        assert_eq!(
            codes(client.receive::<kafka_protocol::messages::OffsetCommitRequest>(8, sent[3])),
            [NONE]
        );
        client.fetch("g", AT).is(round * 10);
    }
}

#[test]
fn clients_are_told_of_the_gateway_and_of_nothing_else() {
    let Pair { upstream, mut gateway } = pair("observe");
    let hidden = i32::from(upstream.address().port());
    let is_ours = |id: i32, host: &str, port: i32| {
        assert_eq!((id, host), (1, "127.0.0.1"));
        assert_ne!(port, hidden, "the cluster's own port");
        let address: SocketAddr = format!("{host}:{port}").parse().must("parse the address");
        Client::connect(address).call(0, &ApiVersionsRequest::default());
    };
    for version in METADATA_VERSIONS {
        let answer = gateway.client().call(version, &MetadataRequest::default());
        assert_eq!(answer.brokers.len(), 1, "{version}");
        let broker = &answer.brokers[0];
        is_ours(broker.node_id.0, &broker.host, broker.port);
    }
    let key = StrBytes::from_static_str("g");
    for version in FIND_COORDINATOR_VERSIONS {
        let request = match version {
            0..4 => FindCoordinatorRequest::default().with_key(key.clone()),
            _ => FindCoordinatorRequest::default().with_coordinator_keys(vec![key.clone(), key.clone()]),
        };
        let answer = gateway.client().call(version, &request);
        if version < 4 {
            is_ours(answer.node_id.0, &answer.host, answer.port);
        }
        assert_eq!(answer.coordinators.len(), if version < 4 { 0 } else { 2 });
        answer.coordinators.iter().for_each(|c| is_ours(c.node_id.0, &c.host, c.port));
    }
    for version in 0..=1 {
        let answer = gateway.client().call(version, &DescribeClusterRequest::default());
        answer.brokers.iter().for_each(|b| is_ours(b.broker_id.0, &b.host, b.port));
        assert_eq!(answer.brokers.len(), 1);
    }
}

#[test]
fn apis_are_the_clusters_cut_to_what_passes() {
    let Pair { mut upstream, mut gateway } = pair("observe");
    for version in API_VERSIONS_VERSIONS {
        let mut request = ApiVersionsRequest::default();
        if version >= 3 {
            request.client_software_name = StrBytes::from_static_str("it");
            request.client_software_version = StrBytes::from_static_str("1");
        }
        let theirs = upstream.client().call(version, &request);
        let ours = gateway.client().call(version, &request);
        assert!(ours.api_keys.iter().all(|api| {
            theirs.api_keys.iter().any(|their| {
                their.api_key == api.api_key
                    && their.min_version <= api.min_version
                    && api.max_version <= their.max_version
            })
        }));
        assert_eq!(ours.api_keys.len(), theirs.api_keys.len(), "{version}: all that it serves passes");
    }
    // A version that nobody knows, with its answer in the order of the requests.
    let client = gateway.client();
    let header = client.header();
    let mut payload = vec![0, 18, 0, 99];
    payload.extend(header.correlation.to_be_bytes());
    payload.extend([0xff, 0xff, 0]);
    let before = client.send(12, &MetadataRequest::default());
    client.send_payload(&payload);
    client.receive::<MetadataRequest>(12, before);
    let answer = client.frame().must("receive").must("receive an answer");
    assert_eq!(answer[..4], header.correlation.to_be_bytes());
    assert_eq!(answer[4..], [0, 35, 0, 0, 0, 1, 0, 18, 0, 0, 0, 5]);
    client.call(12, &MetadataRequest::default());
}

/// As a broker does: what was asked before is answered, then the connection ends.
#[test]
fn what_does_not_pass_ends_the_connection_after_the_answers_before_it() {
    let Pair { upstream: _running, gateway } = pair("observe");
    // Envelope; Fetch 16 and OffsetCommit 10, which the cluster may know.
    for (key, version) in [(58, 0), (1, 16), (8, 10), (-1, 0), (9_999, 0)] {
        let mut client = gateway.connect();
        client.send(12, &MetadataRequest::default());
        let mut payload = Vec::from(i16::to_be_bytes(key));
        payload.extend(i16::to_be_bytes(version));
        payload.extend([0, 0, 0, 9, 0xff, 0xff, 0, 0, 0, 0]);
        client.send_payload(&payload);
        assert_eq!(client.until_closed().answers.len(), 1, "{key} {version}");
    }
    gateway.server().never_panicked();
}

#[test]
fn it_stops_when_it_is_told_and_finishes_what_is_under_way() {
    let Pair { upstream, mut gateway } = pair("reject");
    gateway.commit("g", AT, 100).ok();
    let idle = gateway.connect();
    let stopped = gateway.take_server().stop();
    assert_eq!(stopped.code, Some(0), "{}", stopped.stderr);
    assert!(stopped.took < Duration::from_secs(4), "{:?}", stopped.took);
    drop((idle, upstream));
}

#[test]
fn settings_that_cannot_be_are_said_at_the_start() {
    let offsetd_gateway = |arguments: &[&str]| offsetd(&[&["gateway"], arguments].concat());
    offsetd_gateway(&["--listen", "127.0.0.1:0"]).fails(2, &["gateway.upstream"]);
    offsetd_gateway(&["--upstream", "nowhere"]).fails(2, &["gateway.upstream", "HOST:PORT"]);
    offsetd_gateway(&["--upstream", "a:1", "--mode", "both"]).fails(2, &["gateway.mode", "both"]);
    offsetd_gateway(&["--upstream", "a:1", "--guard", "strict"]).fails(2, &["strict"]);
}
