//! The Docker engine, and the image under test: built once for all tests that run at the same time, gone with the last.
//!
//! Whatever is made here has a label with this process's id, so that what a killed run left behind is found by the next.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};
use std::sync::{Arc, Mutex, OnceLock, PoisonError, Weak};
use std::{env, fs, thread};

use crate::support::Must;

pub const LABEL: &str = "offsetd.test-of-process";
pub const REPOSITORY: &str = "offsetd-test";

/// The image of `docker/Dockerfile` around the static binary.
pub struct Image(());

impl Image {
    /// None if there is no engine here; then the user has been told. With OFFSETD_REQUIRE_DOCKER=1 that is a failure.
    pub fn get() -> Option<Arc<Self>> {
        static MISSING: OnceLock<Option<String>> = OnceLock::new();
        static SHARED: Mutex<Weak<Image>> = Mutex::new(Weak::new());
        if let Some(reason) = MISSING.get_or_init(missing) {
            skip("DOCKER", reason);
            return None;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        Some(shared.upgrade().unwrap_or_else(|| {
            let built = Arc::new(build());
            *shared = Arc::downgrade(&built);
            built
        }))
    }

    /// A new volume, which goes away with the image.
    pub fn volume(&self) -> String {
        docker(&["volume", "create", "--label", &label()])
    }
}

impl Drop for Image {
    fn drop(&mut self) {
        sweep(|process| process == own_id());
    }
}

/// The tag and the label's value.
pub fn own_id() -> String {
    process::id().to_string()
}

fn label() -> String {
    format!("{LABEL}={}", own_id())
}

pub fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// Says why the running test is left out, or fails it if `OFFSETD_REQUIRE_{what}` is 1.
pub fn skip(what: &str, reason: &str) {
    let variable = format!("OFFSETD_REQUIRE_{what}");
    let required = env::var(&variable).is_ok_and(|value| value == "1");
    assert!(!required, "{variable}=1, but {reason}");
    let current = thread::current();
    say(&format!("SKIPPED containers::{}: {reason}", current.name().unwrap_or("?")));
}

/// Not println!, which the test harness would keep to itself: a test that passes shows nothing.
pub fn say(line: &str) {
    std::io::stderr().write_all(format!("{line}\n").as_bytes()).must("write to stderr");
}

/// What the command prints; a command that fails fails the test.
#[track_caller]
pub fn docker(arguments: &[&str]) -> String {
    run_docker(arguments).unwrap_or_else(|error| panic!("docker {}: {error}", arguments.join(" ")))
}

fn run_docker(arguments: &[&str]) -> Result<String, String> {
    let output =
        Command::new("docker").args(arguments).stdin(Stdio::null()).output().map_err(|e| e.to_string())?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
    if output.status.success() { Ok(text(&output.stdout)) } else { Err(text(&output.stderr)) }
}

/// Why no image can be built and run here, and what to do about it.
fn missing() -> Option<String> {
    const INSTALL: &str = "install Docker (Debian and Ubuntu: apt-get install docker.io; others: docs.docker.com/engine/install)";
    if let Err(error) = run_docker(&["--version"]) {
        return Some(format!("there is no `docker` here ({error}): {INSTALL}"));
    }
    let answer = run_docker(&["version", "--format", "{{.Server.Os}} {{.Server.Version}}"]);
    match answer {
        Ok(server) if server.starts_with("linux ") => {}
        Ok(server) => return Some(format!("the image is for Linux, and this engine says {server:?}")),
        Err(error) => {
            let error = error.lines().last().unwrap_or_default().to_owned();
            return Some(format!("no Docker engine answers: start one, and be in its group ({error})"));
        }
    }
    let builds = cfg!(target_os = "linux") || env::var_os("OFFSETD_STATIC_BIN").is_some();
    (!builds)
        .then(|| "a static binary for Linux is built on Linux; name one in OFFSETD_STATIC_BIN".to_owned())
}

fn build() -> Image {
    // The owner of a label is gone if its process is; elsewhere than on Linux nobody can tell.
    sweep(|process| Path::new("/proc/self").exists() && !Path::new("/proc").join(process).exists());
    let context = tempfile::tempdir().must("make a directory for the image's one file");
    fs::copy(static_binary(), context.path().join("offsetd")).must("copy the binary");
    let dockerfile = root().join("docker/Dockerfile");
    let tag = format!("{REPOSITORY}:{}", own_id());
    // What a failed build has made goes away too.
    let image = Image(());
    docker(&[
        "build",
        "--target",
        "prebuilt",
        "--tag",
        &tag,
        "--label",
        &label(),
        "--file",
        &dockerfile.to_string_lossy(),
        &context.path().to_string_lossy(),
    ]);
    image
}

/// The release binary as `.ci/run` builds it, so that one build does for both; OFFSETD_STATIC_BIN names another.
fn static_binary() -> PathBuf {
    if let Some(path) = env::var_os("OFFSETD_STATIC_BIN") {
        return root().join(path);
    }
    let version = Command::new("rustc").arg("-vV").output().must("ask rustc for its host");
    let version = String::from_utf8_lossy(&version.stdout).into_owned();
    let host = version.lines().find_map(|line| line.strip_prefix("host: ")).must("find rustc's host");
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let output = Command::new(cargo)
        .args(["build", "--locked", "--release", "--bin", "offsetd", "--target", host])
        .args(["--message-format", "json-render-diagnostics"])
        .env_remove("CARGO_ENCODED_RUSTFLAGS")
        .env("RUSTFLAGS", "-C target-feature=+crt-static")
        .current_dir(root())
        .stderr(Stdio::inherit())
        .output()
        .must("run cargo");
    assert!(
        output.status.success(),
        "no static binary; if the linker lacks -lc, install the static libc (libc6-dev, glibc-static)"
    );
    let messages = String::from_utf8_lossy(&output.stdout).into_owned();
    let path = messages.split("\"executable\":\"").nth(1).and_then(|rest| rest.split('"').next());
    PathBuf::from(path.must("find the binary in cargo's messages"))
}

/// Removes what the label says belongs to processes that are `over`: containers first, since they hold the others.
fn sweep(over: impl Fn(&str) -> bool) {
    let filter = format!("label={LABEL}");
    let kinds = [
        ("container", &["ps", "--all"][..], format!("{{{{.ID}}}} {{{{.Label {LABEL:?}}}}}")),
        ("volume", &["volume", "ls"], format!("{{{{.Name}}}} {{{{.Label {LABEL:?}}}}}")),
        ("image", &["images"], "{{.Repository}}:{{.Tag}} {{.Tag}}".to_owned()),
    ];
    for (kind, list, format) in kinds {
        let listed = run_docker(&[list, &["--filter", &filter, "--format", &format]].concat());
        for line in listed.unwrap_or_default().lines() {
            let Some((name, _)) = line.split_once(' ').filter(|(_, process)| over(process)) else { continue };
            let force = if kind == "container" { "--force --volumes" } else { "--force" };
            let command: Vec<&str> = [kind, "rm"].into_iter().chain(force.split(' ')).chain([name]).collect();
            if let Err(error) = run_docker(&command) {
                say(&format!("could not remove {kind} {name}: {error}"));
            }
        }
    }
}
