//! Random sequences about the members of one group, each on a connection of its own. What may be parked is tried
//! (`try`, `look`): "not yet" is an answer too, if both servers give it. Timeouts are far longer than a sequence, so
//! none decides anything; who is named by `$id.b` and `$generation.b` is who connection b was told to be.

use super::Random;
use crate::step::{self, Step};

const ORDERS: &str = "0x00000000000100066f7264657273ffffffff";
const BILLS: &str = "0x000000000001000562696c6c73ffffffff";
const ODD: &[&str] = &["0x", "0x01", "0x0000", "0x000000000001"];
/// Requests in a sequence.
const LENGTH: std::ops::RangeInclusive<usize> = 4..=24;

/// The steps of one sequence.
pub(super) fn steps(random: &mut Random) -> Vec<Step> {
    let crowd = random.of(&[1, 2, 2, 2, 2, 2, 3]);
    let connections = ["a", "b", "c"][..crowd].to_vec();
    let is_static = connections.iter().map(|_| random.one_in(4)).collect();
    let mut crowd = Crowd { random, connections, is_static };
    let mut script = vec!["= members".to_owned(), crowd.newcomer()];
    let count = rand::Rng::random_range(&mut crowd.random.random, LENGTH);
    (0..count).for_each(|_| crowd.one(&mut script));
    crowd.look_at_all(&mut script);
    script.push(r#"DescribeGroups 6 {groups: ["g"]}"#.to_owned());
    script.push("ListGroups 5 {}".to_owned());
    script.push(r#"OffsetFetch 9 {groups: [{group_id: "g", topics: null}]}"#.to_owned());
    step::read("random members", &script.join("\n")).remove(0).steps
}

/// Who may join.
struct Crowd<'a> {
    random: &'a mut Random,
    connections: Vec<&'static str>,
    is_static: Vec<bool>,
}

impl Crowd<'_> {
    fn of(&mut self, pool: &[&'static str]) -> &'static str {
        self.random.of(pool)
    }

    fn anyone(&mut self) -> &'static str {
        let connections = self.connections.clone();
        self.random.of(&connections)
    }

    fn version(&mut self, range: std::ops::RangeInclusive<i16>) -> i16 {
        rand::Rng::random_range(&mut self.random.random, range)
    }

    fn id(&mut self, who: &str) -> String {
        match rand::Rng::random_range(&mut self.random.random, 0..40) {
            0 => r#""nobody""#.to_owned(),
            1 => r#""""#.to_owned(),
            _ => format!("$id.{who}"),
        }
    }

    /// Sometimes somebody else's: not where it might be parked, since Kafka never answers what the same member asks again
    /// (`scripts/members.txt` has that).
    fn any_id(&mut self, who: &str) -> String {
        if self.random.one_in(20) { format!("$id.{}", self.anyone()) } else { self.id(who) }
    }

    fn generation(&mut self, who: &str) -> String {
        match rand::Rng::random_range(&mut self.random.random, 0..14) {
            0 => self.of(&["-1", "0", "1", "2", "99", "-2"]).to_owned(),
            _ => format!("$generation.{who}"),
        }
    }

    fn instance(&mut self, who: &str) -> String {
        match rand::Rng::random_range(&mut self.random.random, 0..30) {
            0 => format!("\"i-{}\"", self.anyone()),
            1 => "null".to_owned(),
            2 => r#""i-nobody""#.to_owned(),
            _ => self.own_instance(who),
        }
    }

    fn protocols(&mut self) -> String {
        let metadata = match rand::Rng::random_range(&mut self.random.random, 0..12) {
            0 => self.of(ODD),
            1..=2 => BILLS,
            _ => ORDERS,
        };
        let names: &[&str] = match rand::Rng::random_range(&mut self.random.random, 0..40) {
            0 => &[],
            1 => &["other"],
            3..=5 => &["sticky"],
            6..=13 => &["sticky", "range"],
            14..=21 => &["range", "sticky"],
            _ => &["range"],
        };
        let one = |name: &&str| format!("{{name: {name:?}, metadata: {metadata}}}");
        names.iter().map(one).collect::<Vec<_>>().join(", ")
    }

    /// Somebody joins who has never been there, and as one should: this makes the group on both sides.
    fn newcomer(&mut self) -> String {
        let (who, version) = (self.anyone(), self.version(0..=9));
        format!(
            "@{who} try JoinGroup {version} {{group_id: \"g\", session_timeout_ms: 10000, rebalance_timeout_ms: 20000, \
             member_id: \"\", protocol_type: \"consumer\", protocols: [{{name: \"range\", metadata: {ORDERS}}}]}}"
        )
    }

    fn join(&mut self) -> String {
        let (who, version) = (self.anyone(), self.version(0..=9));
        let (id, instance, protocols) = (self.id(who), self.instance(who), self.protocols());
        let session = if self.random.one_in(50) { self.of(&["5999", "1800001", "-1"]) } else { "10000" };
        let kind = if self.random.one_in(40) { self.of(&["connect", ""]) } else { "consumer" };
        let reason = self.of(&["null", "null", "\"\"", "\"because\""]);
        format!(
            "@{who} try JoinGroup {version} {{group_id: \"g\", session_timeout_ms: {session}, rebalance_timeout_ms: 20000, \
             member_id: {id}, group_instance_id: {instance}, protocol_type: \"{kind}\", protocols: [{protocols}], \
             reason: {reason}}}"
        )
    }

    fn sync(&mut self) -> String {
        let (who, version) = (self.anyone(), self.version(0..=5));
        let (id, generation, instance) = (self.id(who), self.generation(who), self.instance(who));
        let part = |who: &&str| format!("{{member_id: $id.{who}, assignment: 0x0{who}}}");
        let parts = match rand::Rng::random_range(&mut self.random.random, 0..20) {
            0..=4 => String::new(),
            5 => format!(
                "{{member_id: \"nobody\", assignment: 0xff}}, {{member_id: $id.{who}, assignment: 0x}}"
            ),
            6 => format!(
                "{{member_id: $id.{who}, assignment: 0x01}}, {{member_id: $id.{who}, assignment: 0x02}}"
            ),
            _ => self.connections.iter().map(part).collect::<Vec<_>>().join(", "),
        };
        let kind = if self.random.one_in(20) { self.of(&["null", "\"connect\""]) } else { "\"consumer\"" };
        let name = match self.random.one_in(20) {
            true => self.of(&["null", "\"other\""]).to_owned(),
            false => format!("$protocol.{who}"),
        };
        format!(
            "@{who} try SyncGroup {version} {{group_id: \"g\", generation_id: {generation}, member_id: {id}, \
             group_instance_id: {instance}, protocol_type: {kind}, protocol_name: {name}, assignments: [{parts}]}}"
        )
    }

    /// A connection on which nothing is parked, most likely, or the member's own.
    fn place(&mut self, who: &str) -> String {
        if self.random.one_in(2) { format!("@{who}") } else { "@w".to_owned() }
    }

    fn group(&mut self) -> &'static str {
        if self.random.one_in(25) { self.of(&["h", ""]) } else { "g" }
    }

    fn heartbeat(&mut self) -> String {
        let (who, version, group) = (self.anyone(), self.version(0..=4), self.group());
        let (id, generation, instance) = (self.any_id(who), self.generation(who), self.instance(who));
        let place = self.place(who);
        format!(
            "{place} Heartbeat {version} {{group_id: \"{group}\", generation_id: {generation}, member_id: {id}, \
             group_instance_id: {instance}}}"
        )
    }

    fn leave(&mut self) -> String {
        let (who, version, group) = (self.anyone(), self.version(0..=5), self.group());
        let id = self.any_id(who);
        let count = self.random.of(&[1, 1, 1, 1, 1, 2, 2, 3, 0]);
        let one = |crowd: &mut Self, who| {
            let (id, instance) = (crowd.any_id(who), crowd.instance(who));
            format!("{{member_id: {id}, group_instance_id: {instance}}}")
        };
        let members: Vec<String> = (0..count)
            .map(|at| if at == 0 { who } else { self.anyone() })
            .collect::<Vec<_>>()
            .into_iter()
            .map(|who| one(self, who))
            .collect();
        let place = self.place(who);
        format!(
            "{place} LeaveGroup {version} {{group_id: \"{group}\", member_id: {id}, members: [{}]}}",
            members.join(", ")
        )
    }

    fn commit(&mut self) -> String {
        let (who, version) = (self.anyone(), self.version(2..=9));
        let (mut id, mut generation, instance) = (self.any_id(who), self.generation(who), self.instance(who));
        if self.random.one_in(4) {
            (id, generation) = (r#""""#.to_owned(), "-1".to_owned());
        }
        let nowhere = if self.random.declared { "missing" } else { "a b" };
        let topic = self.of(&["orders", "orders", "bills", nowhere, "a/b"]);
        let offset = rand::Rng::random_range(&mut self.random.random, 0..1_000);
        let place = self.place(who);
        format!(
            "{place} OffsetCommit {version} {{group_id: \"g\", generation_id_or_member_epoch: {generation}, member_id: {id}, \
             group_instance_id: {instance}, topics: [{{name: \"{topic}\", partitions: [{{partition_index: 0, \
             committed_offset: {offset}}}]}}]}}"
        )
    }

    /// All join as they should, and get their parts, unless what went before is in the way.
    fn round(&mut self, script: &mut Vec<String>) {
        // Who gets an id first comes again with it.
        for who in [self.connections.clone(), self.connections.clone()].concat() {
            let (version, instance) = (self.version(1..=9), self.own_instance(who));
            script.push(format!(
                "@{who} try JoinGroup {version} {{group_id: \"g\", session_timeout_ms: 10000, rebalance_timeout_ms: 20000, \
                 member_id: $id.{who}, group_instance_id: {instance}, protocol_type: \"consumer\", \
                 protocols: [{{name: \"range\", metadata: {ORDERS}}}, {{name: \"sticky\", metadata: {BILLS}}}]}}"
            ));
        }
        self.look_at_all(script);
        if self.random.one_in(3) {
            return;
        }
        let part = |who: &&str| format!("{{member_id: $id.{who}, assignment: 0x0{who}}}");
        let parts = self.connections.iter().map(part).collect::<Vec<_>>().join(", ");
        for who in self.connections.clone() {
            let (version, instance) = (self.version(0..=5), self.own_instance(who));
            script.push(format!(
                "@{who} try SyncGroup {version} {{group_id: \"g\", generation_id: $generation.{who}, member_id: $id.{who}, \
                 group_instance_id: {instance}, protocol_type: \"consumer\", protocol_name: $protocol.{who}, \
                 assignments: [{parts}]}}"
            ));
        }
        self.look_at_all(script);
    }

    fn look_at_all(&self, script: &mut Vec<String>) {
        script.extend(self.connections.iter().map(|connection| format!("@{connection} look")));
    }

    fn own_instance(&self, who: &str) -> String {
        let at = self.connections.iter().position(|other| *other == who);
        if at.is_some_and(|at| self.is_static[at]) { format!("\"i-{who}\"") } else { "null".to_owned() }
    }

    /// One request, or some that belong together.
    fn one(&mut self, script: &mut Vec<String>) {
        if self.random.one_in(9) {
            return self.round(script);
        }
        let line = match rand::Rng::random_range(&mut self.random.random, 0..110) {
            0..=29 => self.join(),
            30..=55 => self.sync(),
            56..=65 => self.heartbeat(),
            66..=73 => self.leave(),
            74..=83 => self.commit(),
            84..=86 => {
                let who = self.anyone();
                let (id, generation) = (self.any_id(who), self.generation(who));
                format!(
                    "@w OffsetFetch 9 {{groups: [{{group_id: \"g\", member_id: {id}, member_epoch: {generation}, topics: null}}]}}"
                )
            }
            87..=93 => {
                let version = self.version(0..=6);
                format!(r#"@w DescribeGroups {version} {{groups: ["g"]}}"#)
            }
            94..=96 => {
                let state =
                    self.of(&["Stable", "PreparingRebalance", "CompletingRebalance", "Empty", "Dead"]);
                format!("@w ListGroups 5 {{states_filter: [{state:?}]}}")
            }
            97..=99 => {
                let topic = self.of(&["orders", "bills"]);
                format!(
                    r#"@w OffsetDelete 0 {{group_id: "g", topics: [{{name: "{topic}", partitions: [{{partition_index: 0}}]}}]}}"#
                )
            }
            100 => {
                // A join that is refused would make the group anew in Kafka alone.
                script.push(r#"@w DeleteGroups 2 {groups_names: ["g"]}"#.to_owned());
                self.newcomer()
            }
            _ => format!("@{} look", self.anyone()),
        };
        script.push(line);
    }
}
