//! What a store counts is what it holds, before and after it is opened again.

use super::{Home, actor, commit, group, item, one, open, stream, tenant_named, verdicts};
use crate::model::bounds::Records;
use crate::model::op::Op;
use crate::store::{Store, StoreStats, TenantStats};

/// Groups, streams, partitions and positions of each tenant, by name.
fn counts(stats: &StoreStats) -> Vec<(&str, [u64; 4])> {
    let of = |t: &TenantStats| [t.groups, t.streams, t.partitions, t.positions];
    stats.tenants.iter().map(|t| (t.name.as_str(), of(t))).collect()
}

pub(super) fn what_is_there_is_counted<H: Home>(mut home: H) {
    let store = open(&mut home);
    let stats = |store: &dyn Store| store.stats().expect("an open store counts");
    assert_eq!(counts(&stats(&store)), []);
    let (red, blue) = (tenant_named(&store, "red"), tenant_named(&store, "blue"));
    assert_eq!(counts(&stats(&store)), [("red", [0; 4]), ("blue", [0; 4])]);

    verdicts(&store, commit(red, "g", vec![item("s", 0, 5), item("s", 3, 5), item("t", 0, 5)]));
    verdicts(&store, commit(red, "h", vec![item("s", 0, 5), item("s", 0, 6), item("s", 0, 4)]));
    // Refused, or nothing: not counted.
    verdicts(&store, commit(blue, "g", vec![item("s", -1, 5), item("s", 0, -5)]));
    one(
        &store,
        Op::EnsureStream { tenant: blue, stream: stream("u"), partitions: 7, records: Records::Elsewhere },
    );
    assert_eq!(counts(&stats(&store)), [("red", [2, 2, 5, 4]), ("blue", [0, 1, 7, 0])]);

    let places = vec![(stream("s"), 0), (stream("s"), 1)];
    one(&store, Op::DeleteOffsets { tenant: red, group: group("g"), actor: actor("a"), places });
    one(&store, Op::DeleteGroup { tenant: red, group: group("h"), actor: actor("a") });
    let expected = [("red", [1, 2, 5, 2]), ("blue", [0, 1, 7, 0])];
    assert_eq!(counts(&stats(&store)), expected);

    let names: Vec<_> = stats(&store).files.iter().map(|file| file.name).collect();
    assert!(stats(&store).files.iter().all(|file| file.bytes > 0), "a file has a size");
    drop(store);
    let store = open(&mut home);
    let again = stats(&store);
    assert_eq!(counts(&again), expected, "opened again");
    assert_eq!(again.files.iter().map(|file| file.name).collect::<Vec<_>>(), names);
    store.close().expect("it closes");
    assert!(store.stats().is_err(), "a closed store says so");
}
