//! Both servers at once: a sequence is said to each, step by step, and the answers are compared.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use super::compare::Difference;
use super::deviations::Deviations;
use super::golden::Recorder;
use super::guarded::Guarded;
use super::link::{Link, Outcome};
use super::step::{Sequence, Step};
use super::text;
use super::value::Value;

/// The topics that both servers have from the start, with three partitions each. `$orders` is the id of the first.
pub const TOPICS: [&str; 4] = ["orders", "bills", "a.b-c_D9", LONGEST];
/// As long as a topic's name may be.
pub const LONGEST: &str = concat!(
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-",
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-",
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-x",
);
const PARTITIONS: usize = 3;
const SETTLED_AFTER: Duration = Duration::from_millis(40);
const READY_WITHIN: Duration = Duration::from_secs(60);

/// Both servers, and what has been found.
pub struct Oracle {
    kafka: Link,
    offsetd: Link,
    /// There if offsetd's guard is on.
    pub guarded: Option<Guarded>,
    pub deviations: Deviations,
    pub counts: Counts,
    /// Key and version of what both have answered.
    pub compared: BTreeSet<(i16, i16)>,
    /// Told of every request and answer of Kafka.
    pub recorder: Option<Recorder>,
}

#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub sequences: usize,
    pub requests: usize,
    pub comparisons: usize,
}

/// Where a sequence went wrong.
pub struct Failure {
    pub step: usize,
    pub differences: Vec<Difference>,
}

impl Oracle {
    /// Takes two servers that have started. Kafka must be [prepared](prepare) before.
    pub fn new(
        kafka: SocketAddr,
        offsetd: SocketAddr,
        guarded: Option<Guarded>,
        deviations: Deviations,
    ) -> Self {
        let (mut kafka, mut offsetd) = (Link::new(kafka), Link::new(offsetd));
        for link in [&mut kafka, &mut offsetd] {
            learn_names(link);
        }
        let (counts, compared) = (Counts::default(), BTreeSet::new());
        Self { kafka, offsetd, guarded, deviations, counts, compared, recorder: None }
    }

    /// Says a sequence to both, from no groups at all; gives every step at which they differ.
    pub fn run(&mut self, sequence: &Sequence) -> Vec<Failure> {
        for link in [&mut self.kafka, &mut self.offsetd] {
            if link.owes() {
                link.hang_up();
            }
            delete_all_groups(link);
            link.forget_members();
        }
        if let Some(guarded) = &mut self.guarded {
            guarded.forget();
        }
        self.counts.sequences += 1;
        let steps = sequence.steps.iter().enumerate();
        steps
            .filter_map(|(index, step)| {
                self.compare(step).map(|differences| Failure { step: index, differences })
            })
            .collect()
    }

    fn compare(&mut self, step: &Step) -> Option<Vec<Difference>> {
        self.counts.requests += 1;
        let about = &self.kafka.about(step);
        let (mut kafka, exchange) = self.kafka.say(step);
        let (offsetd, _) = self.offsetd.say(step);
        if (&kafka, &offsetd) == (&Outcome::Sent, &Outcome::Sent) {
            // What is said next, on another connection, is to find it done.
            thread::sleep(SETTLED_AFTER);
            return None;
        }
        if let Some(recorder) = &mut self.recorder {
            recorder.take(about, exchange);
        }
        let answered = matches!((&kafka, &offsetd), (Outcome::Answer(_), Outcome::Answer(_)));
        self.compared.extend(about.kind().filter(|_| answered));
        self.counts.comparisons += match &kafka {
            Outcome::Answer(answer) => answer.leaves(),
            _ => 1,
        };
        // Who hung up alone is not to be one connection behind.
        if !answered {
            self.kafka.hang_up_on(step.place().0);
            self.offsetd.hang_up_on(step.place().0);
        }
        if let Some(guarded) = &mut self.guarded {
            kafka = guarded.expect(about, &kafka);
        }
        let differences = self.deviations.unlisted(about, &kafka, &offsetd);
        (!differences.is_empty()).then_some(differences)
    }
}

/// Makes the topics in Kafka and waits until it coordinates groups.
pub fn prepare(kafka: SocketAddr) {
    let mut kafka = Link::new(kafka);
    create_topics(&mut kafka);
    wait_for_coordinator(&mut kafka);
}

