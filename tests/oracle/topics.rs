//! The topics of both servers: those that are there from the start, and when all of a server knows of a change.

use std::thread;
use std::time::{Duration, Instant};

use super::link::Link;
use super::oracle::ask;
use super::step::Step;
use super::value::Value;

/// The topics that both servers have when a sequence begins, with three partitions each. `$orders` is the id of the first.
pub const TOPICS: [&str; 4] = ["orders", "bills", "a.b-c_D9", LONGEST];
/// What scripts call their ids.
const IDS: [&str; 4] = ["orders", "bills", "odd", "longest"];
/// As long as a topic's name may be.
pub const LONGEST: &str = concat!(
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-",
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-longest-",
    "longest-longest-longest-longest-longest-longest-longest-longest-longest-x",
);
const PARTITIONS: usize = 3;
const KNOWN_WITHIN: Duration = Duration::from_secs(20);

/// Gives a server the topics of [`TOPICS`], as they are to be, and no others.
pub fn restore(link: &mut Link) {
    let all = ask(link, "Metadata", 12, "{topics: null, allow_auto_topic_creation: false}");
    let is_right = |topic: &Value| topic.list("partitions").len() == PARTITIONS;
    let right: Vec<&str> = all
        .list("topics")
        .iter()
        .filter(|topic| is_right(topic))
        .filter_map(|topic| topic.str("name"))
        .collect();
    let stays = |topic: &&Value| {
        let name = topic.str("name").unwrap_or_default();
        name.starts_with("__") || (TOPICS.contains(&name) && is_right(topic))
    };
    let gone: Vec<String> = all.list("topics").iter().filter(|topic| !stays(topic)).map(named).collect();
    if !gone.is_empty() {
        ask(link, "DeleteTopics", 6, &format!("{{topics: [{}], timeout_ms: 10000}}", gone.join(", ")));
        await_topics(link, &gone, |topic| topic.int("error_code") != Some(0));
    }
    let missing = TOPICS.into_iter().filter(|name| !right.contains(name));
    let topic =
        |name: &str| format!("{{name: {name:?}, num_partitions: {PARTITIONS}, replication_factor: 1}}");
    let missing: Vec<String> = missing.map(topic).collect();
    if !missing.is_empty() {
        let made = ask(link, "CreateTopics", 7, &format!("{{topics: [{}]}}", missing.join(", ")));
        let codes = made.at("topics[].error_code");
        assert!(codes.iter().all(|code| **code == Value::Int(0)), "topics are not made: {made}");
    }
    learn_names(link);
}

fn named(topic: &Value) -> String {
    format!("{{name: {}}}", topic.field("name").unwrap_or(&Value::Null))
}

/// Learns a server's topic ids and cluster id.
fn learn_names(link: &mut Link) {
    let topics = TOPICS.map(|name| named(&Value::Struct(vec![("name".to_owned(), Value::text(name))])));
    let answer = await_topics(link, &topics, |topic| {
        topic.at("partitions[].error_code") == [&Value::Int(0); PARTITIONS]
    });
    for (name, short) in TOPICS.iter().zip(IDS) {
        let topic = answer.list("topics").iter().find(|topic| topic.str("name") == Some(name));
        let id = topic.and_then(|topic| topic.field("topic_id")).expect("a topic's id");
        link.name(short, id.clone());
    }
    link.name("cluster", answer.field("cluster_id").expect("a cluster id").clone());
}

/// Asks for topics until each is as it is to be, and gives the last answer.
fn await_topics(link: &mut Link, topics: &[String], is_so: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + KNOWN_WITHIN;
    let fields = format!("{{topics: [{}], allow_auto_topic_creation: false}}", topics.join(", "));
    loop {
        let answer = ask(link, "Metadata", 12, &fields);
        if answer.list("topics").iter().all(&is_so) {
            return answer;
        }
        assert!(Instant::now() < deadline, "topics do not become what they were made: {answer}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// True if the step may make, change or delete topics.
pub fn changes(about: &Step) -> bool {
    let validates = about.sent().at("validate_only").contains(&&Value::Bool(true));
    let changes = ["CreateTopics", "CreatePartitions", "DeleteTopics"];
    !validates && about.api().is_some_and(|api| changes.contains(&api.name.as_str()))
}

/// Waits until Kafka shows what it has answered: its controller says so before its broker has heard. offsetd is asked the
/// same once, so that both tell the ids of new topics now.
pub fn settle(kafka: &mut Link, offsetd: &mut Link, about: &Step, answer: &Value) {
    let lists = ["topics", "results", "responses"];
    let done =
        lists.iter().flat_map(|list| answer.list(list)).filter(|done| done.int("error_code") == Some(0));
    let done: Vec<&Value> = done.filter(|done| done.str("name").is_some()).collect();
    if done.is_empty() {
        return;
    }
    let sent = about.sent();
    let wanted = |topic: &Value, field: &str| {
        let of_name = |asked: &&Value| asked.field("name") == topic.field("name");
        sent.list("topics").iter().rev().find(of_name).and_then(|asked| asked.int(field))
    };
    let deletes = about.api().is_some_and(|api| api.name == "DeleteTopics");
    let topics: Vec<String> = done.iter().map(|done| named(done)).collect();
    await_topics(kafka, &topics, |topic| {
        if deletes {
            return topic.int("error_code") != Some(0);
        }
        let partitions = topic.list("partitions");
        let led = partitions.iter().all(|partition| partition.int("error_code") == Some(0));
        topic.int("error_code") == Some(0)
            && led
            && wanted(topic, "count").is_none_or(|count| partitions.len() as i64 == count)
    });
    if !deletes {
        await_logs(kafka, &topics);
    }
    let fields = format!("{{topics: [{}], allow_auto_topic_creation: false}}", topics.join(", "));
    ask(offsetd, "Metadata", 12, &fields);
}

/// Waits until the broker has the logs of topics: what knows of a topic and what keeps its records hear of it one after the
/// other.
fn await_logs(link: &mut Link, topics: &[String]) {
    let known = await_topics(link, topics, |_| true);
    let index = |partition: &Value| {
        format!("{{partition_index: {}, timestamp: -1}}", partition.int("partition_index").unwrap_or(0))
    };
    let logs = known.list("topics").iter().map(|topic| {
        let partitions: Vec<String> = topic.list("partitions").iter().map(index).collect();
        format!(
            "{{name: {}, partitions: [{}]}}",
            topic.field("name").unwrap_or(&Value::Null),
            partitions.join(", ")
        )
    });
    let fields = format!("{{replica_id: -1, topics: [{}]}}", logs.collect::<Vec<_>>().join(", "));
    let deadline = Instant::now() + KNOWN_WITHIN;
    loop {
        let answer = ask(link, "ListOffsets", 4, &fields);
        if answer.at("topics[].partitions[].error_code").iter().all(|code| **code == Value::Int(0)) {
            return;
        }
        assert!(Instant::now() < deadline, "topics have no logs: {answer}");
        thread::sleep(Duration::from_millis(5));
    }
}
