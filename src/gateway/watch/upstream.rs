//! Which cluster the store knows. Pointed at another by mistake, the gateway would find every topic gone or made anew there, and
//! take every position away: so the cluster's id is kept beside the store, and another's answers are not believed.

use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use tokio::task::spawn_blocking;

use super::Watch;
use crate::client::{Cluster, Error};
use crate::gateway::Shared;

/// A line with the cluster's id.
const FILE: &str = "UPSTREAM";

/// Why the cluster is not asked.
#[derive(Debug)]
pub(super) enum Trouble {
    Client(Error),
    /// It is another than the one that the store knows.
    Another {
        known: String,
        found: String,
        file: PathBuf,
    },
    /// The file could not be read or written.
    File(PathBuf, io::Error),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Client(error)
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Trouble::Client(error) => error.fmt(f),
            Trouble::Another { known, found, file } => write!(
                f,
                "this is cluster {found:?}, and the positions in this data directory are of cluster {known:?}: give the gateway \
                 the brokers of that, or another data directory; if it is meant, remove {}",
                file.display()
            ),
            Trouble::File(file, error) => write!(f, "{}: {error}", file.display()),
        }
    }
}

/// A connection to the cluster, if it is the one that the store knows. The first one is.
pub(super) async fn connect(shared: &Shared) -> Result<Cluster, Trouble> {
    let mut cluster = shared.cluster().await?;
    // Kafka before 0.10.1 has none, nor have some that speak its protocol.
    if let Some(id) = cluster.info().await?.id {
        let dir = shared.watch.data_dir();
        let known = spawn_blocking(move || check(&dir, &id)).await;
        // A task that panicked has said so.
        known.unwrap_or_else(|_| Err(Trouble::File(FILE.into(), io::ErrorKind::Other.into())))?;
    }
    Ok(cluster)
}

impl Watch {
    fn data_dir(&self) -> PathBuf {
        self.keeper.data_dir().to_owned()
    }
}

/// Whether this is the cluster of the data directory; if that has none yet, it is.
fn check(dir: &Path, id: &str) -> Result<(), Trouble> {
    let file = dir.join(FILE);
    let failed = |error| Trouble::File(file.clone(), error);
    match fs::read_to_string(&file) {
        Ok(known) if known.trim_end() == id => Ok(()),
        Ok(known) => Err(Trouble::Another { known: known.trim_end().to_owned(), found: id.to_owned(), file }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => write(dir, &file, id).map_err(failed),
        Err(error) => Err(failed(error)),
    }
}

/// All of it or nothing, whatever happens meanwhile.
fn write(dir: &Path, file: &Path, id: &str) -> io::Result<()> {
    let new = dir.join(format!("{FILE}.new"));
    let mut made = fs::File::create(&new)?;
    writeln!(made, "{id}")?;
    made.sync_all()?;
    fs::rename(&new, file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_cluster_is_the_one() {
        let dir = tempfile::tempdir().unwrap();
        check(dir.path(), "one").unwrap();
        check(dir.path(), "one").unwrap();
        let said = check(dir.path(), "two").unwrap_err().to_string();
        assert!(said.contains("\"two\"") && said.contains("\"one\"") && said.contains(FILE), "{said}");
        check(dir.path(), "one").unwrap();
        fs::remove_file(dir.path().join(FILE)).unwrap();
        check(dir.path(), "two").unwrap();
        assert!(check(&dir.path().join("nowhere"), "two").is_err());
    }
}
