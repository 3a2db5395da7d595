//! The rules of the house that a program can check: which room may know which, how long a file may be, what README,
//! ARCHITECTURE, CHANGELOG and the sample configuration must say. A failure names the file, the line and the rule.

#![cfg(feature = "server")]

#[path = "tidy/rooms.rs"]
mod rooms;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use offsetd::api::Api;
use offsetd::config::Config;
use rooms::ROOMS;

/// Words that a room (or a folder of one) may not say at all, and why. A word with `::` matches that path.
const UNSAID: &[(&str, &[&str], &str)] = &[
    ("src/model", &["tokio", "kafka_protocol", "redb", "clock", "SystemTime", "Instant"], "the core is pure"),
    ("src/model", &["HashMap", "HashSet", "rand"], "the core gives the same answer every time"),
    (
        "src/records",
        &["tokio", "clock", "Instant", "Mutex"],
        "logs are told the time and held by their shell",
    ),
    ("src/store", &["tokio", "kafka_protocol"], "the store works in any program"),
    ("src/embed", &["tokio", "kafka_protocol"], "the library works without a runtime"),
    ("src/coordinator", &["kafka_protocol", "redb"], "the coordinator has no wire types and any store"),
    ("src/wire", &["redb", "tokio::net"], "the wire is bytes"),
    ("src/api", &["redb", "tokio::net"], "an API knows no sockets and no engine"),
];

const MAX_LINES: usize = 450;
/// Files over `MAX_LINES`, and why. An entry that is not needed any more is an error too.
const LONG_FILES: &[(&str, &str)] = &[];

