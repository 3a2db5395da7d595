//! The server as a process: started on a home (a temporary data directory and a config), killed, stopped, restarted.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use super::must::{Must, within};

const READY_WITHIN: Duration = Duration::from_secs(20);
const STOPPED_WITHIN: Duration = Duration::from_secs(20);

/// The binary under test: `OFFSETD_BIN` if it is set, else the one that cargo built for this package.
pub fn binary() -> PathBuf {
    std::env::var_os("OFFSETD_BIN")
        .map(PathBuf::from)
        .or_else(|| option_env!("CARGO_BIN_EXE_offsetd").map(PathBuf::from))
        .must("find the binary: set OFFSETD_BIN")
}

/// The binary with none of the caller's settings in its environment.
pub fn command() -> Command {
    let mut command = Command::new(binary());
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("OFFSETD_") {
            command.env_remove(name);
        }
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

/// Where a server lives: a data directory of its own and how it is started there.
pub struct Home {
    root: tempfile::TempDir,
    subcommand: &'static str,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    listen: Option<String>,
    admin: Option<&'static str>,
}

impl Home {
    pub fn new() -> Self {
        let root =
            tempfile::Builder::new().prefix("offsetd-it-").tempdir().must("make a temporary directory");
        Self {
            root,
            subcommand: "serve",
            arguments: Vec::new(),
            environment: Vec::new(),
            listen: Some("127.0.0.1:0".to_owned()),
            admin: Some("none"),
        }
    }

    /// A gateway in front of these brokers, in place of a server.
    pub fn gateway(mut self, upstream: SocketAddr) -> Self {
        self.subcommand = "gateway";
        self.argument("--upstream", &upstream.to_string())
    }

    /// A TOML config file, given to every start from now on.
    pub fn config(mut self, toml: &str) -> Self {
        let path = self.root.path().join("offsetd.toml");
        fs::write(&path, toml).must("write the config");
        self.arguments.extend(["--config".to_owned(), path.display().to_string()]);
        self
    }

    pub fn argument(mut self, name: &str, value: &str) -> Self {
        self.arguments.extend([name.to_owned(), value.to_owned()]);
        self
    }

    pub fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Starts without `--listen`, so that the config or the environment says it.
    pub fn listen_elsewhere(mut self) -> Self {
        self.listen = None;
        self
    }

    /// Starts without `--admin-listen`, so that the config or the environment says it.
    pub fn admin_elsewhere(mut self) -> Self {
        self.admin = None;
        self
    }

    /// With an admin listener, which the other homes have not.
    pub fn with_admin(mut self) -> Self {
        self.admin = Some("127.0.0.1:0");
        self
    }

    pub fn data(&self) -> PathBuf {
        self.root.path().join("data")
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// The command that starts a server here, not yet run.
    pub fn command(&self) -> Command {
        self.command_on(self.listen.as_deref())
    }

    fn command_on(&self, listen: Option<&str>) -> Command {
        let mut command = command();
        command.current_dir(self.root.path()).arg(self.subcommand);
        if let Some(listen) = listen {
            command.args(["--listen", listen]);
        }
        if let Some(admin) = self.admin {
            command.args(["--admin-listen", admin]);
        }
        command.arg("--data-dir").arg(self.data()).args(&self.arguments);
        command.envs(self.environment.iter().cloned());
        command
    }

    pub fn start(&self) -> Server {
        Server::spawn(self.command())
    }

    /// Starts on exactly this address: that of a server that was here before.
    pub fn start_on(&self, listen: SocketAddr) -> Server {
        Server::spawn(self.command_on(Some(&listen.to_string())))
    }

    /// Runs to the end; for starts that must fail.
    pub fn run(&self) -> Finished {
        run(self.command())
    }
}

fn is_ready(line: &str) -> bool {
    line.starts_with("offsetd ready") || line.starts_with("offsetd gateway ready")
}

/// What a process that ended on its own left behind.
pub struct Finished {
    pub code: Option<i32>,
    pub stderr: String,
}

/// Runs a command that is expected to end by itself.
pub fn run(mut command: Command) -> Finished {
    let mut child = command.spawn().must("start the binary");
    let stderr = Lines::of(child.stderr.take().must("take its standard error"));
    let _stdout = Lines::of(child.stdout.take().must("take its standard output"));
    match wait(&mut child, STOPPED_WITHIN) {
        Some(status) => {
            stderr.ended();
            Finished { code: status.code(), stderr: stderr.text() }
        }
        None => {
            drop(child.kill());
            drop(child.wait());
            panic!("it did not end by itself; standard error:\n{}", stderr.text())
        }
    }
}

fn wait(child: &mut Child, limit: Duration) -> Option<ExitStatus> {
    let started = Instant::now();
    loop {
        if let Some(status) = child.try_wait().must("ask for the exit status") {
            return Some(status);
        }
        if started.elapsed() > limit {
            return None;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

/// A running server. Dropping it kills it.
pub struct Server {
    child: Child,
    stderr: Lines,
    stdout: Lines,
    ready: String,
}

impl Server {
    /// Starts it, and waits until it says that it is ready.
    pub fn spawn(mut command: Command) -> Self {
        let mut child = command.spawn().must("start the binary");
        let stderr = Lines::of(child.stderr.take().must("take its standard error"));
        let stdout = Lines::of(child.stdout.take().must("take its standard output"));
        let Some(ready) = stderr.wait_for(is_ready, READY_WITHIN) else {
            drop(child.kill());
            drop(child.wait());
            panic!("no ready line; standard error:\n{}", stderr.text());
        };
        Self { child, stderr, stdout, ready }
    }

    pub fn ready_line(&self) -> &str {
        &self.ready
    }

    /// A field of the ready line, such as `listen`.
    pub fn said(&self, field: &str) -> &str {
        self.ready
            .split(' ')
            .find_map(|word| word.strip_prefix(field)?.strip_prefix('='))
            .must(&format!("find {field}= in the ready line {:?}", self.ready))
    }

    /// The addresses it listens on, in the order of its listeners.
    pub fn addresses(&self) -> Vec<SocketAddr> {
        self.said("listen").split(',').map(|address| address.parse().must("parse listen=")).collect()
    }

    pub fn address(&self) -> SocketAddr {
        *self.addresses().first().must("find a listener")
    }

    /// The address of its admin listener.
    pub fn admin(&self) -> SocketAddr {
        self.said("admin").parse().must("parse admin=")
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    pub fn stderr(&self) -> String {
        self.stderr.text()
    }

    /// Everything it wrote, wherever.
    pub fn output(&self) -> String {
        format!("{}{}", self.stderr.text(), self.stdout.text())
    }

    /// The most memory it ever had resident, in KiB; None where the system does not tell.
    pub fn peak_memory_kib(&self) -> Option<u64> {
        self.memory_kib("VmHWM:")
    }

    /// The memory it has resident now, in KiB; None where the system does not tell.
    pub fn resident_memory_kib(&self) -> Option<u64> {
        self.memory_kib("VmRSS:")
    }

    fn memory_kib(&self, field: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.pid())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(field))?;
        line.trim().trim_end_matches(" kB").parse().ok()
    }

    /// SIGKILL: no goodbye.
    pub fn kill(mut self) {
        self.child.kill().must("kill the server");
        self.child.wait().must("wait for the killed server");
    }

    pub fn signal(&self, name: &str) {
        let status = Command::new("sh").args(["-c", &format!("kill -{name} {}", self.pid())]).status();
        assert!(status.must("run kill").success(), "kill -{name} failed");
    }

    /// SIGTERM, and its exit code within the bound.
    pub fn stop(self) -> Stopped {
        self.signal("TERM");
        self.wait()
    }

    /// Waits for an end that something else brought about.
    pub fn wait(mut self) -> Stopped {
        let started = Instant::now();
        let status = wait(&mut self.child, STOPPED_WITHIN)
            .must(&format!("see it end within {STOPPED_WITHIN:?}; standard error:\n{}", self.stderr.text()));
        self.stderr.ended();
        Stopped { code: status.code(), took: started.elapsed(), stderr: self.stderr.text() }
    }

    #[track_caller]
    pub fn never_panicked(&self) {
        let output = self.output();
        let panicked = output.lines().find(|line| line.contains("panicked at"));
        assert_eq!(panicked, None, "the server panicked; all it said:\n{output}");
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

pub struct Stopped {
    pub code: Option<i32>,
    pub took: Duration,
    pub stderr: String,
}

/// Lines that a thread reads from a pipe as they come.
struct Lines {
    shared: Arc<(Mutex<Seen>, Condvar)>,
}

#[derive(Default)]
struct Seen {
    lines: Vec<String>,
    ended: bool,
}

impl Lines {
    fn of(pipe: impl Read + Send + 'static) -> Self {
        let shared: Arc<(Mutex<Seen>, Condvar)> = Arc::default();
        let writer = Arc::clone(&shared);
        std::thread::spawn(move || {
            let mut pipe = BufReader::new(pipe);
            let mut line = Vec::new();
            while pipe.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                lock(&writer).lines.push(text);
                writer.1.notify_all();
                line.clear();
            }
            lock(&writer).ended = true;
            writer.1.notify_all();
        });
        Self { shared }
    }

    fn wait_for(&self, wanted: impl Fn(&str) -> bool, limit: Duration) -> Option<String> {
        let undecided = |read: &mut Seen| !read.ended && !read.lines.iter().any(|line| wanted(line));
        let (read, _) =
            self.shared.1.wait_timeout_while(lock(&self.shared), limit, undecided).must("wait for a line");
        read.lines.iter().find(|line| wanted(line)).cloned()
    }

    fn ended(&self) {
        within(Duration::from_secs(5), "the pipe of an ended process closes", || lock(&self.shared).ended);
    }

    fn text(&self) -> String {
        lock(&self.shared).lines.iter().map(|line| format!("{line}\n")).collect()
    }
}

fn lock(shared: &(Mutex<Seen>, Condvar)) -> MutexGuard<'_, Seen> {
    shared.0.lock().must("lock the lines read")
}
