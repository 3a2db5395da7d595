//! A process that does not outlive the tests, however they end, and that can be sent signals.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

const PATIENCE: Duration = Duration::from_secs(60);

/// Runs a program, says its id, sends it the signals that standard input names, and kills it when that ends.
const LEASH: &str = r#"exec 3<&0
"$@" </dev/null &
child=$!
echo "process $child"
{ while read -r signal <&3; do kill -s "$signal" $child 2>/dev/null; done; kill -KILL $child 2>/dev/null; } &
reader=$!
wait $child
code=$?
kill $reader 2>/dev/null
exit $code"#;

/// A program that runs until this is dropped, or the tests are gone.
pub struct Process {
    shell: Child,
    input: Option<ChildStdin>,
    log: PathBuf,
}

impl Process {
    /// Starts a program. What it says goes to a file, because a pipe that nobody reads would block it once it is full.
    /// None of the settings of whoever runs the tests, `OFFSETD_...`, reach it.
    pub fn start(command: &[String], log: &Path) -> Self {
        let file = File::create(log).expect("create a log");
        let mut shell = Command::new("sh");
        let settings = std::env::vars_os().map(|(name, _)| name);
        for name in settings.filter(|name| name.to_string_lossy().starts_with("OFFSETD_")) {
            shell.env_remove(name);
        }
        let mut shell = shell
            .args(["-c", LEASH, "leash"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(file.try_clone().expect("share a log"))
            .stderr(file)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self { input: shell.stdin.take(), shell, log: log.to_owned() }
    }

    /// Everything that it has said.
    pub fn log(&self) -> String {
        let text = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&text).into_owned()
    }

    /// The last lines of it.
    pub fn end_of_log(&self) -> String {
        let (log, last) = (self.log(), 40);
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(last)..].join("\n")
    }

    /// The program's own id, not the shell's.
    pub fn id(&self) -> u32 {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let log = self.log();
            let id = log.lines().next().and_then(|line| line.strip_prefix("process ")?.parse().ok());
            if let Some(id) = id {
                return id;
            }
            assert!(Instant::now() < deadline, "a process has no id: {log}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    /// `TERM`, `STOP`, `CONT`, `KILL`.
    pub fn signal(&mut self, signal: &str) {
        let input = self.input.as_mut().expect("a leash");
        writeln!(input, "{signal}").expect("pull the leash");
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.shell.try_wait().expect("look at a process")
    }

    /// Waits for its end.
    pub fn end(&mut self) -> ExitStatus {
        self.end_within(PATIENCE)
    }

    pub fn end_within(&mut self, patience: Duration) -> ExitStatus {
        let deadline = Instant::now() + patience;
        loop {
            if let Some(status) = self.ended() {
                return status;
            }
            assert!(Instant::now() < deadline, "no end after {patience:?}:\n{}", self.end_of_log());
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// `kill -9`, and waits until it is gone.
    pub fn kill(&mut self) {
        drop(self.input.take());
        let _ = self.shell.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