fn root() -> PathBuf {
    env::var_os("CARGO_MANIFEST_DIR").unwrap_or_else(|| env!("CARGO_MANIFEST_DIR").into()).into()
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// Paths of all `.rs` files below a folder, from the root, sorted.
fn sources(folder: &str) -> Vec<String> {
    fn walk(dir: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(dir).unwrap_or_else(|error| panic!("{}: {error}", dir.display())) {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root().join(folder), &mut found);
    assert!(!found.is_empty(), "{folder} has no source files");
    let from_root = |path: PathBuf| path.strip_prefix(root()).unwrap().to_str().unwrap().replace('\\', "/");
    let mut paths: Vec<String> = found.into_iter().map(from_root).collect();
    paths.sort();
    paths
}

/// The numbered lines of a file, those of its unit tests left out: from `#[cfg(test)]` to the `}` that ends the module.
fn untested(text: &str) -> Vec<(usize, &str)> {
    let lines: Vec<&str> = text.lines().collect();
    let mut in_tests = false;
    let outside = lines.iter().enumerate().filter(|(index, line)| {
        let module = lines.get(index + 1).is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
        let starts = **line == "#[cfg(test)]" && module;
        let ends = in_tests && **line == "}";
        in_tests = (in_tests || starts) && !ends;
        !in_tests && !ends
    });
    outside.map(|(index, line)| (index + 1, *line)).collect()
}

/// The same without comments: the code.
fn code(text: &str) -> Vec<(usize, &str)> {
    let lines = untested(text).into_iter().filter(|(_, line)| !line.trim_start().starts_with("//"));
    lines.map(|(number, line)| (number, line.split(" // ").next().unwrap_or(line))).collect()
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// True if `line` says `word` and not as a part of a longer one.
fn says(line: &str, word: &str) -> bool {
    line.match_indices(word)
        .any(|(at, _)| !line[..at].ends_with(is_word) && !line[at + word.len()..].starts_with(is_word))
}

/// A file's module path: `src/api/mod.rs` is `[api]`, `src/api/metadata.rs` is `[api, metadata]`.
fn module(path: &str) -> Vec<&str> {
    let path = path.trim_start_matches("src/").trim_end_matches(".rs");
    path.split('/').filter(|part| *part != "mod").collect()
}

/// The first names of what follows `crate::` or the last `super::`: one, or those of a `{list}`.
fn first_names(rest: &str) -> Vec<&str> {
    let name = |text: &str| text.find(|c| !is_word(c)).unwrap_or(text.len());
    let Some(list) = rest.strip_prefix('{') else { return vec![&rest[..name(rest)]] };
    let (mut depth, mut start, mut names) = (0, true, Vec::new());
    for (at, c) in list.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' => start = start || depth == 0,
            c if start && is_word(c) => {
                names.push(&list[at..at + name(&list[at..])]);
                start = false;
            }
            _ => {}
        }
    }
    names
}

/// Every room that a file's code names, with the line.
fn rooms_named(path: &str, text: &str) -> Vec<(usize, String)> {
    let own = module(path);
    let mut named = Vec::new();
    // Lists may go over several lines: all the code is one text, and a line is found again by its place.
    let (numbers, lines): (Vec<usize>, Vec<&str>) = code(text).into_iter().unzip();
    let joined = lines.join("\n");
    let line_of = |at: usize| numbers[joined[..at].matches('\n').count()];
    for (at, start) in joined.match_indices("crate::").chain(joined.match_indices("super::")) {
        if joined[..at].ends_with(is_word) || (start == "super::" && joined[..at].ends_with("super::")) {
            continue;
        }
        let mut rest = &joined[at..];
        let mut base = if start == "crate::" { &[][..] } else { &own[..] };
        while let Some(after) = rest.strip_prefix("super::") {
            assert!(!base.is_empty(), "{path}:{}: a super:: too many", line_of(at));
            (base, rest) = (&base[..base.len() - 1], after);
        }
        rest = rest.strip_prefix("crate::").unwrap_or(rest);
        match base.first() {
            Some(room) => named.push((line_of(at), (*room).to_owned())),
            None => named.extend(first_names(rest).into_iter().map(|name| (line_of(at), name.to_owned()))),
        }
    }
    // The binary names its rooms from outside.
    if own == ["main"] {
        for (at, start) in joined.match_indices("offsetd::") {
            let names = first_names(&joined[at + start.len()..]);
            named.extend(names.into_iter().map(|name| (line_of(at), name.to_owned())));
        }
    }
    named
}

fn no_faults(rule: &str, faults: &[String]) {
    assert!(faults.is_empty(), "{rule}\n  {}", faults.join("\n  "));
}

#[test]
fn rooms_depend_one_way() {
    for (index, (room, allowed)) in ROOMS.iter().enumerate() {
        for other in *allowed {
            assert!(
                ROOMS[index + 1..].iter().any(|(below, _)| below == other),
                "{other} is not below {room}"
            );
        }
    }
    let mut faults = Vec::new();
    for path in sources("src") {
        let room = module(&path)[0];
        if path == "src/lib.rs" {
            continue;
        }
        let Some((_, allowed)) = ROOMS.iter().find(|(name, _)| *name == room) else {
            faults.push(format!("{path}: {room} is not among ROOMS in tests/tidy/rooms.rs"));
            continue;
        };
        for (line, named) in rooms_named(&path, &read(&path)) {
            if named != room && !allowed.contains(&named.as_str()) {
                faults.push(format!("{path}:{line}: {room} must not know {named}"));
            }
        }
    }
    no_faults("A room knows only those below it (ARCHITECTURE.md, ROOMS in tests/tidy/rooms.rs):", &faults);
}

#[test]
fn rooms_keep_out_what_is_not_theirs() {
    let mut faults = Vec::new();
    for path in sources("src") {
        for (line, code) in code(&read(&path)) {
            for (folder, words, why) in UNSAID {
                if Path::new(&path).starts_with(folder) {
                    let said = words.iter().filter(|word| says(code, word));
                    faults.extend(said.map(|word| format!("{path}:{line}: says {word}, but {why}")));
                }
            }
            let engine = Path::new(&path).starts_with("src/store/redb");
            // The crate, not our room of that name.
            let crates = code.replace("store::redb", "").replace("super::redb", "").replace("mod redb", "");
            if !engine && says(&crates, "redb") {
                faults.push(format!("{path}:{line}: only src/store/redb touches the redb crate"));
            }
        }
    }
    no_faults("Words that a room does not say (UNSAID in tests/tidy.rs):", &faults);
}

#[test]
fn files_are_short() {
    let mut faults = Vec::new();
    let sizes = sources("src").into_iter().map(|path| (untested(&read(&path)).len(), path));
    let tests = sources("tests").into_iter().map(|path| (read(&path).lines().count(), path));
    for (lines, path) in sizes.chain(tests) {
        let excused = LONG_FILES.iter().any(|(long, _)| *long == path);
        if lines > MAX_LINES && !excused {
            faults.push(format!("{path}: {lines} lines; it is two things"));
        }
        if lines <= MAX_LINES && excused {
            faults.push(format!("{path}: {lines} lines; take it off LONG_FILES"));
        }
    }
    no_faults(&format!("A file has at most {MAX_LINES} lines of code, its unit tests not counted:"), &faults);
}

#[test]
fn every_source_file_says_what_it_is() {
    let starts = |path: &String| read(path).trim_start().starts_with("//!") || path == "src/lib.rs";
    let faults: Vec<String> = sources("src").into_iter().filter(|path| !starts(path)).collect();
    no_faults("A file opens with `//!`: what it is, what it never does:", &faults);
    let crate_docs = r#"#![doc = include_str!("../README.md")]"#;
    assert!(read("src/lib.rs").contains(crate_docs), "src/lib.rs: README.md is the crate's documentation");
}

#[test]
fn the_readme_lists_the_apis_served() {
    let (readme, table) = (read("README.md"), offsetd::api::table());
    let (begin, end) = ("<!-- apis -->", "<!-- /apis -->");
    let between = readme.split_once(begin).and_then(|(_, rest)| rest.split_once(end)).map(|(found, _)| found);
    let wanted = format!("{begin}\n{}\n{end}", table.trim());
    let Some(found) = between else {
        panic!("README.md has no table of the APIs served. Put this where it belongs:\n\n{wanted}\n");
    };
    assert!(found.trim() == table.trim(), "README.md, between the markers, must be:\n\n{wanted}\n");
}

/// Every API is described for the oracle, with the versions served, and scripts say it in all of them.
#[test]
fn the_oracle_covers_the_apis_served() {
    let described = read("tests/oracle/apis.txt");
    let scripts = fs::read_dir(root().join("tests/oracle/scripts")).unwrap();
    let scripts: String = scripts.map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap()).collect();
    let mut faults = Vec::new();
    for Api { key, name, min, max, .. } in offsetd::api::APIS {
        let head = format!("{} {name} {min}-{max} ", *key as i16);
        if !described.lines().any(|line| line.starts_with(&head)) {
            faults.push(format!("tests/oracle/apis.txt: wants an entry that begins with {head:?}"));
        }
        // `NAME * {...}`, `NAME 2-9 {...}` or `NAME 9 {...}`.
        let said = scripts.lines().filter_map(|line| {
            let (range, _) = line.strip_prefix(name)?.strip_prefix(' ')?.split_once(" {")?;
            let (from, to) = range.split_once('-').unwrap_or((range, range));
            if range == "*" { Some(*min..=*max) } else { Some(from.parse().ok()?..=to.parse().ok()?) }
        });
        let said: BTreeSet<i16> = said.flatten().collect();
        let missing: Vec<i16> = (*min..=*max).filter(|version| !said.contains(version)).collect();
        if !missing.is_empty() {
            faults.push(format!("tests/oracle/scripts: no script says {name} {missing:?}"));
        }
    }
    no_faults("The oracle compares every API with Kafka (tests/oracle/README.md):", &faults);
}

