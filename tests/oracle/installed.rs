//! Where `setup.sh` has put Apache Kafka. The `gateway` test runs the same one.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

/// The folder of its jars, or why it cannot be used.
pub fn installed() -> Result<PathBuf, String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let dir = root.join(env::var("OFFSETD_ORACLE_DIR").unwrap_or_else(|_| "target/oracle".to_owned()));
    let pom = fs::read(root.join("tests/oracle/kafka/pom.xml")).expect("read kafka/pom.xml");
    match fs::read(dir.join("stamp")) {
        Err(_) => Err(format!("no Kafka in {}", dir.display())),
        Ok(stamp) if stamp != pom => Err(format!("another Kafka in {}", dir.display())),
        Ok(_) => match Command::new("java").arg("-version").output() {
            Ok(said) if said.status.success() => Ok(dir.join("lib")),
            _ => Err("no Java here".to_owned()),
        },
    }
}
