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
use super::value::Value;
use super::{random, text, topics};

/// How long a step on one connection takes to show on another.
const SETTLED_AFTER: Duration = Duration::from_millis(40);
/// A request that Kafka has not answered by then waits for something.
const PARKED_AFTER: Duration = Duration::from_millis(30);
/// offsetd has had as long already.
const NOW: Duration = Duration::from_millis(1);
/// How much later the second server may answer.
const LATE: Duration = Duration::from_secs(1);
/// How long it may take until all of Kafka knows of a topic that was made or deleted.
const SETTLED_WITHIN: Duration = Duration::from_secs(2);
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
    /// Topics are not what they were when the sequence began, and since when.
    topics_changed: bool,
    changed_at: Option<Instant>,
}

#[derive(Clone, Copy, Default)]
pub struct Counts {
    pub sequences: usize,
    pub requests: usize,
    pub comparisons: usize,
    /// Sequences that ended where the servers chose different leaders.
    pub other_leaders: usize,
    /// Leaders that were told of several members.
    pub crowds: usize,
    /// Requests that neither server answered at once.
    pub parked: usize,
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
            topics::restore(link);
        }
        let (counts, compared) = (Counts::default(), BTreeSet::new());
        let (topics_changed, changed_at) = (false, None);
        Self {
            kafka,
            offsetd,
            guarded,
            deviations,
            counts,
            compared,
            recorder: None,
            topics_changed,
            changed_at,
        }
    }

    /// Says a sequence to both, from no groups at all; gives every step at which they differ.
    pub fn run(&mut self, sequence: &Sequence) -> Vec<Failure> {
        for link in [&mut self.kafka, &mut self.offsetd] {
            if link.owes() {
                link.hang_up();
            }
            delete_all_groups(link);
            if self.topics_changed {
                topics::restore(link);
            }
            link.forget();
        }
        self.topics_changed = false;
        if let Some(guarded) = &mut self.guarded {
            guarded.forget();
        }
        self.counts.sequences += 1;
        let mut failures = Vec::new();
        for (step, request) in sequence.steps.iter().enumerate() {
            let Some(differences) = self.compare(request) else { continue };
            if sequence.name.starts_with(random::NAME) && is_another_leader(request, &differences) {
                self.counts.other_leaders += 1;
                break;
            }
            failures.push(Failure { step, differences });
        }
        failures
    }

    fn compare(&mut self, step: &Step) -> Option<Vec<Difference>> {
        let (connection, inner) = step.place();
        let owes = self.kafka.owes_on(connection) || self.offsetd.owes_on(connection);
        match inner {
            Step::Look if !owes => return None,
            Step::Look | Step::Await => {}
            // Behind what is parked nothing is read: it is left out.
            _ if owes => {
                let look = Step::On(connection.to_owned(), Box::new(Step::Look));
                let found = self.compare(&look);
                if found.is_some() || self.kafka.owes_on(connection) {
                    return found;
                }
            }
            _ => {}
        }
        self.counts.requests += 1;
        let about = &self.kafka.about(step);
        self.kafka.begin(step);
        self.offsetd.begin(step);
        let (mut kafka, mut offsetd) = match inner {
            Step::Send(_) => {
                // What is said next, on another connection, is to find it done.
                thread::sleep(SETTLED_AFTER);
                return None;
            }
            Step::Try(_) | Step::Look => match self.answers_yet(step) {
                (Outcome::Parked, Outcome::Parked) => {
                    self.counts.parked += 1;
                    return None;
                }
                outcomes => outcomes,
            },
            _ => self.answers(about, step),
        };
        let mut differences = self.judge(about, &kafka, &offsetd);
        let changed = |changed: &Instant| changed.elapsed() < SETTLED_WITHIN;
        while !differences.is_empty() && reads(about) && self.changed_at.as_ref().is_some_and(changed) {
            // Kafka's parts hear one after the other of a topic that has gone.
            thread::sleep(SETTLED_AFTER);
            self.kafka.begin(step);
            self.offsetd.begin(step);
            (kafka, offsetd) = self.answers(about, step);
            differences = self.judge(about, &kafka, &offsetd);
        }
        let answered = matches!((&kafka, &offsetd), (Outcome::Answer(_), Outcome::Answer(_)));
        self.compared.extend(about.kind().filter(|_| answered));
        self.counts.comparisons += match &kafka {
            Outcome::Answer(answer) => answer.leaves(),
            _ => 1,
        };
        if let Outcome::Answer(answer) = &kafka {
            self.counts.crowds += usize::from(answer.at("members[].metadata").len() > 1);
        }
        // Who hung up alone is not to be one connection behind.
        if !answered {
            self.kafka.hang_up_on(connection);
            self.offsetd.hang_up_on(connection);
        }
        if let Outcome::Answer(answer) = &kafka
            && topics::changes(about)
        {
            (self.topics_changed, self.changed_at) = (true, Some(Instant::now()));
            topics::settle(&mut self.kafka, &mut self.offsetd, about, answer);
        }
        (!differences.is_empty()).then_some(differences)
    }

    fn answers(&mut self, about: &Step, step: &Step) -> (Outcome, Outcome) {
        let (kafka, exchange) = self.kafka.finish(step);
        if let Some(recorder) = &mut self.recorder {
            recorder.take(about, exchange);
        }
        (kafka, self.offsetd.finish(step).0)
    }

    /// The answers, if there are any by now: once one server has answered, the other gets more time.
    fn answers_yet(&mut self, step: &Step) -> (Outcome, Outcome) {
        let connection = step.place().0;
        let mut kafka = self.kafka.has_answered(connection, PARKED_AFTER);
        let offsetd = self.offsetd.has_answered(connection, if kafka { LATE } else { NOW });
        kafka = kafka || (offsetd && self.kafka.has_answered(connection, LATE));
        let tell = |has: bool, link: &mut Link| if has { link.finish(step).0 } else { Outcome::Parked };
        (tell(kafka, &mut self.kafka), tell(offsetd, &mut self.offsetd))
    }

    fn judge(&mut self, about: &Step, kafka: &Outcome, offsetd: &Outcome) -> Vec<Difference> {
        match &mut self.guarded {
            Some(guarded) => self.deviations.unlisted(about, &guarded.expect(about, kafka), offsetd),
            None => self.deviations.unlisted(about, kafka, offsetd),
        }
    }
}

