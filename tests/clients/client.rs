//! A client program as a process: it reads a script (the language of `python/script.py`) and prints its answers.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::server::Server;

/// Far above what a script takes, and above the clients' own request timeouts, so that they can report those.
const TIMEOUT: Duration = Duration::from_secs(100);

/// What the program can say and show.
#[derive(Clone, Copy)]
pub(crate) struct Reach {
    pub(crate) metadata: bool,
    pub(crate) epochs: bool,
}

pub(crate) struct Client {
    pub(crate) name: &'static str,
    command: Vec<OsString>,
    role: &'static str,
    pub(crate) reach: Reach,
    /// Why it cannot run here, and what to do about it.
    missing: Option<String>,
}

impl Client {
    /// `venv` is the virtual environment, `requirements` what it was made from, in `python/`.
    pub(crate) fn python(
        name: &'static str,
        venv: &str,
        requirements: &str,
        program: &str,
        role: &'static str,
    ) -> Self {
        let programs = sources().join("python");
        let python = installed().join(venv).join("bin/python");
        let wanted = fs::read(programs.join(requirements)).expect("read the requirements");
        let missing = missing(
            venv,
            &wanted,
            &[
                ("python3", &["--version"], "python3 is missing; install python3 and python3-venv, then run"),
                (
                    "python3",
                    &["-m", "ensurepip", "--version"],
                    "python3 -m venv is missing; install python3-venv, then run",
                ),
            ],
        );
        // -B: no __pycache__ beside the sources.
        let command = vec![python.into(), "-B".into(), programs.join(program).into()];
        Self { name, command, role, reach: Reach { metadata: true, epochs: true }, missing }
    }

    pub(crate) fn java(name: &'static str, role: &'static str) -> Self {
        Self::compiled(name, "java", "clients", role)
    }

    /// Kafka's command line tools: the script is their command lines.
    pub(crate) fn kafka_tools() -> Self {
        Self::compiled("kafka_tools", "tools", "tools", "tools")
    }

    /// `Main` of a package, of the Maven project of that folder.
    fn compiled(name: &'static str, project: &str, package: &str, role: &'static str) -> Self {
        let missing = missing(
            project,
            &java_inputs(project, package),
            &[
                ("javac", &["-version"], "javac is missing; install openjdk-17-jdk-headless, then run"),
                ("mvn", &["-version"], "mvn is missing; install maven, then run"),
            ],
        );
        let java = installed().join(project);
        let mut class_path = java.join("classes").into_os_string();
        class_path.push(":");
        class_path.push(java.join("lib/*"));
        // One compiler tier: these processes live for a second.
        let command = vec![
            "java".into(),
            "-XX:TieredStopAtLevel=1".into(),
            "-cp".into(),
            class_path,
            format!("{package}.Main").into(),
        ];
        Self { name, command, role, reach: Reach { metadata: true, epochs: true }, missing }
    }

    /// kafkajs; only where npm is there, since no setup.sh brings Node.js.
    pub(crate) fn node(name: &'static str, program: &str) -> Self {
        let programs = sources().join("node");
        let wanted = fs::read(programs.join("package.json")).expect("read package.json");
        let missing =
            missing("node", &wanted, &[("npm", &["--version"], "npm is missing; install Node.js, then run")]);
        let mut modules = OsString::from("OFFSETD_NODE_MODULES=");
        modules.push(installed().join("node"));
        let command = vec!["env".into(), modules, "node".into(), programs.join(program).into()];
        Self { name, command, role: "", reach: Reach { metadata: true, epochs: true }, missing }
    }

    pub(crate) fn without_epochs(mut self) -> Self {
        self.reach.epochs = false;
        self
    }

    pub(crate) fn without_metadata(mut self) -> Self {
        self.reach.metadata = false;
        self
    }

    pub(crate) fn lists(&self) -> bool {
        self.role == "admin"
    }

    /// False if something is missing; then the user has been told. With OFFSETD_REQUIRE_CLIENTS=1 that is a failure.
    pub(crate) fn is_there(&self) -> bool {
        self.missing.as_ref().is_none_or(|reason| skipped(self.name, reason))
    }

    /// Whether it can run here, with no word about it.
    pub(crate) fn is_installed(&self) -> bool {
        self.missing.is_none()
    }

    /// The program, without its arguments.
    pub(crate) fn command(&self) -> Command {
        let mut command = Command::new(&self.command[0]);
        command.args(&self.command[1..]);
        command
    }