/// A request of the oracle's own, which must be answered.
fn ask(link: &mut Link, api: &'static str, version: i16, fields: &str) -> Value {
    let fields = text::value(fields).expect("a request of the oracle's own").0;
    match link.say(&Step::Request { api, version, fields }).0 {
        Outcome::Answer(answer) => answer,
        other => panic!("{api} {version} is not answered: {other:?}"),
    }
}

fn create_topics(kafka: &mut Link) {
    let topic = |name| format!("{{name: {name:?}, num_partitions: {PARTITIONS}, replication_factor: 1}}");
    let fields = format!("{{topics: [{}]}}", TOPICS.map(topic).join(", "));
    let answer = ask(kafka, "CreateTopics", 7, &fields);
    let codes = answer.at("topics[].error_code");
    assert!(codes.len() == TOPICS.len() && codes.iter().all(|code| **code == Value::Int(0)), "{answer}");
}

/// Kafka makes the topic that it keeps offsets in when it is first asked for a coordinator.
fn wait_for_coordinator(kafka: &mut Link) {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let found = ask(kafka, "FindCoordinator", 3, r#"{key: "g"}"#).int("error_code");
        let listed = ask(kafka, "ListGroups", 0, "{}").int("error_code");
        let fetched = ask(kafka, "OffsetFetch", 7, r#"{group_id: "g", topics: null}"#).int("error_code");
        if [found, listed, fetched] == [Some(0); 3] {
            return;
        }
        assert!(Instant::now() < deadline, "Kafka has no coordinator: {found:?} {listed:?} {fetched:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

/// Learns a server's topic ids and cluster id. offsetd makes the topics by being asked for them.
fn learn_names(link: &mut Link) {
    let topics = TOPICS.map(|name| format!("{{name: {name:?}}}")).join(", ");
    let deadline = Instant::now() + READY_WITHIN;
    let answer = loop {
        let answer = ask(link, "Metadata", 12, &format!("{{topics: [{topics}]}}"));
        if answer.at("topics[].partitions[].error_code") == [&Value::Int(0); PARTITIONS * TOPICS.len()] {
            break answer;
        }
        assert!(Instant::now() < deadline, "the topics are not there: {answer}");
        thread::sleep(Duration::from_millis(50));
    };
    for (name, short) in TOPICS.iter().zip(["orders", "bills", "odd", "longest"]) {
        let topic = answer.list("topics").iter().find(|topic| topic.str("name") == Some(name));
        let id = topic.and_then(|topic| topic.field("topic_id")).expect("a topic's id");
        link.name(short, id.clone());
    }
    link.name("cluster", answer.field("cluster_id").expect("a cluster id").clone());
}

/// Members leave first; a rebalance that they leave behind is over at once.
fn delete_all_groups(link: &mut Link) {
    let groups = ask(link, "ListGroups", 4, "{}");
    let names: Vec<Value> = groups.at("groups[].group_id").into_iter().cloned().collect();
    if names.is_empty() {
        return;
    }
    for group in groups.list("groups").iter().filter(|group| group.str("group_state") != Some("Empty")) {
        let name = group.field("group_id").expect("a group's name");
        let described = ask(link, "DescribeGroups", 5, &format!("{{groups: [{name}]}}"));
        let leave = |member: &Value| {
            let (id, instance) = (member.field("member_id"), member.field("group_instance_id"));
            let [id, instance] = [id, instance].map(|text| text.expect("a member's names"));
            format!("{{member_id: {id}, group_instance_id: {instance}}}")
        };
        let members: Vec<Value> = described.at("groups[].members[]").into_iter().cloned().collect();
        let members: Vec<String> = members.iter().map(leave).collect();
        let left =
            ask(link, "LeaveGroup", 3, &format!("{{group_id: {name}, members: [{}]}}", members.join(", ")));
        assert!(left.int("error_code") == Some(0), "members do not leave: {left}");
    }
    let answer = ask(link, "DeleteGroups", 1, &format!("{{groups_names: {}}}", Value::List(names)));
    let codes = answer.at("results[].error_code");
    assert!(codes.iter().all(|code| **code == Value::Int(0)), "groups are not deleted: {answer}");
}
