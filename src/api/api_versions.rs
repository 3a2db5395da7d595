//! ApiVersions (18), versions 0-4: what is served, and nothing else.
//!
//! * 0: code and array. 1: throttle time. 3: flexible; the client names its software; features as tagged fields.
//!   4: features whose lowest level is 0 may be told (there are none).
//! * An unknown version is answered in version 0 with code 35 and the range of ApiVersions alone (KIP-511), the header
//!   of an answer is version 0 in every version, and a client software name that does not match Kafka's pattern gets
//!   42 with nothing listed.
//! * Produce is told from 0 though served from 3, as Kafka does (see `produce`).

use kafka_protocol::messages::api_versions_response::ApiVersion;
use kafka_protocol::messages::{ApiKey, ApiVersionsRequest, ApiVersionsResponse};

use super::{APIS, Api, Origin, Request, Unanswerable, decode, produce};
use crate::wire::codes;
use crate::wire::guard::{Kind, Shape, since};

pub(super) const VERSIONS: (i16, i16) = (0, 4);

/// Stands for any version that is not known.
pub(super) const UNKNOWN: i16 = -1;

pub(super) const SHAPE: Shape = &[since(3, Kind::String), since(3, Kind::String)];

pub(super) fn handle(origin: &Origin, request: Request) -> Result<ApiVersionsResponse, Unanswerable> {
    let answer = ApiVersionsResponse::default();
    if origin.version == UNKNOWN {
        return Ok(answer.with_error_code(codes::UNSUPPORTED_VERSION).with_api_keys(vec![range(origin.api)]));
    }
    let request: ApiVersionsRequest = decode(origin, request)?;
    let named = [&request.client_software_name, &request.client_software_version];
    if origin.version >= 3 && !named.into_iter().all(|name| is_software_name(name)) {
        return Ok(answer.with_error_code(codes::INVALID_REQUEST));
    }
    Ok(answer.with_api_keys(APIS.iter().map(range).collect()))
}

fn range(api: &Api) -> ApiVersion {
    let from = if api.key == ApiKey::Produce { produce::ADVERTISED_FROM } else { api.min };
    ApiVersion::default().with_api_key(api.key as i16).with_min_version(from).with_max_version(api.max)
}

/// Kafka's `ApiVersionsRequest.isValid`: letters, digits, '-' and '.', beginning and ending with a letter or digit.
fn is_software_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    let outer = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    outer(name.bytes().next()) && outer(name.bytes().last()) && name.bytes().all(inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn software_names_follow_kafka() {
        for good in ["librdkafka", "apache-kafka-java", "4.1.0", "a", "v2.16.1-rc1"] {
            assert!(is_software_name(good), "{good}");
        }
        for bad in ["", "-a", "a-", ".", "a b", "a_b", "ä", "a\0"] {
            assert!(!is_software_name(bad), "{bad:?}");
        }
    }
}