/// Every path of a table down to what is not a table: `server.node_id`.
fn paths(prefix: &str, table: &toml::Table, found: &mut BTreeSet<String>) {
    for (key, value) in table {
        match value {
            toml::Value::Table(inner) => paths(&format!("{prefix}{key}."), inner, found),
            _ => _ = found.insert(format!("{prefix}{key}")),
        }
    }
}

#[test]
fn the_sample_configuration_documents_every_setting() {
    const SAMPLE: &str = "examples/offsetd.toml";
    let text = read(SAMPLE);
    let load = |path: &Path| {
        Config::load(Some(path), &|_| None, &[])
            .unwrap_or_else(|error| panic!("{SAMPLE} does not load: {error}"))
    };
    assert_eq!(
        load(&root().join(SAMPLE)),
        Config::default(),
        "{SAMPLE} shows values that are not the defaults"
    );

    // Lists are empty by default, so they stand as samples: lines that begin with `#` and no space.
    let sample = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_lowercase()) => rest.to_owned(),
        _ => line.to_owned(),
    };
    let samples: String = text.lines().map(|line| sample(line) + "\n").collect();
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("samples.toml");
    fs::write(&file, &samples).unwrap();
    let config = load(&file);

    let mut missing = BTreeSet::new();
    paths("", &toml::Table::try_from(Config::default()).unwrap(), &mut missing);
    let mut shown = BTreeSet::new();
    paths("", &samples.parse().unwrap(), &mut shown);
    missing.retain(|path| !shown.contains(path));
    assert!(missing.is_empty(), "{SAMPLE} does not document {missing:?}");
    assert!(
        config.tenants.iter().any(|t| t.guard_mode.is_some() && t.refusal_code.is_some()),
        "{SAMPLE}: tenants"
    );

    // What is set has a comment above it, samples included.
    let lines: Vec<&str> = text.lines().collect();
    for (number, two) in lines.windows(2).enumerate() {
        let sets = two[1].starts_with(|c: char| c.is_lowercase() || c == '[');
        assert!(
            !sets || two[0].starts_with('#'),
            "{SAMPLE}:{}: {:?} has no comment above it",
            number + 2,
            two[1]
        );
    }
}

