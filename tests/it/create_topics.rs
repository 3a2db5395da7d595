//! CreateTopics: every version, Kafka's codes and texts in Kafka's order (captured from Kafka 4.4), and that what is
//! refused or only validated makes nothing.

use uuid::Uuid;

use crate::support::topics::{create_request, new_topic, on_brokers, told, topic_name, with_config};
use crate::support::{wire, *};

/// What a topic's code and text must be.
fn no(code: i16, text: &str) -> (i16, Option<String>) {
    (code, Some(text.to_owned()))
}

#[test]
fn every_version_creates_a_topic_that_stays() {
    let mut world = World::new();
    for version in CREATE_TOPICS_VERSIONS {
        let name = format!("v{version}");
        let made = world.client().create_topic(version, new_topic(&name).with_num_partitions(3));
        assert_eq!((made.error_code, made.error_message), (NONE, None), "version {version}");
        assert_eq!(made.name, topic_name(&name));
        let (code, id, partitions) = world.client().topic_told(&name);
        assert_eq!((code, partitions), (NONE, 3), "version {version}");
        assert_eq!(made.topic_id, if version >= 7 { id } else { Uuid::nil() }, "version {version}");
        let detail = if version >= 5 { (3, 1) } else { (-1, -1) };
        assert_eq!((made.num_partitions, made.replication_factor), detail, "version {version}");
        let configs = made.configs.unwrap_or_default();
        let known =
            configs.iter().any(|c| *c.name == *"cleanup.policy" && c.read_only && c.config_source == 5);
        assert_eq!(known, version >= 5, "version {version}: {configs:?}");
    }
    let ids: Vec<_> = CREATE_TOPICS_VERSIONS.map(|v| world.client().topic_told(&format!("v{v}"))).collect();
    world.kill_and_restart();
    let after: Vec<_> = CREATE_TOPICS_VERSIONS.map(|v| world.client().topic_told(&format!("v{v}"))).collect();
    assert_eq!(after, ids, "after kill -9");
}

#[test]
fn minus_one_is_the_default() {
    let mut world = World::configured("[streams]\ndefault_partitions = 4");
    let made = world.client().create_topic(7, new_topic("orders"));
    assert_eq!((made.error_code, made.num_partitions, made.replication_factor), (NONE, 4, 1));
    assert_eq!(world.client().topic_told("orders").2, 4);
}

#[test]
fn a_topic_that_is_there_is_left_as_it_is() {
    let mut world = World::new();
    world.commit("g", ("named", 2), 7).ok();
    let id = world.client().make_topic("made", 2);
    for (name, partitions) in [("made", 2), ("named", 3)] {
        for version in CREATE_TOPICS_VERSIONS {
            let again = world.client().create_topic(version, new_topic(name).with_num_partitions(9));
            let expected = no(TOPIC_ALREADY_EXISTS, &format!("Topic '{name}' already exists."));
            assert_eq!(told(std::slice::from_ref(&again))[0].1, expected, "version {version}");
            assert_eq!((again.topic_id, again.num_partitions), (Uuid::nil(), -1), "version {version}");
        }
        assert_eq!(world.client().topic_told(name).2, partitions);
    }
    assert_eq!(world.client().topic_told("made").1, id);
    world.fetch("g", ("named", 2)).is(7);
}

#[test]
fn a_name_that_stands_twice_is_answered_once_and_last() {
    let mut world = World::new();
    let topics = ["twice", "once", "thrice", "twice", "thrice", "thrice"].map(new_topic).to_vec();
    let answer = world.client().call(7, &create_request(topics));
    let twice = no(INVALID_REQUEST, "Duplicate topic name.");
    let expected =
        [("once", (NONE, None)), ("twice", twice.clone()), ("thrice", twice)].map(|(n, t)| (n.to_owned(), t));
    assert_eq!(told(&answer.topics), expected);
    for (name, code) in [("once", NONE), ("twice", UNKNOWN_TOPIC_OR_PARTITION), ("thrice", 3)] {
        assert_eq!(world.client().topic_told(name).0, code, "{name}");
    }
}