/// True if the servers differ in whom they made the leader of a generation, and hence whom they tell of its members: where
/// a leader left several behind, Kafka takes the first of a hash map. Only where it is no matter of chance, in scripts, is
/// this compared.
fn is_another_leader(step: &Step, differences: &[Difference]) -> bool {
    let joins = matches!(step.place().1, Step::Try(_) | Step::Look);
    let is_of_leader = |path: &str| path == "leader" || path.starts_with("members");
    joins
        && differences.iter().any(|difference| difference.path == "leader")
        && differences.iter().all(|difference| is_of_leader(&difference.path))
}

/// True if the step changes nothing, so that it may be said again.
fn reads(about: &Step) -> bool {
    let reads = ["Metadata", "ListOffsets", "OffsetFetch", "ListGroups", "DescribeGroups", "Fetch"];
    let of_topics = ["DescribeConfigs", "DescribeTopicPartitions", "OffsetForLeaderEpoch"];
    about.api().is_some_and(|api| reads.iter().chain(&of_topics).any(|name| *name == api.name))
}

/// Waits until Kafka coordinates groups.
pub fn prepare(kafka: SocketAddr) {
    wait_for_coordinator(&mut Link::new(kafka));
}

/// A request of the oracle's own, which must be answered.
pub fn ask(link: &mut Link, api: &'static str, version: i16, fields: &str) -> Value {
    let fields = text::value(fields).expect("a request of the oracle's own").0;
    match link.ask(&Step::Request { api, version, fields }) {
        Outcome::Answer(answer) => answer,
        other => panic!("{api} {version} is not answered: {other:?}"),
    }
}

/// Kafka makes the topic that it keeps offsets in when it is first asked for a coordinator.
fn wait_for_coordinator(kafka: &mut Link) {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let found = ask(kafka, "FindCoordinator", 3, r#"{key: "g"}"#).int("error_code");
        let listed = ask(kafka, "ListGroups", 0, "{}").int("error_code");
        let fetched = ask(kafka, "OffsetFetch", 7, r#"{group_id: "g", topics: null}"#).int("error_code");
        // Producer ids come in blocks from the controller.
        let given = ask(kafka, "InitProducerId", 0, "{transactional_id: null}").int("error_code");
        if [found, listed, fetched, given] == [Some(0); 4] {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "Kafka has no coordinator: {found:?} {listed:?} {fetched:?} {given:?}"
        );
        thread::sleep(Duration::from_millis(50));
    }
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
        let mut members: Vec<String> = members.iter().map(leave).collect();
        // Some have an id and have not joined: a rebalance would wait for them.
        members.extend(link.member_ids().iter().map(|id| format!("{{member_id: {id}}}")));
        let left =
            ask(link, "LeaveGroup", 3, &format!("{{group_id: {name}, members: [{}]}}", members.join(", ")));
        assert!(left.int("error_code") == Some(0), "members do not leave: {left}");
    }
    let answer = ask(link, "DeleteGroups", 1, &format!("{{groups_names: {}}}", Value::List(names)));
    let codes = answer.at("results[].error_code");
    assert!(codes.iter().all(|code| **code == Value::Int(0)), "groups are not deleted: {answer}");
}
