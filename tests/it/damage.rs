//! A store that cannot be opened: exit 1, and an error that names the file and says what to do; nothing is made anew, and
//! nothing is served in place of what was there.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use crate::support::server::{Finished, run};
use crate::support::*;

/// The files of a store and what is in them. The lock is no part of it.
fn files(data: &Path) -> BTreeMap<String, Vec<u8>> {
    let of = |entry: std::io::Result<fs::DirEntry>| {
        let entry = entry.must("list a file");
        (entry.file_name().to_string_lossy().into_owned(), fs::read(entry.path()).must("read a file"))
    };
    fs::read_dir(data).must("list the data directory").map(of).filter(|(name, _)| name != "LOCK").collect()
}

/// A store with offsets in the table, and some in the journal only.
fn filled() -> Home {
    let mut world = World::new();
    for n in 0..50 {
        world.commit(&format!("g{n}"), ("orders", 0), 100).ok();
    }
    world.stop_and_restart();
    for n in 0..50 {
        world.commit(&format!("g{n}"), ("orders", 0), 200).ok();
    }
    world.take_server().kill();
    world.home
}

/// That a start fails as it should, and says all of this.
#[track_caller]
fn fails(finished: &Finished, case: &str, words: &[&str]) {
    let said = &finished.stderr;
    assert_eq!(finished.code, Some(1), "{case}; it said:\n{said}");
    for word in words {
        assert!(said.contains(word), "{case}: it does not say {word:?}:\n{said}");
    }
    let error = said.lines().filter(|line| line.starts_with("error: ")).count();
    assert_eq!(error, 1, "{case}: one error, to be read by people:\n{said}");
    assert!(!said.contains("offsetd ready"), "{case}:\n{said}");
}

#[test]
fn a_store_that_is_not_whole_is_not_opened() {
    let home = filled();
    let data = home.data();
    let whole = files(&data);
    let journal = || whole["journal.redb"].clone();
    let cut = |by: usize| {
        let mut bytes = journal();
        bytes.truncate(bytes.len() / by);
        Some(bytes)
    };
    let foreign = b"this is something else entirely, and long enough to be looked at".to_vec();
    let newer = String::from_utf8(whole["IDENTITY"].clone()).must("read the identity");
    let newer = newer.replacen("offsetd 1", "offsetd 9", 1).into_bytes();
    let flipped = || {
        let mut bytes = journal();
        // Every page from the second on.
        bytes.iter_mut().skip(4_096).for_each(|byte| *byte ^= 0x40);
        Some(bytes)
    };
    let cases: [(&str, &str, Option<Vec<u8>>, &str); 10] = [
        ("no journal", "journal.redb", None, "restore it from a backup"),
        ("no table", "offsets.redb", None, "restore it from a backup"),
        ("no identity", "IDENTITY", None, "restore it from a backup"),
        ("half a journal", "journal.redb", cut(2), "restore it from a backup"),
        ("the beginning of a journal", "journal.redb", cut(100), "restore it from a backup"),
        ("an empty journal", "journal.redb", Some(Vec::new()), "restore it from a backup"),
        ("a damaged journal", "journal.redb", flipped(), "restore it from a backup"),
        ("a foreign table", "offsets.redb", Some(foreign.clone()), "restore it from a backup"),
        ("a foreign identity", "IDENTITY", Some(foreign), "restore it from a backup"),
        ("a newer format", "IDENTITY", Some(newer), "Use a newer offsetd"),
    ];
    for (case, name, content, what_to_do) in cases {
        let path = data.join(name);
        match content {
            Some(content) => fs::write(&path, content).must("damage a file"),
            None => fs::remove_file(&path).must("remove a file"),
        }
        let damaged = files(&data);
        fails(&home.run(), case, &[&data.display().to_string(), name, what_to_do]);
        let after = files(&data);
        assert!(after.keys().eq(damaged.keys()), "{case}: {:?} became {:?}", damaged.keys(), after.keys());
        // In a journal that was killed redb finishes what was interrupted as soon as it is opened.
        let same = |name: &str| name == "journal.redb" || after[name] == damaged[name];
        assert!(after.keys().all(|name| same(name)), "{case}: a file was changed");
        fs::write(&path, &whole[name]).must("mend the file");
    }
    // Mended, it is all there.
    let mut world = World::at(home);
    for n in 0..50 {
        world.fetch(&format!("g{n}"), ("orders", 0)).is(200);
    }
}

#[test]
fn a_directory_in_use_is_an_error_that_says_by_whom_and_what_to_do() {
    let mut world = World::new();
    world.commit("g", ("orders", 0), 1).ok();
    let data = world.home.data().display().to_string();
    let words =
        [data.as_str(), "in use by another offsetd", "stop it first, or choose another data directory"];
    fails(&world.home.run(), "a second server", &words);
    world.commit("g", ("orders", 0), 2).ok();
}

/// As a user who may look and not write. Root may write everywhere, so root becomes nobody for it.
#[cfg(unix)]
#[test]
fn a_directory_that_may_not_be_written_is_an_error_that_names_it() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    use std::process::{Command, Stdio};

    let home = filled();
    let mode = |path: &Path, mode| {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).must("set permissions");
    };
    mode(home.root(), 0o555);
    mode(&home.data(), 0o555);
    for name in files(&home.data()).keys() {
        mode(&home.data().join(name), 0o444);
    }
    if home.data().join("LOCK").exists() {
        mode(&home.data().join("LOCK"), 0o444);
    }
    let is_root = fs::metadata(home.root()).must("look at the root").uid() == 0;
    let as_nobody = |plain: &Command| {
        if !is_root {
            let mut same = Command::new(plain.get_program());
            same.args(plain.get_args());
            return same;
        }
        // Where it was built nobody may not go.
        let copy = home.root().join("offsetd");
        if !copy.exists() {
            fs::copy(plain.get_program(), &copy).must("copy the binary");
            mode(&copy, 0o555);
        }
        let mut command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "--"]).arg(copy);
        command.args(plain.get_args());
        command
    };
    if is_root && Command::new("setpriv").arg("--version").stdout(Stdio::null()).status().is_err() {
        strace::skip(
            "damage",
            "OFFSETD_REQUIRE_TMPFS",
            "root cannot become nobody: setpriv of util-linux is missing",
        );
        return;
    }
    let attempt = |home: &Home| {
        let mut command = as_nobody(&home.command());
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        run(command)
    };
    let before = files(&home.data());
    let finished = attempt(&home);
    fails(
        &finished,
        "a store that may not be written",
        &[&home.data().display().to_string(), "Permission denied"],
    );
    assert!(files(&home.data()) == before, "a file was changed");

    // One that may not even be made.
    let elsewhere = home.root().join("new");
    let mut command = as_nobody(&home.command());
    let arguments: Vec<_> = command.get_args().map(ToOwned::to_owned).collect();
    let mut remade = Command::new(command.get_program());
    let mut next_is_data = false;
    for argument in arguments {
        remade.arg(if next_is_data { elsewhere.clone().into() } else { argument.clone() });
        next_is_data = argument == "--data-dir";
    }
    remade.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command = remade;
    let finished = run(command);
    fails(
        &finished,
        "a store that may not be made",
        &[&elsewhere.display().to_string(), "Permission denied"],
    );
    assert!(!elsewhere.exists());
    mode(home.root(), 0o755);
    mode(&home.data(), 0o755);
}
