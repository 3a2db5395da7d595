//! Where two outcomes differ, field by field.

use std::fmt;

use super::link::Outcome;
use super::value::Value;

/// One place where the servers do not agree.
#[derive(Clone, Debug, PartialEq)]
pub struct Difference {
    /// `topics[0].partitions[2].error_code`; empty for the outcome as a whole.
    pub path: String,
    pub kafka: String,
    pub offsetd: String,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let path = if self.path.is_empty() { "the outcome" } else { &self.path };
        write!(f, "{path}: Kafka {:.300}, offsetd {:.300}", self.kafka, self.offsetd)
    }
}

pub fn differences(kafka: &Outcome, offsetd: &Outcome) -> Vec<Difference> {
    let mut found = Vec::new();
    match (kafka, offsetd) {
        (Outcome::Answer(kafka), Outcome::Answer(offsetd)) => values("", kafka, offsetd, &mut found),
        // Not even Kafka may be misread.
        (Outcome::Garbled(_) | Outcome::Silent, _) => found.push(whole(kafka, offsetd)),
        (kafka, offsetd) if kafka == offsetd => {}
        _ => found.push(whole(kafka, offsetd)),
    }
    found
}

fn whole(kafka: &Outcome, offsetd: &Outcome) -> Difference {
    let say = |outcome: &Outcome| match outcome {
        Outcome::Answer(value) => format!("answers {value}"),
        Outcome::Closed => "hangs up".to_owned(),
        Outcome::Unread(bytes) => format!("answers {bytes} bytes of a version that is not compared"),
        Outcome::Garbled(error) => format!("answers what cannot be read: {error}"),
        Outcome::Silent => "says nothing".to_owned(),
        Outcome::Sent => "was not waited for".to_owned(),
        Outcome::Parked => "has not answered yet".to_owned(),
    };
    Difference { path: String::new(), kafka: say(kafka), offsetd: say(offsetd) }
}

fn values(path: &str, kafka: &Value, offsetd: &Value, found: &mut Vec<Difference>) {
    let mut differ = |path: String, kafka: String, offsetd: String| {
        found.push(Difference { path, kafka, offsetd });
    };
    match (kafka, offsetd) {
        (Value::Struct(fields), Value::Struct(theirs)) => {
            let dot = if path.is_empty() { "" } else { "." };
            for (name, value) in fields {
                let path = format!("{path}{dot}{name}");
                match offsetd.field(name) {
                    Some(theirs) => values(&path, value, theirs, found),
                    None => found.push(Difference {
                        path,
                        kafka: value.to_string(),
                        offsetd: "has none".to_owned(),
                    }),
                }
            }
            for (name, value) in theirs.iter().filter(|(name, _)| kafka.field(name).is_none()) {
                let path = format!("{path}{dot}{name}");
                found.push(Difference { path, kafka: "has none".to_owned(), offsetd: value.to_string() });
            }
        }
        (Value::List(entries), Value::List(theirs)) => {
            if entries.len() != theirs.len() {
                differ(format!("{path}[]"), kafka.to_string(), offsetd.to_string());
                return;
            }
            for (index, (entry, theirs)) in entries.iter().zip(theirs).enumerate() {
                values(&format!("{path}[{index}]"), entry, theirs, found);
            }
        }
        (kafka, offsetd) if kafka == offsetd => {}
        _ => differ(path.to_owned(), kafka.to_string(), offsetd.to_string()),
    }
}

#[test]
fn every_sort_of_difference_is_told() {
    let answer = |text: &str| Outcome::Answer(super::text::value(text).unwrap().0);
    let paths = |kafka: &str, offsetd: &str| -> Vec<String> {
        differences(&answer(kafka), &answer(offsetd)).into_iter().map(|found| found.path).collect()
    };
    let whole = r#"{a: [{b: 1, c: "x"}, {b: 2, c: null}], d: true}"#;
    assert!(paths(whole, whole).is_empty());
    assert_eq!(paths(whole, r#"{a: [{b: 2, c: null}, {b: 1, c: "x"}], d: true}"#).len(), 4);
    assert_eq!(paths(whole, r#"{a: [{b: 1, c: "x"}], d: true}"#), ["a[]"]);
    assert_eq!(paths(whole, r#"{a: [{b: 1, c: "x"}, {b: 2, c: ""}], d: true}"#), ["a[1].c"]);
    assert_eq!(paths(whole, r#"{a: null, d: true}"#), ["a"]);
    assert_eq!(paths(whole, r#"{a: [{b: 1, c: "x"}, {b: 2, c: null}]}"#), ["d"]);
    assert_eq!(differences(&answer(whole), &Outcome::Closed).len(), 1);
    assert_eq!(differences(&Outcome::Silent, &Outcome::Silent).len(), 1);
}
