//! Handing over between two stores: ours, and another offsetd's that stands for the cluster.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{Handover, Standing, guard_begins};
use crate::client::{Asked, Cluster, Endpoint, FetchedOffset, Settings, ToCommit};
use crate::clock::SystemClock;
use crate::config::{BothSides, Config};
use crate::coordinator::Coordinator;
use crate::embed::{Commit, OffsetStore, Tenant};
use crate::metrics::Metrics;
use crate::model::group::{MemberSnapshot, Phase, Protocol, Snapshot};
use crate::model::names::{GroupName, StreamName};
use crate::model::offset::{BeyondEnd, Mode, Proposal};
use crate::model::op::{Actor, CommitItem, Op};
use crate::server::Server;

const SOON: Duration = Duration::from_secs(10);

/// What stands for the cluster.
struct There {
    offsets: OffsetStore,
    at: Endpoint,
    stop: watch::Sender<bool>,
    run: JoinHandle<()>,
    _dir: TempDir,
}

fn config(dir: &Path) -> Config {
    let (listen, data_dir) = ("127.0.0.1:0".to_owned(), dir.to_owned());
    let mut config = Config { listen, data_dir, ..Config::default() };
    config.groups.min_session_timeout_ms = 1;
    config.gateway.own.both_sides_interval_ms = 200;
    config.gateway.own.mirror_interval_ms = 100;
    config
}

/// A group with one member, which is gone after so long.
fn member(offsets: &OffsetStore, group: &str, session_timeout_ms: u32) {
    let tenant = offsets.tenant("default").unwrap().id();
    let protocol = Protocol { name: "range".into(), metadata: [][..].into() };
    let member = MemberSnapshot {
        member_id: "m-1".into(),
        instance_id: None,
        client_id: "m".into(),
        client_host: "127.0.0.1".into(),
        session_timeout_ms,
        rebalance_timeout_ms: session_timeout_ms,
        protocols: [protocol][..].into(),
        assignment: [][..].into(),
    };
    let snapshot = Snapshot {
        generation: 7,
        phase: Phase::Stable,
        protocol_type: Some("consumer".into()),
        protocol_name: Some("range".into()),
        leader: Some("m-1".into()),
        members: vec![member],
    };
    let group = GroupName::new(group).unwrap();
    offsets.committer().run(Op::SaveMembership { tenant, group, snapshot: Arc::new(snapshot) }).unwrap();
}

impl There {
    /// `before` fills the store before anybody is served.
    async fn start(before: impl FnOnce(&OffsetStore)) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let config = config(dir.path());
        let offsets = OffsetStore::open(dir.path()).unwrap();
        before(&offsets);
        let mut config = config;
        config.admin_listen = "none".to_owned();
        config.guard.mode = Mode::Off;
        let server = Server::on(&config, offsets.clone(), Arc::new(Metrics::new())).await.unwrap();
        let bound = server.addresses()[0];
        let at = Endpoint { host: bound.ip().to_string(), port: bound.port() };
        let (stop, stopped) = watch::channel(false);
        let run = tokio::spawn(async move { server.run(stopped).await.unwrap() });
        Self { offsets, at, stop, run, _dir: dir }
    }

    fn tenant(&self) -> Tenant {
        self.offsets.tenant("default").unwrap()
    }

    async fn client(&self) -> Cluster {
        dial(self.at.clone()).await.unwrap()
    }

    async fn positions(&self, group: &str) -> BTreeMap<(String, i32), i64> {
        let all = self.client().await.offsets(group, None).await.unwrap();
        all.into_iter().filter_map(|it| Some(((it.topic, it.partition), it.offset?))).collect()
    }

    async fn end(self) {
        self.stop.send_replace(true);
        self.run.await.unwrap();
    }
}

async fn dial(at: Endpoint) -> Result<Cluster, crate::client::Error> {
    let settings = Settings { timeout: Duration::from_secs(5), client_id: "hand".to_owned() };
    Cluster::connect(&[at], settings).await
}

/// Our side.
struct Here {
    offsets: OffsetStore,
    tenant: Tenant,
    hand: Handover,
    tasks: Vec<JoinHandle<()>>,
}