    /// The lines that a new process of this client prints for the script.
    pub(crate) fn run(&self, server: &Server, script: &str) -> Vec<String> {
        let mut output = tempfile::tempfile().expect("make a file for the output");
        let mut errors = tempfile::tempfile().expect("make a file for the errors");
        let mut child = self
            .command()
            .args([&server.address.to_string(), self.role])
            .stdin(file_of(script))
            .stdout(output.try_clone().expect("share the output file"))
            .stderr(errors.try_clone().expect("share the error file"))
            .spawn()
            .unwrap_or_else(|error| panic!("start {}: {error}", self.name));
        let deadline = Instant::now() + TIMEOUT;
        let status = loop {
            if let Some(status) = child.try_wait().expect("look at the client") {
                break status.to_string();
            }
            if Instant::now() > deadline {
                let _ = child.kill();
                let _ = child.wait();
                break format!("no end after {TIMEOUT:?}");
            }
            thread::sleep(Duration::from_millis(10));
        };
        let (output, errors) = (text_of(&mut output), text_of(&mut errors));
        assert_eq!(
            status,
            "exit status: 0",
            "{} failed on\n{script}\n--- it printed:\n{output}\n--- its errors:\n{}\n--- the server's log:\n{}",
            self.name,
            end_of(&errors),
            end_of(&server.log()),
        );
        output.lines().map(str::to_owned).collect()
    }
}

/// Where setup.sh has put things.
fn installed() -> PathBuf {
    let dir = std::env::var_os("OFFSETD_CLIENTS_DIR").map_or_else(|| "target/clients".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(dir)
}

fn sources() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/clients")
}

/// Tells the user that a test is left out, and why; never gives true. With OFFSETD_REQUIRE_CLIENTS=1 it is a failure.
pub(crate) fn skipped(name: &str, reason: &str) -> bool {
    let required = std::env::var("OFFSETD_REQUIRE_CLIENTS").is_ok_and(|value| value == "1");
    assert!(!required, "OFFSETD_REQUIRE_CLIENTS=1, but {reason}");
    // Not eprintln!, which the test harness would keep to itself: a skipped test passes.
    let line = format!("SKIPPED clients::{name}: {reason}\n");
    std::io::stderr().write_all(line.as_bytes()).expect("write to stderr");
    false
}

/// The text that setup.sh stamps the compiled programs with: the project file, then the sources by name.
fn java_inputs(project: &str, package: &str) -> Vec<u8> {
    let java = sources().join(project);
    let dir = java.join("src/main/java").join(package);
    let mut paths: Vec<_> =
        fs::read_dir(dir).expect("list the Java sources").map(|e| e.unwrap().path()).collect();
    paths.sort();
    paths.insert(0, java.join("pom.xml"));
    paths.iter().flat_map(|path| fs::read(path).expect("read a Java source")).collect()
}

/// Nothing if `part` is installed from exactly `wanted`. Otherwise the first tool that fails its probe, or setup itself.
fn missing(part: &str, wanted: &[u8], tools: &[(&str, &[&str], &str)]) -> Option<String> {
    const SETUP: &str = "tests/clients/setup.sh";
    let dir = installed().join(part);
    let reason = match fs::read(dir.join("stamp")) {
        Ok(stamp) if stamp == wanted => return None,
        Ok(_) => format!("{} is out of date; run", dir.display()),
        Err(_) => format!("{} is not set up; run", dir.display()),
    };
    let works = |tool: &str, probe: &[&str]| {
        let status = Command::new(tool).args(probe).stdout(Stdio::null()).stderr(Stdio::null()).status();
        status.is_ok_and(|status| status.success())
    };
    let broken = tools.iter().find(|(tool, probe, _)| !works(tool, probe));
    let reason = broken.map_or(reason, |(_, _, advice)| (*advice).to_owned());
    Some(format!("{reason} {SETUP}"))
}

fn file_of(text: &str) -> File {
    let mut file = tempfile::tempfile().expect("make a file for the script");
    file.write_all(text.as_bytes()).expect("write the script");
    file.rewind().expect("rewind the script");
    file
}

fn text_of(file: &mut File) -> String {
    let mut bytes = Vec::new();
    file.rewind().expect("rewind the output");
    file.read_to_end(&mut bytes).expect("read the output");
    String::from_utf8_lossy(&bytes).into_owned()
}

/// The last lines: a client that cannot connect repeats itself without end.
fn end_of(text: &str) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(40)..].join("\n")
}
