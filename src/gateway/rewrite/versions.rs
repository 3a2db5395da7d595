//! ApiVersions: no addresses, but what a client may ask for.

use kafka_protocol::messages::ApiKey;

use crate::gateway::apis::APIS;
use crate::gateway::cursor::{Cursor, Rewritten, Unreadable, Writer};
use crate::gateway::own::offered;
use crate::wire::codes;

/// The cluster's APIs, cut to those that pass; in mode `own`, with our ranges for what is answered here. A version that the cluster does not know it answers in version 0 (KIP-511).
pub(in crate::gateway) fn rewrite(body: &[u8], version: i16, own: bool) -> Result<Rewritten, Unreadable> {
    let unknown = body.first_chunk() == Some(&codes::UNSUPPORTED_VERSION.to_be_bytes());
    let flexible = version >= 3 && !unknown;
    let mut cursor = Cursor::new(body, flexible);
    cursor.i16()?;
    let start = cursor.at();
    let count = cursor.count()?;
    let mut entries = Writer::new(flexible);
    let mut kept = 0;
    for _ in 0..count {
        let (key, min, max) = (cursor.i16()?, cursor.i16()?, cursor.i16()?);
        let from = cursor.at();
        cursor.tags()?;
        let ours = APIS.iter().find(|api| api.key == key);
        let told = ours.and_then(|ours| match own {
            true => offered(ours, min, max),
            false => Some((min.max(ours.min), max.min(ours.max))),
        });
        let Some((min, max)) = told else { continue };
        if min <= max {
            [key, min, max].into_iter().for_each(|number| entries.i16(number));
            entries.put(cursor.since(from));
            kept += 1;
        }
    }
    let mut instead = Writer::new(flexible);
    instead.count(kept);
    instead.put(&entries.bytes);
    cursor.replace(start, &instead.bytes);
    // Throttle time and features follow, without addresses.
    cursor.skip(body.len() - cursor.at())?;
    Ok(cursor.finish())
}

/// The answer to an ApiVersions of a version that is not known here: what a broker says that does not know it either.
pub(in crate::gateway) fn unknown_api_versions(correlation_id: i32) -> Vec<u8> {
    let key = ApiKey::ApiVersions as i16;
    let (min, max) = APIS.iter().find(|api| api.key == key).map_or((0, 0), |api| (api.min, api.max));
    let mut writer = Writer::new(false);
    writer.i32(4 + 2 + 4 + 6);
    writer.i32(correlation_id);
    writer.i16(codes::UNSUPPORTED_VERSION);
    writer.count(1);
    [key, min, max].into_iter().for_each(|number| writer.i16(number));
    writer.bytes
}