#[test]
fn the_papers_are_there_and_short() {
    let lines = read("ARCHITECTURE.md").lines().count();
    assert!((1..=250).contains(&lines), "ARCHITECTURE.md has {lines} lines; 250 are the most that is read");
    let version = env!("CARGO_PKG_VERSION");
    assert!(says(&read("CHANGELOG.md"), version), "CHANGELOG.md does not say what is in {version}");
    for licence in ["LICENSE-MIT", "LICENSE-APACHE"] {
        assert!(read(licence).contains("offsetd contributors"), "{licence} names no holder");
    }
}

#[test]
fn nothing_is_unfinished_or_tied_to_one_machine() {
    // In two parts, so that this file does not find itself.
    let places = [
        concat!("/wo", "rk/"),
        concat!("/ro", "ot/"),
        concat!("/ho", "me/"),
        concat!("index.cra", "tes.io"),
        concat!("static.cra", "tes.io"),
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("registry.np", "mjs"),
        concat!("repo.ma", "ven"),
        concat!("repo1.ma", "ven"),
        concat!("proxy.gol", "ang"),
        concat!("deb.deb", "ian"),
    ];
    let unfinished = ["TODO", "FIXME", "XXX", "todo!", "unimplemented!"];
    let listed = Command::new("git")
        .args(["ls-files", "-z", "--cached", "--others", "--exclude-standard"])
        .current_dir(root())
        .output();
    let Some(listed) = listed.ok().filter(|listed| listed.status.success()) else {
        println!("SKIPPED: not a git work tree");
        return;
    };
    let mut faults = Vec::new();
    for path in String::from_utf8(listed.stdout).unwrap().split_terminator('\0') {
        // Deleted but not yet committed.
        let Ok(bytes) = fs::read(root().join(path)) else { continue };
        let in_source = path.starts_with("src/") && path.ends_with(".rs");
        for (index, line) in String::from_utf8_lossy(&bytes).lines().enumerate() {
            let place = places.iter().filter(|place| line.contains(*place));
            let open = unfinished.iter().filter(|word| in_source && line.contains(*word));
            faults.extend(place.chain(open).map(|word| format!("{path}:{}: {word}", index + 1)));
        }
    }
    no_faults("No place of one machine, no registry's host, and in src nothing unfinished:", &faults);
}

#[test]
fn every_dependency_has_a_reason() {
    let (mut in_dependencies, mut reason, mut seen) = (false, false, 0);
    let mut faults = Vec::new();
    for line in read("Cargo.toml").lines() {
        if line.starts_with('[') {
            in_dependencies = line.ends_with("dependencies]");
        }
        let group_ends = line.is_empty() || line.starts_with('[');
        reason = !group_ends && (reason || line.starts_with('#'));
        if in_dependencies && line.starts_with(|c: char| c.is_alphanumeric()) {
            seen += 1;
            if !reason {
                faults.push(line.to_owned());
            }
        }
    }
    assert!(seen > 10, "no longer understands Cargo.toml: {seen} dependencies seen");
    no_faults("Cargo.toml: a comment above a dependency, or above its group, says why it is there:", &faults);
}