impl Here {
    fn open(dir: &Path, there: &There, change: impl FnOnce(&mut Config)) -> Self {
        Self::on(OffsetStore::open(dir).unwrap(), dir, there.at.clone(), change)
    }

    fn on(offsets: OffsetStore, dir: &Path, at: Endpoint, change: impl FnOnce(&mut Config)) -> Self {
        let mut config = config(dir);
        change(&mut config);
        let (metrics, counts) = Metrics::with_gateway();
        let (metrics, counts) = (Arc::new(metrics), Arc::new(counts));
        let coordinator = Coordinator::new(offsets.clone(), &config, metrics, Arc::new(SystemClock)).unwrap();
        let coordinator = Arc::new(coordinator);
        let hand = Handover::open(coordinator.clone(), &offsets, &config.gateway, counts).unwrap();
        hand.connect(move || dial(at.clone()), |_| async { Ok(()) });
        let members = coordinator.members.clone();
        let run = hand.clone();
        let tasks = vec![
            tokio::spawn(async move { members.run(|| 0).await }),
            tokio::spawn(async move { run.run().await }),
        ];
        let tenant = offsets.tenant("default").unwrap();
        Self { offsets, tenant, hand, tasks }
    }

    async fn standing(&self, group: &str) -> Standing {
        self.hand.standing(self.tenant.id(), group).await
    }

    async fn until(&self, group: &str, wanted: Standing) {
        let deadline = Instant::now() + SOON;
        while self.standing(group).await != wanted {
            assert!(Instant::now() < deadline, "{group} is not {wanted:?}");
            sleep(Duration::from_millis(20)).await;
        }
    }

    /// By the coordinator, as the APIs do it.
    async fn commit(&self, group: &str, partition: i32, offset: i64) -> bool {
        let proposal = Proposal { offset, leader_epoch: -1, metadata: "".into() };
        let stream = StreamName::new("t").unwrap();
        let item =
            CommitItem { stream, partition, proposal, mode: Mode::Reject, beyond_end: BeyondEnd::Accept };
        let (group, actor) = (GroupName::new(group).unwrap(), Arc::new(Actor::named("me")));
        let refusals = self.hand.0.keep(self.tenant.id(), &group, actor, vec![item]).await.unwrap();
        refusals == [None]
    }

    async fn delete_offset(&self, group: &str, partition: i32) {
        let places = vec![(StreamName::new("t").unwrap(), partition)];
        let (group, actor) = (GroupName::new(group).unwrap(), Arc::new(Actor::named("ops")));
        let coordinator = &self.hand.0.coordinator;
        coordinator.delete_offsets(self.tenant.id(), group, places, actor).await.unwrap().unwrap();
    }

    async fn delete_group(&self, group: &str) {
        let (group, actor) = (GroupName::new(group).unwrap(), Arc::new(Actor::named("ops")));
        self.hand.0.coordinator.delete_group(self.tenant.id(), group, actor).await.unwrap().unwrap();
    }

    fn at(&self, group: &str, partition: i32) -> Option<i64> {
        self.tenant.position(group, "t", partition).unwrap().map(|it| it.offset)
    }

    fn close(self) {
        self.tasks.iter().for_each(JoinHandle::abort);
        self.offsets.close().unwrap();
    }
}

fn to_commit(partition: i32, offset: i64) -> ToCommit {
    let (topic, metadata) = ("t".to_owned(), format!("at {offset} \u{1F980}"));
    ToCommit { topic, partition, offset, leader_epoch: 3, metadata }
}

