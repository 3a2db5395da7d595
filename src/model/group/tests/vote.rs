//! Which protocol wins.

use super::*;

fn elected(lists: &[&[&str]]) -> String {
    let mut bench = Bench::new();
    let tickets: Vec<Ticket> = lists.iter().map(|names| bench.join(supporting(names, request("")))).collect();
    bench.sleep(REBALANCE_MS as u64);
    bench.joined(tickets[0]).protocol_name.clone().unwrap().to_string()
}

/// testSelectProtocol
#[test]
fn most_votes_win() {
    assert_eq!(elected(&[&["range", "sticky"]]), "range");
    assert_eq!(elected(&[&["range", "sticky"], &["sticky", "range"], &["sticky", "range"]]), "sticky");
}

/// testSelectProtocolChoosesCompatibleProtocol
#[test]
fn only_what_all_support_is_voted_for() {
    assert_eq!(elected(&[&["range", "sticky"], &["sticky", "blah"]]), "sticky");
    assert_eq!(elected(&[&["a", "b", "c"], &["a", "c", "b"], &["c", "b"]]), "c");
}

/// Whoever joins first: the order of a Java hash map ("range" falls into bucket 9 of 16, "sticky" into 8).
#[test]
fn of_equals_kafkas_hash_map_decides() {
    assert_eq!(elected(&[&["range", "sticky"], &["sticky", "range"]]), "sticky");
    assert_eq!(elected(&[&["sticky", "range"], &["range", "sticky"]]), "sticky");
}

/// testSupportsProtocols
#[test]
fn support_is_counted_over_those_that_stay() {
    let mut bench = Bench::new();
    let seats = bench.stable(vec![supporting(&["a", "b"], request("")), supporting(&["b"], request(""))]);
    assert!(!bench.group.supports(CONSUMER, &protocols(&["a"])));
    assert!(bench.group.supports(CONSUMER, &protocols(&["a", "b"])));
    assert!(!bench.group.supports("connect", &protocols(&["b"])));
    bench.leave(vec![leaver(&seats[1].id, None)]);
    assert!(bench.group.supports(CONSUMER, &protocols(&["a"])));
    let joined = bench.join(supporting(&["a", "b"], request(&seats[0].id)));
    assert_eq!(bench.joined(joined).protocol_name.as_deref(), Some("a"), "and so is the vote");
}