#[test]
fn names_follow_kafka() {
    let mut world = World::new();
    let long = "x".repeat(250);
    let odd = "contains one or more characters other than ASCII alphanumerics, '.', '_' and '-'";
    let refused = [
        ("", "the empty string is not allowed".to_owned()),
        (".", "'.' is not allowed".to_owned()),
        ("..", "'..' is not allowed".to_owned()),
        ("a b", format!("'a b' {odd}")),
        ("é", format!("'é' {odd}")),
        (&long, format!("the length of '{long}' is longer than the max allowed length 249")),
    ];
    let answer = world.client().call(7, &create_request(refused.iter().map(|r| new_topic(r.0)).collect()));
    let expected: Vec<_> = refused
        .iter()
        .map(|(name, why)| ((*name).to_owned(), no(INVALID_TOPIC, &format!("Topic name is invalid: {why}"))))
        .collect();
    assert_eq!(told(&answer.topics), expected);
    let internal = world.client().create_topic(7, new_topic("__cluster_metadata"));
    let why = "Creation of internal topic __cluster_metadata is prohibited.";
    assert_eq!(told(&[internal])[0].1, no(INVALID_REQUEST, why));
    for fine in ["...", "a.b", "a_b", "__consumer_offsets", &"x".repeat(249)] {
        world.client().make_topic(fine, 1);
    }
}

#[test]
fn partitions_and_replicas_that_cannot_be_are_refused() {
    let mut world = World::configured("[streams]\nmax_partitions = 100");
    let replicas = "Replication factor must be larger than 0, or -1 to use the default value.";
    let partitions = "Number of partitions was set to an invalid non-positive value.";
    let two = "Unable to replicate the partition 2 time(s): The target replication factor of 2 cannot be reached \
               because only 1 broker(s) are registered or some brokers have all their log directories cordoned.";
    for (count, factor, code, why) in [
        (1, 0, INVALID_REPLICATION_FACTOR, replicas),
        (1, -2, INVALID_REPLICATION_FACTOR, replicas),
        (-2, 0, INVALID_REPLICATION_FACTOR, replicas),
        (0, 1, INVALID_PARTITIONS, partitions),
        (-2, 1, INVALID_PARTITIONS, partitions),
        (0, 2, INVALID_PARTITIONS, partitions),
        (1, 2, INVALID_REPLICATION_FACTOR, two),
        (101, 1, POLICY_VIOLATION, "A topic has at most 100 partitions here."),
        (i32::MAX, -1, POLICY_VIOLATION, "Excessively large number of partitions per request."),
    ] {
        let topic = new_topic("t").with_num_partitions(count).with_replication_factor(factor);
        let answer = world.client().create_topic(7, topic);
        assert_eq!(told(&[answer])[0].1, no(code, why), "{count} partitions, {factor} replicas");
    }
    assert_eq!(world.client().topic_told("t").0, UNKNOWN_TOPIC_OR_PARTITION);
    world.client().make_topic("t", 100);
}

#[test]
fn replicas_may_be_named() {
    let mut world = World::new();
    let made = world.client().create_topic(7, on_brokers(new_topic("t"), &[(1, &[1]), (0, &[1])]));
    assert_eq!((made.error_code, made.num_partitions), (NONE, 2));
    let both =
        |what: &str| format!("A manual partition assignment was specified, but {what} was not set to -1.");
    let broker_2 = "The manual partition assignment includes broker 2, but no such broker is registered.";
    let assigned = |assignments: &[(i32, &[i32])]| on_brokers(new_topic("r"), assignments);
    for (topic, code, why) in [
        (assigned(&[(0, &[1])]).with_num_partitions(1), INVALID_REQUEST, both("numPartitions")),
        (assigned(&[(0, &[1])]).with_replication_factor(1), INVALID_REQUEST, both("replication factor")),
        (
            assigned(&[(0, &[])]),
            INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes an empty replica list.".to_owned(),
        ),
        (assigned(&[(0, &[2])]), INVALID_REPLICA_ASSIGNMENT, broker_2.to_owned()),
        (assigned(&[(0, &[1, 2])]), INVALID_REPLICA_ASSIGNMENT, broker_2.to_owned()),
        (
            assigned(&[(0, &[1, 1])]),
            INVALID_REPLICA_ASSIGNMENT,
            "The manual partition assignment includes the broker 1 more than once.".to_owned(),
        ),
        (
            assigned(&[(0, &[1]), (0, &[1])]),
            INVALID_REPLICA_ASSIGNMENT,
            "Found multiple manual partition assignments for partition 0".to_owned(),
        ),
        (
            assigned(&[(0, &[1]), (2, &[1])]),
            INVALID_REPLICA_ASSIGNMENT,
            "partitions should be a consecutive 0-based integer sequence".to_owned(),
        ),
    ] {
        let answer = world.client().create_topic(7, topic);
        assert_eq!(told(&[answer])[0].1, no(code, &why));
    }
    assert_eq!(world.client().topic_told("r").0, UNKNOWN_TOPIC_OR_PARTITION);
}

