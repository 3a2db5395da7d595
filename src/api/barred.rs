//! What a peer may not touch, and the code that it is told instead. A server bars nothing: this is for a gateway, whose cluster
//! says who may do what.

use std::collections::BTreeMap;

use crate::model::names::Partition;
use crate::wire::codes::Code;

/// Groups and topics of one request that are not to be touched. The default bars nothing.
#[derive(Debug, Default)]
pub struct Barred {
    every_group: Option<Code>,
    hides_groups: bool,
    groups: BTreeMap<String, Code>,
    /// By topic: from this partition on.
    topics: BTreeMap<String, (Partition, Code)>,
}

impl Barred {
    /// Bars every group.
    pub fn bar_all(&mut self, code: Code) {
        self.every_group = Some(code);
    }

    /// Lists no group: another server of the cluster does.
    pub fn hide_all(&mut self) {
        self.hides_groups = true;
    }

    /// Bars a group.
    pub fn bar_group(&mut self, group: &str, code: Code) {
        self.groups.insert(group.to_owned(), code);
    }

    /// Bars the partitions of a topic from `from` on; 0: all of them. What bars as many already stands.
    pub fn bar_topic(&mut self, topic: &str, from: Partition, code: Code) {
        let bar = self.topics.entry(topic.to_owned()).or_insert((from, code));
        if from < bar.0 {
            *bar = (from, code);
        }
    }

    /// Why nothing can be listed, if that is so.
    pub(super) fn list(&self) -> Option<Code> {
        self.every_group
    }

    pub(super) fn lists(&self, group: &str) -> bool {
        !self.hides_groups && self.group(group).is_none()
    }

    pub(super) fn group(&self, group: &str) -> Option<Code> {
        self.every_group.or_else(|| self.groups.get(group).copied())
    }

    pub(super) fn partition(&self, topic: &str, partition: Partition) -> Option<Code> {
        let (from, code) = self.topics.get(topic)?;
        (partition >= *from).then_some(*code)
    }

    /// The code of a topic none of whose partitions may be touched.
    pub(super) fn topic(&self, topic: &str) -> Option<Code> {
        self.partition(topic, 0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_barred_is_barred_and_nothing_else() {
        let mut barred = Barred::default();
        assert_eq!((barred.group("g"), barred.topic("t")), (None, None));
        barred.bar_group("g", 30);
        barred.bar_topic("t", 3, 3);
        barred.bar_topic("u", 0, 29);
        barred.bar_topic("u", 0, 14);
        barred.bar_topic("v", 2, 3);
        barred.bar_topic("v", 0, 14);
        assert_eq!(barred.topic("v"), Some(14));
        assert_eq!((barred.group("g"), barred.group("h")), (Some(30), None));
        assert_eq!((barred.partition("t", 2), barred.partition("t", 3)), (None, Some(3)));
        assert_eq!((barred.topic("t"), barred.topic("u")), (None, Some(29)));
        assert!(barred.lists("h") && !barred.lists("g") && barred.list().is_none());
        barred.hide_all();
        assert!(!barred.lists("h") && barred.group("h").is_none());
        barred.bar_all(16);
        assert_eq!((barred.group("g"), barred.group("h")), (Some(16), Some(16)));
    }
}
