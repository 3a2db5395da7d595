//! FindCoordinator in mode `own`: the cluster answers first, so that its authentication and the permission to describe the group
//! stay in force; then clients are told of us. That is the broker that the client is connected to, at its listener here: an id
//! that Metadata has too, and if that broker ends, the client asks another one and is sent there.

use crate::gateway::answers::Answers;
use crate::gateway::cursor::{Cursor, Unreadable, Writer, answer_body};
use crate::gateway::link::{End, Expect, Pending};
use crate::gateway::requests::{Head, Requests, body};
use crate::gateway::rewrite::Addresses as _;
use crate::wire::codes::{self, Code};

/// Of the key types, the one for groups; 1 is for transactions, 2 for share groups.
const GROUP: i8 = 0;

/// A question for the coordinators of groups that the cluster has not answered yet.
///
/// A group that is not ours yet has its coordinator here, too: its clients wait with their next request. One that was a member in
/// the cluster and has come over would go on with its partitions for as long as it finds no coordinator.
#[derive(Debug)]
pub(in crate::gateway) struct Seeking {
    /// Without a store, none is.
    none: bool,
}

impl Requests<'_> {
    /// Passes the question on.
    pub(in crate::gateway) async fn find_coordinator(&mut self, head: Head) -> Result<(), End> {
        let piece = self.take(head).await?;
        let kind = asked(&piece.bytes, head).map_err(|why| head.malformed(why))?;
        let own = self.link.shared.own.as_ref().filter(|_| kind == GROUP);
        let Some(own) = own else { return self.forward(head, Expect::Rewrite, &piece.bytes).await };
        let seeking = Seeking { none: own.now().is_none() };
        self.forward(head, Expect::Coordinator(seeking), &piece.bytes).await
    }
}

/// The type of its keys.
fn asked(frame: &[u8], head: Head) -> Result<i8, Unreadable> {
    let cursor = &mut body(frame, head)?;
    if head.version < 4 {
        cursor.text()?;
        return if head.version >= 1 { cursor.i8() } else { Ok(GROUP) };
    }
    cursor.i8()
}

/// Where a client is sent.
type Node = (i32, String, u16);

impl Answers<'_> {
    /// The cluster's answer, with us in it.
    pub(in crate::gateway) fn sought(
        &self,
        seeking: &Seeking,
        frame: &[u8],
        pending: &Pending,
    ) -> Result<Vec<u8>, Unreadable> {
        let Pending { api, version, .. } = pending;
        let flexible = api.flexible(*version);
        let at = answer_body(frame, api.answer_header(*version))?;
        let mut cursor = Cursor::new(frame.get(at..).unwrap_or_default(), flexible);
        if *version >= 1 {
            cursor.i32()?;
        }
        if *version < 4 {
            let start = cursor.at();
            let code = cursor.i16()?;
            let message = if *version >= 1 { cursor.text()? } else { None };
            let theirs = (cursor.i32()?, cursor.text()?.unwrap_or_default(), cursor.i32()?);
            let (code, node) = self.instead(code, !seeking.none, theirs);
            let mut instead = Writer::new(flexible);
            instead.i16(code);
            if *version >= 1 {
                text_of(&mut instead, code, message, "NONE");
            }
            put(&mut instead, node);
            cursor.replace(start, &instead.bytes);
        } else {
            for _ in 0..cursor.count()? {
                cursor.text()?;
                let start = cursor.at();
                let theirs = (cursor.i32()?, cursor.text()?.unwrap_or_default(), cursor.i32()?);
                let (code, message) = (cursor.i16()?, cursor.text()?);
                let (code, node) = self.instead(code, !seeking.none, theirs);
                let mut instead = Writer::new(flexible);
                put(&mut instead, node);
                instead.i16(code);
                text_of(&mut instead, code, message, "");
                cursor.replace(start, &instead.bytes);
                cursor.tags()?;
            }
        }
        cursor.tags()?;
        let rewritten = cursor.finish();
        let mut bytes = vec![0; 4];
        bytes.extend_from_slice(frame.get(..at).unwrap_or_default());
        bytes.extend_from_slice(&rewritten.bytes);
        bytes.extend_from_slice(frame.get(at + rewritten.consumed..).unwrap_or_default());
        let size = i32::try_from(bytes.len() - 4).map_err(|_| Unreadable::Wrong("it is too large"))?;
        bytes.splice(..4, size.to_be_bytes());
        Ok(bytes)
    }

    /// What is said instead of the cluster's code and node.
    fn instead(&self, code: Code, is_ours: bool, (id, host, port): (i32, &str, i32)) -> (Code, Option<Node>) {
        // Its answer may be the first to name a broker.
        let theirs = self.told().told(id, host, port).map(|(host, port)| (id, host, port));
        // That the cluster has no coordinator is nothing to us.
        let granted = matches!(code, codes::NONE | codes::COORDINATOR_NOT_AVAILABLE);
        if !granted {
            return (code, None);
        }
        if !is_ours {
            return (codes::COORDINATOR_NOT_AVAILABLE, None);
        }
        let here = self.link.broker().map(|broker| (broker.id, self.link.host.clone(), broker.port));
        // Where this connection goes may have a name here that the cluster does not use.
        let any = || {
            let brokers = self.link.shared.brokers.all();
            brokers.first().map(|broker| (broker.id, self.link.host.clone(), broker.port))
        };
        match here.or(theirs).or_else(any) {
            Some(node) => (codes::NONE, Some(node)),
            None => (codes::COORDINATOR_NOT_AVAILABLE, None),
        }
    }
}

fn put(writer: &mut Writer, node: Option<Node>) {
    let (id, host, port) = node.map_or((-1, String::new(), -1), |(id, host, port)| (id, host, port.into()));
    writer.i32(id);
    writer.text(&host);
    writer.i32(port);
}

/// The text that goes with a code: the cluster's, if the code is its own.
fn text_of(writer: &mut Writer, code: Code, theirs: Option<&str>, of_success: &str) {
    match theirs {
        _ if code == codes::NONE => writer.text(of_success),
        Some(text) => writer.text(text),
        None => writer.null_text(),
    }
}