/// They have no effect, which the answer tells; but a mistake in one is a mistake.
#[test]
fn configs_are_checked() {
    let mut world = World::new();
    let made = world.client().create_topic(7, with_config(new_topic("t"), "retention.ms", Some("1000")));
    assert_eq!(made.error_code, NONE);
    let configs = made.configs.unwrap_or_default();
    let retention: Vec<_> = configs.iter().filter(|c| *c.name == *"retention.ms").collect();
    assert_eq!(retention.len(), 1);
    assert_eq!((retention[0].value.as_deref(), retention[0].config_source), (Some("0"), 5));
    for (name, value, why) in [
        ("nonsense", Some("1"), "Unknown topic config name: nonsense"),
        ("retention.ms", None, "Null value not supported for topic configs: retention.ms"),
        (
            "retention.ms",
            Some("x"),
            "Invalid value x for configuration retention.ms: Not a number of type LONG",
        ),
    ] {
        // Before partitions are looked at.
        let topic = with_config(new_topic("r"), name, value).with_num_partitions(0);
        let answer = world.client().create_topic(7, topic);
        assert_eq!(told(&[answer])[0].1, no(INVALID_CONFIG, why));
    }
    assert_eq!(world.client().topic_told("r").0, UNKNOWN_TOPIC_OR_PARTITION);
}

#[test]
fn a_validation_makes_nothing() {
    let mut world = World::new();
    world.client().make_topic("there", 1);
    for version in CREATE_TOPICS_VERSIONS {
        let topics = vec![new_topic("t").with_num_partitions(3), new_topic("there"), new_topic("a b")];
        let answer = world.client().call(version, &create_request(topics).with_validate_only(true));
        let codes: Vec<_> = answer.topics.iter().map(|topic| topic.error_code).collect();
        assert_eq!(codes, [NONE, TOPIC_ALREADY_EXISTS, INVALID_TOPIC], "version {version}");
        assert_eq!(answer.topics[0].num_partitions, if version >= 5 { 3 } else { -1 });
        assert_eq!(world.client().topic_told("t").0, UNKNOWN_TOPIC_OR_PARTITION, "version {version}");
    }
}

#[test]
fn a_tenant_has_only_so_many() {
    let mut world =
        World::configured("[streams]\nmax_streams_per_tenant = 2\nmax_partitions_per_tenant = 10");
    world.client().make_topic("one", 6);
    let too_many = world.client().create_topic(7, new_topic("two").with_num_partitions(5));
    assert_eq!(too_many.error_code, POLICY_VIOLATION);
    assert!(too_many.error_message.is_some_and(|why| why.contains("10")), "it names the limit");
    world.client().make_topic("two", 4);
    let answer = world.client().create_topic(7, new_topic("three"));
    assert_eq!(answer.error_code, POLICY_VIOLATION);
    assert!(answer.error_message.is_some_and(|why| why.contains('2')), "it names the limit");
}

