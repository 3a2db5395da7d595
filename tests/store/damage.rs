//! Files that are missing, foreign, damaged or too new: an error that says where, and never an empty store. The ancestor's
//! fault 4: loading stopped silently at the first error, and skipped odd rows.

use std::fs;
use std::path::Path;

use offsetd::model::op::Actor;
use offsetd::store::StoreError;
use offsetd::{Commit, OffsetStore};

fn filled() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let tenant = store.tenant("default").unwrap();
    for group in 0..50 {
        let many = (0..20).map(|p| Commit::new("orders", p, 1_000_000));
        tenant.commit_many(&format!("group-{group}"), &Actor::named("me"), many).unwrap();
    }
    store.close().unwrap();
    // And a tail that is not folded yet.
    let store = OffsetStore::open(dir.path()).unwrap();
    let tenant = store.tenant("default").unwrap();
    for n in 0..50 {
        tenant.commit("tail", &Actor::named("me"), Commit::new("orders", 0, n)).unwrap();
    }
    drop((tenant, store));
    dir
}

fn error(dir: &Path) -> StoreError {
    OffsetStore::open(dir).expect_err("it must not open")
}

#[test]
fn a_missing_file_is_an_error_and_not_an_empty_store() {
    for missing in ["journal.redb", "offsets.redb", "IDENTITY"] {
        let dir = filled();
        fs::remove_file(dir.path().join(missing)).unwrap();
        let error = error(dir.path());
        assert!(matches!(error, StoreError::Incomplete { .. }), "{missing}: {error}");
        assert!(error.to_string().contains(missing), "{error}");
    }
}

#[test]
fn an_empty_or_foreign_file_is_an_error() {
    for name in ["journal.redb", "offsets.redb", "IDENTITY"] {
        for content in [&b""[..], b"this is something else entirely, and long enough to be looked at"] {
            let dir = filled();
            fs::write(dir.path().join(name), content).unwrap();
            let error = error(dir.path()).to_string();
            assert!(error.contains(name), "{name}: {error}");
        }
    }
}

#[test]
fn files_of_two_stores_or_of_two_times_do_not_make_one() {
    let (one, other) = (filled(), filled());
    fs::copy(other.path().join("offsets.redb"), one.path().join("offsets.redb")).unwrap();
    let error_text = error(one.path()).to_string();
    assert!(error_text.contains("another store"), "{error_text}");

    let dir = filled();
    let old_table = fs::read(dir.path().join("offsets.redb")).unwrap();
    let old_journal = fs::read(dir.path().join("journal.redb")).unwrap();
    let store = OffsetStore::open(dir.path()).unwrap();
    let tenant = store.tenant("default").unwrap();
    tenant.commit("tail", &Actor::named("me"), Commit::new("orders", 0, 1_000)).unwrap();
    store.close().unwrap();
    let new_journal = fs::read(dir.path().join("journal.redb")).unwrap();
    fs::write(dir.path().join("journal.redb"), &old_journal).unwrap();
    let error_text = error(dir.path()).to_string();
    assert!(error_text.contains("different times"), "an old journal under a new table: {error_text}");
    // The other way round: the journal has forgotten what the old table never had.
    fs::write(dir.path().join("journal.redb"), new_journal).unwrap();
    fs::write(dir.path().join("offsets.redb"), old_table).unwrap();
    let error_text = error(dir.path()).to_string();
    assert!(error_text.contains("different times"), "an old table under a new journal: {error_text}");
}

#[test]
fn a_newer_format_is_left_alone() {
    let dir = filled();
    let identity = fs::read_to_string(dir.path().join("IDENTITY")).unwrap();
    fs::write(dir.path().join("IDENTITY"), identity.replacen("offsetd 1", "offsetd 2", 1)).unwrap();
    let error = error(dir.path());
    assert!(matches!(error, StoreError::TooNew { found: 2, known: 1, .. }), "{error}");
}

/// A flipped byte anywhere is either in a place that holds nothing, or an error: no offset goes missing or changes
/// without a word.
#[test]
fn no_flipped_byte_changes_or_loses_an_offset_without_a_word() {
    let dir = filled();
    let (mut errors, mut harmless) = (0, 0);
    for name in ["journal.redb", "offsets.redb"] {
        let path = dir.path().join(name);
        let whole = fs::read(&path).unwrap();
        for at in (0..whole.len()).step_by(whole.len() / 150) {
            let scratch = tempfile::tempdir().unwrap();
            for file in ["journal.redb", "offsets.redb", "IDENTITY"] {
                fs::copy(dir.path().join(file), scratch.path().join(file)).unwrap();
            }
            let mut damaged = whole.clone();
            damaged[at] ^= 0x40;
            fs::write(scratch.path().join(name), damaged).unwrap();
            let opened = OffsetStore::open(scratch.path()).ok();
            match opened.and_then(|store| Some((store.tenant("default").ok()?, store))) {
                None => errors += 1,
                Some((tenant, store)) => {
                    assert_eq!(tenant.groups().unwrap().len(), 51, "{name} at {at}");
                    for group in 0..50 {
                        let offsets = tenant.group(&format!("group-{group}")).unwrap().unwrap();
                        assert_eq!(offsets.len(), 20, "{name} at {at}");
                        assert!(offsets.iter().all(|o| o.committed.offset == 1_000_000), "{name} at {at}");
                    }
                    let tail = tenant.position("tail", "orders", 0).unwrap().unwrap();
                    assert_eq!(tail.offset, 49, "{name} at {at}");
                    // Going on and folding everything ends well or in an error, never in a wait.
                    let many = (0..20).map(|p| Commit::new("orders", p, 2_000_000));
                    let went_on = tenant.commit_many("group-7", &Actor::named("me"), many).is_ok();
                    let folded = went_on && store.close().is_ok();
                    (harmless, errors) = if folded { (harmless + 1, errors) } else { (harmless, errors + 1) };
                }
            }
        }
    }
    println!("{errors} flips were found out, {harmless} hit nothing");
    assert!(errors > 20, "only {errors} flips were found out");
}
