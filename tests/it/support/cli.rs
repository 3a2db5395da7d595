//! The binary's other subcommands, run to their end beside a server: what they print, and how they end.

use std::net::SocketAddr;
use std::time::Duration;

use serde_json::Value;

use super::must::Must;
use super::server::{Home, Server, command};
use super::world::World;

/// What a command said, and how it ended.
pub struct Said {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the binary with these arguments and nothing in its environment that is not here.
pub fn offsetd_with(environment: &[(&str, &str)], arguments: &[&str]) -> Said {
    let mut command = command();
    command.args(arguments).envs(environment.iter().copied());
    // Its own bound is --timeout-ms; a hang shows as the test's.
    let output = command.output().must("run the binary");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).must("read its output as UTF-8");
    let said = Said { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!said.stderr.contains("panicked"), "{arguments:?}: {}", said.stderr);
    for output in [&said.stdout, &said.stderr] {
        let control = output.chars().find(|c| c.is_control() && *c != '\n');
        assert_eq!(control, None, "{arguments:?} prints control characters: {output:?}");
    }
    said
}

pub fn offsetd(arguments: &[&str]) -> Said {
    offsetd_with(&[], arguments)
}

impl Said {
    /// Done: 0, and nothing on standard error.
    #[track_caller]
    pub fn ok(self) -> Self {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""), "it said:\n{}", self.stdout);
        self
    }

    /// Not done: this code, and each of these words on standard error.
    #[track_caller]
    pub fn fails(self, code: i32, words: &[&str]) -> Self {
        assert_eq!(self.code, Some(code), "it said:\n{}{}", self.stdout, self.stderr);
        for word in words {
            assert!(self.stderr.contains(word), "no {word:?} in:\n{}", self.stderr);
        }
        self
    }

    /// The line of a table that begins with this word, as its words.
    #[track_caller]
    pub fn row(&self, first: &str) -> Vec<&str> {
        let mut rows = self.stdout.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
        rows.find(|words| words.first() == Some(&first)).must(&format!("find {first:?} in:\n{}", self.stdout))
    }

    /// Standard output as one JSON document.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).must(&format!("read as JSON:\n{}", self.stdout))
    }
}

impl Server {
    /// The URL of its admin listener.
    pub fn admin(&self) -> String {
        format!("http://{}", self.said("admin"))
    }
}

impl World {
    /// A server with an admin listener and this TOML.
    pub fn seen_into(toml: &str) -> Self {
        let home = Home::new().config(toml).environment("OFFSETD_ADMIN_LISTEN", "127.0.0.1:0");
        Self::at(home.admin_elsewhere())
    }

    /// Runs a command that speaks Kafka's protocol, against this server.
    pub fn asks(&self, arguments: &[&str]) -> Said {
        let address = self.address().to_string();
        offsetd_with(&[("OFFSETD_BOOTSTRAP_SERVER", &address)], arguments)
    }

    /// Runs a command that asks the admin listener.
    pub fn sees(&self, arguments: &[&str]) -> Said {
        offsetd_with(&[("OFFSETD_ADMIN", &self.server().admin())], arguments)
    }
}

/// A listener that answers whatever it is sent with these bytes, and then hangs up or waits.
pub fn impostor(answer: &'static [u8], then_wait: Duration) -> SocketAddr {
    use std::io::{Read as _, Write as _};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").must("listen");
    let address = listener.local_addr().must("know the address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let mut stream = stream;
            std::thread::spawn(move || {
                let mut asked = [0; 4096];
                drop(stream.read(&mut asked));
                drop(stream.write_all(answer));
                std::thread::sleep(then_wait);
            });
        }
    });
    address
}