#[test]
fn tenants_have_topics_of_their_own() {
    let world = World::of_two_tenants();
    let [mut red, mut blue] = world.two_clients();
    let of_red = red.make_topic("orders", 2);
    let of_blue = blue.make_topic("orders", 5);
    assert_ne!(of_red, of_blue);
    assert_eq!((red.topic_told("orders").2, blue.topic_told("orders").2), (2, 5));
}

/// In a declared catalogue nothing else makes one.
#[test]
fn only_a_creation_declares() {
    let mut world = World::configured("[streams]\ncatalogue = \"declared\"");
    world.commit("g", ("orders", 0), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(world.client().asked_for("orders", true).0, UNKNOWN_TOPIC_OR_PARTITION);
    world.client().make_topic("orders", 2);
    world.commit("g", ("orders", 1), 1).ok();
    world.commit("g", ("orders", 2), 1).is(UNKNOWN_TOPIC_OR_PARTITION);
}

/// As in Kafka, whatever else is wrong with a commit: that comes second.
#[test]
fn what_is_not_declared_is_told_first() {
    let mut world = World::configured("[streams]\ncatalogue = \"declared\"");
    world.client().make_topic("orders", 1);
    let long = offset(1).metadata("x".repeat(4_097));
    let places = |ask: CommitAsk| ask.put(("orders", 0), long.clone()).put(("orders", 1), long.clone());
    let ask = places(commit_of("g")).put(("missing", 0), long.clone());
    let nowhere = UNKNOWN_TOPIC_OR_PARTITION;
    world.client().commit_ask(9, &ask).is(&ask, &[OFFSET_METADATA_TOO_LARGE, nowhere, nowhere]);
    let ask = places(commit_of("g").generation(7).member("m")).put(("missing", 0), 1);
    world.client().commit_ask(9, &ask).is(&ask, &[GROUP_ID_NOT_FOUND, nowhere, nowhere]);
}

#[test]
fn so_many_partitions_at_once_make_nothing() {
    let mut world = World::new();
    let topic = |name: &str, count| new_topic(name).with_num_partitions(count);
    let too_many = no(POLICY_VIOLATION, "Excessively large number of partitions per request.");
    for version in CREATE_TOPICS_VERSIONS {
        let answer = world.client().call(
            version,
            &create_request(vec![
                topic("a", 5_001),
                topic("a b", 1),
                topic("b", 5_000),
                topic("c", 1),
                topic("c", 1),
            ]),
        );
        let told = told(&answer.topics);
        let names: Vec<&str> = told.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["a", "a b", "b", "c", "c"], "version {version}");
        assert!(told.iter().all(|(_, why)| *why == too_many), "version {version}: {told:?}");
    }
    assert_eq!(world.client().topic_told("a").0, UNKNOWN_TOPIC_OR_PARTITION);
    assert_eq!(world.client().create_topic(7, topic("a", 10_000)).error_code, NONE);
}

#[test]
fn none_of_none_and_a_null_list_hangs_up() {
    let mut world = World::new();
    for version in CREATE_TOPICS_VERSIONS {
        assert_eq!(world.client().call(version, &create_request(vec![])).topics, []);
        let mut body = Vec::new();
        wire::count_as(version >= 5, &mut body, None);
        body.extend_from_slice(&[0; 8]);
        world.hangs_up_on(wire::CREATE_TOPICS, version, &body);
    }
}

/// More than are driven side by side at a time: the answers stay in order.
#[test]
fn a_thousand_topics_are_made_and_deleted_at_once() {
    let mut world = World::new();
    let names: Vec<String> = (0..1_000).map(|n| format!("t{n}")).collect();
    let answer = world.client().call(7, &create_request(names.iter().map(|name| new_topic(name)).collect()));
    let told: Vec<_> = answer.topics.iter().map(|topic| (topic.name.to_string(), topic.error_code)).collect();
    let expected: Vec<_> = names.iter().map(|name| (name.clone(), NONE)).collect();
    assert_eq!(told, expected);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    assert_eq!(world.client().delete_topics(6, &names), expected);
    assert_eq!(world.client().topic_told("t999").0, UNKNOWN_TOPIC_OR_PARTITION);
}
