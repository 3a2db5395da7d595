//! OpenMetrics text, read strictly: a line that the format does not allow fails the test that reads it.
//!
//! <https://prometheus.io/docs/specs/om/open_metrics_spec/>

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;

use super::admin::Page;
use super::must::Must;

/// Every sample by name and labels, as they stand in the text: `name{label="value",...}`.
#[derive(Debug)]
pub struct Samples {
    pub text: String,
    of: BTreeMap<(String, BTreeMap<String, String>), f64>,
}

#[derive(Debug, Default)]
struct Family {
    kind: String,
    unit: String,
    samples: Vec<(String, BTreeMap<String, String>, f64)>,
}

impl Samples {
    /// What an admin listener tells.
    #[track_caller]
    pub fn of(admin: SocketAddr) -> Self {
        let page = Page::get(admin, "/metrics");
        assert_eq!(page.status, 200, "{}", page.body);
        let kind = "content-type: application/openmetrics-text; version=1.0.0; charset=utf-8";
        assert!(page.head.contains(kind), "{}", page.head);
        Self::parse(&page.body)
    }

    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let body = text.strip_suffix("# EOF\n").must("find # EOF at the end of the text");
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in body.lines() {
            assert!(!line.is_empty() && line.trim() == line, "not a line of OpenMetrics: {line:?}");
            if let Some(meta) = line.strip_prefix("# ") {
                let mut words = meta.splitn(3, ' ');
                let (word, name) = (words.next().must("a word"), words.next().must(line));
                let value = words.next().unwrap_or("");
                if name != current {
                    assert!(is_name(name), "{line}");
                    assert!(!families.contains_key(name), "{name} stands in two places");
                    current = name.to_owned();
                }
                let family = families.entry(current.clone()).or_default();
                assert!(family.samples.is_empty(), "what describes {name} stands before its samples");
                match word {
                    "TYPE" => family.kind = value.to_owned(),
                    "UNIT" => family.unit = value.to_owned(),
                    "HELP" => assert!(value.len() > 5, "{name} is not explained: {line}"),
                    _ => panic!("neither HELP nor TYPE nor UNIT: {line}"),
                }
            } else {
                let (name, labels, value) = sample(line);
                let family = families.get_mut(&current).must(&format!("find the family of {line}"));
                let suffix = name.strip_prefix(&current).must(&format!("see {line} in its family {current}"));
                let suffixes: &[&str] = match family.kind.as_str() {
                    "counter" => &["_total"],
                    "gauge" => &[""],
                    "info" => &["_info"],
                    "histogram" => &["_bucket", "_sum", "_count"],
                    other => panic!("{current} is a {other}"),
                };
                assert!(suffixes.contains(&suffix), "{line}: a {} has no {suffix:?}", family.kind);
                family.samples.push((name, labels, value));
            }
        }
        for (name, family) in &families {
            assert!(family.unit.is_empty() || name.ends_with(&format!("_{}", family.unit)), "{name}");
            if family.kind == "histogram" {
                histogram(name, family);
            }
        }
        let mut of = BTreeMap::new();
        for (name, labels, value) in families.into_values().flat_map(|family| family.samples) {
            let twice = of.insert((name.clone(), labels.clone()), value);
            assert_eq!(twice, None, "{name}{labels:?} stands twice");
        }
        Self { text: text.to_owned(), of }
    }

    /// The sum of all samples of this name that have these labels, among others; None if there is none.
    pub fn find(&self, name: &str, labels: &[(&str, &str)]) -> Option<f64> {
        let has = |of: &BTreeMap<String, String>| {
            labels.iter().all(|(label, value)| of.get(*label).is_some_and(|found| found == value))
        };
        let found = self.of.iter().filter(|((n, l), _)| n == name && has(l));
        found.map(|(_, value)| *value).reduce(|a, b| a + b)
    }

    #[track_caller]
    pub fn get(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        self.find(name, labels).must(&format!("find {name}{labels:?} in\n{}", self.text))
    }

    /// Every value of a label, of whatever sample.
    pub fn values(&self, label: &str) -> BTreeSet<&str> {
        self.of.keys().filter_map(|(_, labels)| labels.get(label).map(String::as_str)).collect()
    }
}

fn is_name(name: &str) -> bool {
    let first = |c: char| c.is_ascii_alphabetic() || c == '_';
    name.starts_with(first) && name.chars().all(|c| first(c) || c.is_ascii_digit())
}

fn sample(line: &str) -> (String, BTreeMap<String, String>, f64) {
    let end = line.find(['{', ' ']).must(line);
    let (name, mut rest) = line.split_at(end);
    assert!(is_name(name), "{line}");
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"").must(line);
            assert!(is_name(label), "{line}");
            let (value, after) = quoted(after).must(line);
            assert_eq!(labels.insert(label.to_owned(), value), None, "{label} stands twice: {line}");
            rest = after.strip_prefix(',').unwrap_or(after);
            assert!(after.starts_with(',') || after.starts_with('}'), "{line}");
        }
        rest = &rest[1..];
    }
    let value = rest.strip_prefix(' ').must(line);
    (name.to_owned(), labels, value.parse().must(line))
}

/// Up to the quote that is not escaped, and what comes after it.
fn quoted(text: &str) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((value, &text[at + 1..])),
            '\\' => value.push(match chars.next()?.1 {
                'n' => '\n',
                c @ ('"' | '\\') => c,
                _ => return None,
            }),
            c => value.push(c),
        }
    }
    None
}

/// Buckets rise, end in +Inf, and that is the count.
fn histogram(name: &str, family: &Family) {
    let mut by_labels: BTreeMap<BTreeMap<String, String>, Vec<(f64, f64)>> = BTreeMap::new();
    for (sample, labels, value) in &family.samples {
        if sample.ends_with("_bucket") {
            let mut labels = labels.clone();
            let bound = labels.remove("le").must(&format!("find le of {name}"));
            by_labels.entry(labels).or_default().push((bound.parse().must("read le"), *value));
        }
    }
    for (labels, buckets) in by_labels {
        assert!(
            buckets.windows(2).all(|two| two[0].0 < two[1].0 && two[0].1 <= two[1].1),
            "{name} {buckets:?}"
        );
        let (bound, all) = buckets.last().must("find a bucket");
        assert_eq!(*bound, f64::INFINITY, "{name}");
        let of = |suffix: &str| {
            let wanted = format!("{name}{suffix}");
            let found = family.samples.iter().find(|(n, l, _)| *n == wanted && *l == labels);
            found.map(|(_, _, value)| *value).must(&format!("find {wanted}{labels:?}"))
        };
        assert_eq!(of("_count"), *all, "{name}");
        assert!(of("_sum") >= 0.0);
    }
}
