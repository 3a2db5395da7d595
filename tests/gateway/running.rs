//! A program that runs beside the test, whose lines are read as they come.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Far above what anything here takes.
pub const PATIENCE: Duration = Duration::from_secs(60);

pub struct Running {
    name: &'static str,
    child: Child,
    said: Arc<Said>,
    listeners: Vec<thread::JoinHandle<()>>,
}

/// What it has printed up to now, on both of its outputs, and a bell for each line.
#[derive(Default)]
struct Said(Mutex<Vec<String>>, Condvar);

impl Running {
    pub fn start(name: &'static str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        let said = Arc::new(Said::default());
        let output = listen(&said, child.stdout.take().expect("its output"));
        let errors = listen(&said, child.stderr.take().expect("its errors"));
        Self { name, child, said, listeners: vec![output, errors] }
    }

    /// Everything up to now.
    pub fn lines(&self) -> Vec<String> {
        self.said.0.lock().expect("its lines").clone()
    }

    /// Waits until so many of its lines are of a kind.
    pub fn await_count(&self, what: &str, count: usize, is_one: impl Fn(&str) -> bool) {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.0.lock().expect("its lines");
        loop {
            let found = said.iter().filter(|line| is_one(line)).count();
            if found >= count {
                return;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            let last = &said[said.len().saturating_sub(10)..];
            assert!(!left.is_zero(), "{}: {found} of {count} {what}; it said {last:#?}", self.name);
            said = self.said.1.wait_timeout(said, left).expect("its lines").0;
        }
    }

    /// Sends `TERM`, `INT` or the like, and waits for its end: all that it has said.
    pub fn end(mut self, signal: &str) -> Vec<String> {
        let id = self.child.id().to_string();
        let status = Command::new("kill").args(["-s", signal, &id]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {signal} {}", self.name);
        let deadline = Instant::now() + PATIENCE;
        while self.child.try_wait().expect("look at a program").is_none() {
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
        for listener in self.listeners.drain(..) {
            listener.join().expect("read its lines");
        }
        self.lines()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(said: &Arc<Said>, pipe: impl Read + Send + 'static) -> thread::JoinHandle<()> {
    let said = said.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            said.0.lock().expect("its lines").push(line);
            said.1.notify_all();
        }
    })
}
