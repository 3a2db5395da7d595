//! A small disk to fill up: a tmpfs in a mount namespace of its own, which nobody else sees, and which goes away with the
//! process that holds it. Needs root and util-linux.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use super::must::Must;
use super::strace::skip;

pub struct Tmpfs {
    /// Holds the namespace; ends when this test does, however it does.
    holder: Child,
    dir: PathBuf,
}

impl Tmpfs {
    /// Mounts it at a directory, or says why it cannot; with `OFFSETD_REQUIRE_TMPFS` that fails the test.
    pub fn at(test: &str, dir: &Path, mib: u64) -> Option<Self> {
        fs::create_dir_all(dir).must("make a mount point");
        let script = r#"mount -t tmpfs -o "size=$2m" tmpfs "$1" && echo mounted && exec cat"#;
        let holder = Command::new("unshare")
            .args(["--mount", "sh", "-c", script, "sh"])
            .arg(dir)
            .arg(mib.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn();
        if let Ok(mut holder) = holder {
            let mut said = String::new();
            let out = holder.stdout.take().must("take its standard output");
            BufReader::new(out).read_line(&mut said).must("read from the holder");
            let mounted = Self { holder, dir: dir.to_owned() };
            if said == "mounted\n" {
                return Some(mounted);
            }
        }
        skip(
            test,
            "OFFSETD_REQUIRE_TMPFS",
            "a tmpfs of its own needs root, and unshare and nsenter of util-linux",
        );
        None
    }

    /// The same command, where the disk is.
    pub fn within(&self, command: &Command) -> Command {
        let mut inside = Command::new("nsenter");
        inside.arg("--target").arg(self.holder.id().to_string()).args(["--mount", "--"]);
        inside.arg(command.get_program()).args(command.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => inside.env(name, value),
                None => inside.env_remove(name),
            };
        }
        inside.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        inside
    }

    /// The disk as it is seen from here.
    fn path(&self, name: &str) -> PathBuf {
        let dir = self.dir.strip_prefix("/").must("find an absolute path");
        Path::new("/proc").join(self.holder.id().to_string()).join("root").join(dir).join(name)
    }

    /// A file that is in the way, of so many bytes.
    pub fn ballast(&self, bytes: u64) {
        let mut file = File::create(self.path("ballast")).must("make ballast");
        let block = [0xb5; 1 << 16];
        for _ in 0..bytes / block.len() as u64 {
            file.write_all(&block).must("write ballast");
        }
    }

    /// Ballast until nothing more fits.
    pub fn fill(&self) {
        let mut file =
            OpenOptions::new().create(true).append(true).open(self.path("ballast")).must("make ballast");
        for block in [1 << 16, 1 << 12, 1] {
            while file.write_all(&vec![0xb5; block]).is_ok() {}
        }
    }

    pub fn shrink_ballast(&self, bytes: u64) {
        let file = OpenOptions::new().write(true).open(self.path("ballast")).must("open ballast");
        file.set_len(bytes).must("shrink ballast");
    }

    pub fn drop_ballast(&self) {
        fs::remove_file(self.path("ballast")).must("remove ballast");
    }
}

impl Drop for Tmpfs {
    fn drop(&mut self) {
        drop(self.holder.kill());
        drop(self.holder.wait());
    }
}
