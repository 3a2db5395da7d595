//! A process that does not outlive the test, however that ends: it is killed as soon as a pipe from here closes.

use std::fs::File;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// Runs a program, and kills it when standard input ends.
const LEASH: &str = r#"exec 3<&0
"$@" </dev/null &
child=$!
{ read -r _ <&3; kill -KILL $child 2>/dev/null; } &
reader=$!
wait $child
code=$?
kill $reader 2>/dev/null
exit $code"#;

/// A program that runs until this is dropped, or the test is gone.
pub struct Leashed(Child);

impl Leashed {
    /// Starts a program; what it says goes to a file, because a pipe that nobody reads would block it once it is full.
    /// None of the settings of whoever runs the tests, `OFFSETD_...`, reach it.
    pub fn start(command: &[&str], log: &Path) -> Self {
        let log = File::create(log).expect("create a log");
        let mut shell = Command::new("sh");
        for (name, _) in
            std::env::vars_os().filter(|(name, _)| name.to_string_lossy().starts_with("OFFSETD_"))
        {
            shell.env_remove(name);
        }
        let child = shell
            .args(["-c", LEASH, "leash"])
            .args(command)
            .stdin(Stdio::piped())
            .stdout(log.try_clone().expect("share a log"))
            .stderr(log)
            .spawn()
            .unwrap_or_else(|error| panic!("start {command:?}: {error}"));
        Self(child)
    }

    /// How it ended, if it has.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().expect("look at a process")
    }
}

impl Drop for Leashed {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        // Nothing can be done about an error, and the test has other things to say.
        let _ = self.0.wait();
    }
}
