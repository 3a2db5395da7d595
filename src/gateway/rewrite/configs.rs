//! DescribeConfigs: a broker's own addresses are among its settings.

use crate::gateway::cursor::{Cursor, Unreadable, Writer};

/// A broker's settings that hold addresses are told as sensitive ones are: without their value.
pub(super) fn rewrite(cursor: &mut Cursor<'_>, version: i16, flexible: bool) -> Result<(), Unreadable> {
    cursor.i32()?;
    for _ in 0..cursor.count()? {
        cursor.i16()?;
        cursor.text()?;
        let resource = cursor.i8()?;
        cursor.text()?;
        for _ in 0..cursor.count()? {
            config(cursor, version, flexible, resource)?;
        }
        cursor.tags()?;
    }
    cursor.tags()
}

fn config(cursor: &mut Cursor<'_>, version: i16, flexible: bool, resource: i8) -> Result<(), Unreadable> {
    const BROKER: i8 = 4;
    let name = cursor.text()?.unwrap_or_default();
    let at = cursor.at();
    let value = cursor.text()?;
    let hidden = resource == BROKER && (holds_addresses(name) || value.is_some_and(is_url));
    let mut null = Writer::new(flexible);
    null.null_text();
    if hidden && value.is_some() {
        cursor.replace(at, &null.bytes);
    }
    cursor.i8()?;
    if version >= 1 {
        cursor.i8()?;
    } else {
        // Version 0: whether it is the default.
        cursor.i8()?;
    }
    let at = cursor.at();
    cursor.i8()?;
    if hidden {
        cursor.replace(at, &[1]);
    }
    if version >= 1 {
        for _ in 0..cursor.count()? {
            cursor.text()?;
            let at = cursor.at();
            if cursor.text()?.is_some() && hidden {
                cursor.replace(at, &null.bytes);
            }
            cursor.i8()?;
            cursor.tags()?;
        }
    }
    if version >= 3 {
        cursor.i8()?;
        cursor.text()?;
    }
    cursor.tags()
}

/// `listeners`, `advertised.listeners`, `controller.quorum.voters`, `controller.quorum.bootstrap.servers`, and what names
/// like these may come to hold. Not `listener.names` and the like, which are names.
fn holds_addresses(name: &str) -> bool {
    const ENDS: [&str; 8] = [
        "listeners",
        "quorum.voters",
        "bootstrap.servers",
        "host",
        "host.name",
        "endpoint",
        "address",
        "connect",
    ];
    ENDS.iter().any(|end| name.ends_with(end))
}

/// `PLAINTEXT://10.0.0.1:9092`, wherever it stands.
fn is_url(value: &str) -> bool {
    value.contains("://")
}
