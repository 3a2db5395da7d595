//! Members of consumer groups: client programs that run beside the test until it ends them.

use std::borrow::Borrow;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Far above what anything here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) struct Member {
    pub(crate) name: &'static str,
    child: Child,
    /// `None` once it has been told to leave.
    input: Option<ChildStdin>,
    said: Arc<Said>,
    /// How many answers have been read.
    answers: usize,
    /// How many lines it had printed at [`Member::mark`].
    mark: usize,
}

/// What a program has printed up to now, and a bell for each line.
#[derive(Default)]
struct Said(Mutex<Vec<String>>, Condvar);

impl Member {
    pub(crate) fn start(name: &'static str, mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("start {name}: {error}"));
        let said = Arc::new(Said::default());
        listen(&said, child.stdout.take().unwrap());
        listen(&said, child.stderr.take().unwrap());
        let input = child.stdin.take();
        Self { name, child, input, said, answers: 0, mark: 0 }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The partitions of its last assignment, as `orders/0`; `None` before the first.
    pub(crate) fn owns(&self) -> Option<Vec<String>> {
        let said = self.said.0.lock().unwrap();
        said.iter().rev().find_map(|line| assignment(line))
    }

    /// From here on it is watched.
    pub(crate) fn mark(&mut self) {
        self.mark = self.said.0.lock().unwrap().len();
    }

    /// What it was assigned since the mark, one after another.
    pub(crate) fn assignments_since_mark(&self) -> Vec<Vec<String>> {
        let said = self.said.0.lock().unwrap();
        said[self.mark..].iter().filter_map(|line| assignment(line)).collect()
    }

    pub(crate) fn await_partitions(&self) {
        // The first may be empty: of one that joined before it knew the topic.
        let given =
            |said: &[String]| said.iter().filter_map(|line| assignment(line)).find(|all| !all.is_empty());
        self.await_line("an assignment", given);
    }

    /// Says what is found among its lines as soon as it is there.
    fn await_line<T>(&self, what: &str, find: impl Fn(&[String]) -> Option<T>) -> T {
        let deadline = Instant::now() + PATIENCE;
        let mut said = self.said.0.lock().unwrap();
        loop {
            if let Some(found) = find(&said) {
                return found;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{}: {what} did not come; it said {said:#?}", self.name);
            said = self.said.1.wait_timeout(said, left).unwrap().0;
        }
    }

    pub(crate) fn tell(&mut self, command: &str) {
        let input = self.input.as_mut().expect("it has not been told to leave");
        input.write_all(format!("{command}\n").as_bytes()).expect("tell the member");
    }

    /// The next answer to what it has been told: `ok`, or `refused ...`.
    pub(crate) fn answer(&mut self) -> String {
        let nth = self.answers;
        self.answers += 1;
        self.await_line("an answer", |said| {
            said.iter().filter(|line| *line == "ok" || line.starts_with("refused ")).nth(nth).cloned()
        })
    }

    /// `STOP`, `CONT`, `INT`.
    pub(crate) fn signal(&self, signal: &str) {
        let status = Command::new("kill").args(["-s", signal, &self.pid().to_string()]).status();
        assert!(status.is_ok_and(|status| status.success()), "kill -s {signal} {}", self.name);
    }

    /// Closes its input, upon which it leaves, and waits for its end.
    pub(crate) fn leave(mut self) {
        self.input = None;
        self.ends();
    }

    /// Waits for its end; says its exit code.
    pub(crate) fn ends(&mut self) -> Option<i32> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(status) = self.child.try_wait().expect("look at the member") {
                return status.code();
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn listen(said: &Arc<Said>, pipe: impl Read + Send + 'static) {
    let said = said.clone();
    thread::spawn(move || {
        for line in BufReader::new(pipe).lines().map_while(Result::ok) {
            said.0.lock().unwrap().push(line);
            said.1.notify_all();
        }
    });
}

/// Our own programs print `assigned orders/0 orders/1`, kcat `% Group g rebalanced (...): assigned: orders [0], ...`.
fn assignment(line: &str) -> Option<Vec<String>> {
    if let Some(rest) = line.strip_prefix("assigned") {
        return Some(rest.split_whitespace().map(str::to_owned).collect());
    }
    let (_, rest) = line.split_once("): assigned: ")?;
    let place = |place: &str| place.trim().replace(" [", "/").replace(']', "");
    Some(rest.split(", ").filter(|text| !text.is_empty()).map(place).collect())
}

/// Waits until each of the partitions belongs to exactly one of these members, and each member has its fair part.
pub(crate) fn share<M: Borrow<Member>>(members: &[M], topic: &str, partitions: usize) {
    let deadline = Instant::now() + PATIENCE;
    let mut wanted: Vec<String> = (0..partitions).map(|n| format!("{topic}/{n}")).collect();
    wanted.sort();
    let fair = partitions / members.len();
    loop {
        let owned: Vec<_> = members
            .iter()
            .map(Borrow::borrow)
            .map(|member| (member.name, member.owns().unwrap_or_default()))
            .collect();
        let mut all: Vec<String> = owned.iter().flat_map(|(_, owned)| owned.clone()).collect();
        all.sort();
        let is_fair = |owned: &Vec<String>| owned.len() == fair || owned.len() == fair + 1;
        if all == wanted && owned.iter().all(|(_, owned)| is_fair(owned)) {
            return;
        }
        assert!(
            Instant::now() < deadline,
            "{partitions} partitions are not shared: {owned:#?}\n{:#?}",
            all_said(members)
        );
        thread::sleep(Duration::from_millis(20));
    }
}

fn all_said<M: Borrow<Member>>(members: &[M]) -> Vec<(&'static str, Vec<String>)> {
    let said = |member: &Member| (member.name, member.said.0.lock().unwrap().clone());
    members.iter().map(|member| said(member.borrow())).collect()
}

/// Seconds of processor time that a process has used; `None` where there is no /proc.
pub(crate) fn processor_s(pid: u32) -> Option<f64> {
    // In ticks, of which Linux counts 100 a second for user space on all that offsetd is built for.
    const TICKS: f64 = 100.0;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The second field is the name in parentheses, which may hold spaces.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = |at: usize| fields.get(at)?.parse::<f64>().ok();
    Some((ticks(11)? + ticks(12)?) / TICKS)
}