async fn eventually(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + SOON;
    while !holds().await {
        assert!(Instant::now() < deadline, "{what}");
        sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_comes_once_and_whole_when_nobody_works_on_it_there() {
    let there = There::start(|offsets| member(offsets, "live", 1_500)).await;
    let theirs: Vec<ToCommit> = (0..2_500).map(|partition| to_commit(partition, 100)).collect();
    there.client().await.commit_all("idle", &theirs).await.unwrap();
    let dir = tempfile::tempdir().unwrap();
    let here = Here::open(dir.path(), &there, |config| config.gateway.own.mirror = false);

    // Left by mode guard: what the cluster does not have goes, what it has another of follows.
    here.tenant.commit("idle", &Actor::named("guard"), Commit::new("t", 9_000, 5)).unwrap();
    here.tenant.commit("idle", &Actor::named("guard"), Commit::new("t", 0, 500)).unwrap();
    assert_eq!(here.standing("idle").await, Standing::Ours);
    assert_eq!((here.at("idle", 0), here.at("idle", 9_000)), (Some(100), None));
    let all = here.offsets.store().group(here.tenant.id(), "idle").unwrap().unwrap();
    assert_eq!(all.len(), 2_500);
    for it in &all {
        let (epoch, metadata) = (it.committed.leader_epoch, &*it.committed.metadata);
        assert_eq!((it.committed.offset, epoch, metadata), (100, 3, "at 100 \u{1F980}"));
    }

    // One that is live there waits until its last member is gone.
    there.tenant().commit("live", &Actor::named("m"), Commit::new("t", 0, 42)).unwrap();
    assert_eq!(here.standing("live").await, Standing::NotYet);
    assert_eq!(here.at("live", 0), None);
    here.until("live", Standing::Ours).await;
    assert_eq!(here.at("live", 0), Some(42));

    // Many at once ask one question each.
    let mut asking = tokio::task::JoinSet::new();
    for index in 0..200 {
        let (hand, tenant) = (here.hand.clone(), here.tenant.id());
        asking.spawn(async move { hand.standing(tenant, &format!("many-{}", index % 3)).await });
    }
    assert!(asking.join_all().await.iter().all(|standing| *standing == Standing::Ours));

    // Rewound on purpose, deleted, started again: never brought over again.
    here.delete_offset("idle", 0).await;
    assert!(here.commit("idle", 0, 7).await);
    here.delete_group("live").await;
    here.close();
    let here = Here::open(dir.path(), &there, |config| config.gateway.own.mirror = false);
    assert_eq!(here.standing("idle").await, Standing::Ours);
    assert_eq!((here.at("idle", 0), here.at("idle", 1)), (Some(7), Some(100)));
    assert_eq!(here.standing("live").await, Standing::Ours);
    assert_eq!(here.at("live", 0), None);
    here.close();

    // Mode guard ends it: the cluster's are the true ones.
    there.client().await.commit_all("idle", &[to_commit(0, 300)]).await.unwrap();
    let offsets = OffsetStore::open(dir.path()).unwrap();
    member(&offsets, "idle", 60_000);
    guard_begins(&offsets).unwrap();
    assert!(offsets.store().memberships().unwrap().iter().all(|(.., it)| it.members.is_empty()));
    guard_begins(&offsets).unwrap();
    let here = Here::on(offsets, dir.path(), there.at.clone(), |_| {});
    assert_eq!(here.standing("idle").await, Standing::Ours);
    assert_eq!((here.at("idle", 0), here.at("idle", 1)), (Some(300), Some(100)));
    assert_eq!(here.standing("live").await, Standing::Ours);
    assert_eq!(here.at("live", 0), Some(42));
    here.close();
    there.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cluster_that_cannot_be_asked_makes_a_new_group_wait_and_no_other() {
    let there = There::start(|_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let here = Here::open(dir.path(), &there, |_| {});
    assert_eq!(here.standing("known").await, Standing::Ours);
    there.end().await;
    assert_eq!(here.standing("new").await, Standing::NotYet);
    assert_eq!(here.standing("known").await, Standing::Ours);
    here.close();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_cluster_follows_and_is_not_moved_back_but_on_purpose() {
    let there = There::start(|_| {}).await;
    let dir = tempfile::tempdir().unwrap();
    let here = Here::open(dir.path(), &there, |_| {});
    assert_eq!(here.standing("g").await, Standing::Ours);
    let at = |partition: i32| ("t".to_owned(), partition);
    for offset in 1..=50 {
        assert!(here.commit("g", 0, offset).await && here.commit("g", 1, offset).await);
    }
    let both = BTreeMap::from([(at(0), 50), (at(1), 50)]);
    eventually("the last commits are there", async || there.positions("g").await == both).await;

    // Somebody moves one on in the cluster: it stays, and the other follows.
    there.tenant().commit("g", &Actor::named("x"), Commit::new("t", 0, 900)).unwrap();
    assert!(here.commit("g", 0, 60).await && here.commit("g", 1, 60).await);
    let both = BTreeMap::from([(at(0), 900), (at(1), 60)]);
    eventually("one follows", async || there.positions("g").await == both).await;
    sleep(Duration::from_millis(300)).await;
    assert_eq!(there.positions("g").await, both);

    // On purpose: deleted here, and committed lower.
    let asked = Asked::from([("t".to_owned(), vec![1])]);
    here.delete_offset("g", 1).await;
    eventually("the deletion follows", async || {
        let left: Vec<FetchedOffset> = there.client().await.offsets("g", Some(&asked)).await.unwrap();
        left[0].offset.is_none()
    })
    .await;
    assert!(here.commit("g", 1, 5).await);
    eventually("a rewind follows", async || there.positions("g").await.get(&at(1)) == Some(&5)).await;

    here.delete_offset("g", 1).await;
    assert!(here.commit("g", 1, 2).await);
    eventually("so does one at once", async || there.positions("g").await.get(&at(1)) == Some(&2)).await;

    // What a kill has lost is found by the next start, which compares.
    here.tasks.iter().for_each(JoinHandle::abort);
    assert!(here.commit("g", 1, 70).await);
    here.close();
    let here = Here::open(dir.path(), &there, |_| {});
    eventually("it catches up", async || there.positions("g").await.get(&at(1)) == Some(&70)).await;

    // The last flush does not wait for anybody's turn.
    here.tasks.iter().for_each(JoinHandle::abort);
    assert!(here.commit("g", 1, 71).await);
    here.hand.stop(SOON).await;
    assert_eq!(there.positions("g").await[&at(1)], 71);

    here.delete_group("g").await;
    here.hand.stop(SOON).await;
    assert_eq!(there.client().await.describe("g").await.unwrap(), None);
    here.close();
    there.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_group_on_both_sides_waits_here_and_goes_on_from_where_those_there_got_to() {
    let there = There::start(|offsets| member(offsets, "g", 2_500)).await;
    there.tenant().commit("g", &Actor::named("m"), Commit::new("t", 0, 100)).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // It is ours, has a member here, and is rewound on partition 1.
    let offsets = OffsetStore::open(dir.path()).unwrap();
    let here = Here::on(offsets.clone(), dir.path(), there.at.clone(), |config| {
        config.gateway.own.both_sides = BothSides::Warn;
        config.gateway.own.mirror = false;
    });
    assert_eq!(here.standing("g").await, Standing::Ours, "warn lets it");
    assert_eq!(here.at("g", 0), Some(100));
    here.tasks.iter().for_each(JoinHandle::abort);
    member(&offsets, "g", 60_000);
    let mut low = Commit::new("t", 1, 3);
    low.mode = Mode::Off;
    here.tenant.commit("g", &Actor::named("me"), low).unwrap();
    there.tenant().commit("g", &Actor::named("m"), Commit::new("t", 1, 800)).unwrap();

    let refuses = Here::on(offsets, dir.path(), there.at.clone(), |config| config.gateway.own.mirror = false);
    let members = refuses.hand.0.coordinator.members.clone();
    assert!(members.is_live(refuses.tenant.id(), "g"));
    refuses.until("g", Standing::NotYet).await;
    eventually("those here are sent away", async || !members.is_live(refuses.tenant.id(), "g")).await;
    assert_eq!(refuses.hand.on_both_sides()[0].1, "Stable");
    // They go on there, and leave.
    there.tenant().commit("g", &Actor::named("m"), Commit::new("t", 0, 150)).unwrap();
    refuses.until("g", Standing::Ours).await;
    assert_eq!(refuses.at("g", 0), Some(150), "processed there");
    assert_eq!(refuses.at("g", 1), Some(3), "was there before, and is not what those there did");
    assert!(refuses.hand.on_both_sides().is_empty());
    refuses.close();
    there.end().await;
}
