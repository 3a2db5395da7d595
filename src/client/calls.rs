//! The calls this client makes: each request with Kafka's name for it and the shape of its answer, so that an answer
//! too is walked before it is decoded (`wire::guard`): a server's counts are believed no more than a client's.

use kafka_protocol::messages::{
    ApiVersionsRequest, CreateTopicsRequest, DeleteGroupsRequest, DeleteTopicsRequest, DescribeGroupsRequest,
    FindCoordinatorRequest, LeaveGroupRequest, ListGroupsRequest, ListOffsetsRequest, MetadataRequest,
    OffsetCommitRequest, OffsetDeleteRequest, OffsetFetchRequest,
};
use kafka_protocol::protocol::Request;

use crate::wire::guard::Kind::{Array, Bytes, Fixed, Int32s, NullableArray, NullableString, String as Text};
use crate::wire::guard::{Shape, only, since};

/// A request that this client makes.
pub(super) trait Call: Request {
    /// Kafka's name for it.
    const NAME: &'static str;
    /// The fields of its answer.
    const ANSWER: Shape;
}

macro_rules! call {
    ($request:ident, $name:literal, $shape:expr) => {
        impl Call for $request {
            const NAME: &'static str = $name;
            const ANSWER: Shape = $shape;
        }
    };
}

const INT8: crate::wire::guard::Kind = Fixed(1);
const INT16: crate::wire::guard::Kind = Fixed(2);
const INT32: crate::wire::guard::Kind = Fixed(4);
const UUID: crate::wire::guard::Kind = Fixed(16);

call!(
    ApiVersionsRequest,
    "ApiVersions",
    &[
        since(0, INT16),
        since(0, Array(&[since(0, INT16), since(0, INT16), since(0, INT16)])),
        since(1, INT32),
    ]
);

const METADATA_PARTITION: Shape = &[
    since(0, INT16),
    since(0, INT32),
    since(0, INT32),
    since(7, INT32),
    since(0, Int32s),
    since(0, Int32s),
    since(5, Int32s),
];

call!(
    MetadataRequest,
    "Metadata",
    &[
        since(3, INT32),
        since(0, Array(&[since(0, INT32), since(0, Text), since(0, INT32), since(1, NullableString)])),
        since(2, NullableString),
        since(1, INT32),
        since(
            0,
            Array(&[
                since(0, INT16),
                only(0, 11, Text),
                since(12, NullableString),
                since(10, UUID),
                since(1, INT8),
                since(0, Array(METADATA_PARTITION)),
                since(8, INT32),
            ]),
        ),
        only(8, 10, INT32),
        since(13, INT16),
    ]
);

call!(
    FindCoordinatorRequest,
    "FindCoordinator",
    &[
        since(1, INT32),
        only(0, 3, INT16),
        only(1, 3, NullableString),
        only(0, 3, INT32),
        only(0, 3, Text),
        only(0, 3, INT32),
        since(
            4,
            Array(&[
                since(4, Text),
                since(4, INT32),
                since(4, Text),
                since(4, INT32),
                since(4, INT16),
                since(4, NullableString),
            ]),
        ),
    ]
);

call!(
    ListGroupsRequest,
    "ListGroups",
    &[
        since(1, INT32),
        since(0, INT16),
        since(0, Array(&[since(0, Text), since(0, Text), since(4, Text), since(5, Text)])),
    ]
);

call!(
    DescribeGroupsRequest,
    "DescribeGroups",
    &[
        since(1, INT32),
        since(
            0,
            Array(&[
                since(0, INT16),
                since(6, NullableString),
                since(0, Text),
                since(0, Text),
                since(0, Text),
                since(0, Text),
                since(
                    0,
                    Array(&[
                        since(0, Text),
                        since(4, NullableString),
                        since(0, Text),
                        since(0, Text),
                        since(0, Bytes),
                        since(0, Bytes),
                    ]),
                ),
                since(3, INT32),
            ]),
        ),
    ]
);

call!(
    ListOffsetsRequest,
    "ListOffsets",
    &[
        since(2, INT32),
        since(
            0,
            Array(&[
                since(0, Text),
                since(
                    0,
                    Array(&[
                        since(0, INT32),
                        since(0, INT16),
                        since(0, Fixed(8)),
                        since(0, Fixed(8)),
                        since(4, INT32),
                    ]),
                ),
            ]),
        ),
    ]
);

const FETCHED_TOPICS: crate::wire::guard::Kind = Array(&[
    since(0, Text),
    since(
        0,
        Array(&[
            since(0, INT32),
            since(0, Fixed(8)),
            since(5, INT32),
            since(0, NullableString),
            since(0, INT16),
        ]),
    ),
]);

call!(
    OffsetFetchRequest,
    "OffsetFetch",
    &[
        since(3, INT32),
        only(0, 7, FETCHED_TOPICS),
        only(2, 7, INT16),
        since(8, Array(&[since(8, Text), since(8, FETCHED_TOPICS), since(8, INT16)])),
    ]
);

const TOPICS_WITH_CODES: crate::wire::guard::Kind =
    Array(&[since(0, Text), since(0, Array(&[since(0, INT32), since(0, INT16)]))]);

call!(OffsetCommitRequest, "OffsetCommit", &[since(3, INT32), since(0, TOPICS_WITH_CODES)]);

call!(OffsetDeleteRequest, "OffsetDelete", &[since(0, INT16), since(0, INT32), since(0, TOPICS_WITH_CODES),]);

call!(
    DeleteGroupsRequest,
    "DeleteGroups",
    &[since(0, INT32), since(0, Array(&[since(0, Text), since(0, INT16)])),]
);

call!(
    LeaveGroupRequest,
    "LeaveGroup",
    &[
        since(1, INT32),
        since(0, INT16),
        since(3, Array(&[since(3, Text), since(3, NullableString), since(3, INT16)])),
    ]
);

call!(
    CreateTopicsRequest,
    "CreateTopics",
    &[
        since(2, INT32),
        since(
            0,
            Array(&[
                since(0, Text),
                since(7, UUID),
                since(0, INT16),
                since(1, NullableString),
                since(5, INT32),
                since(5, INT16),
                since(
                    5,
                    NullableArray(&[
                        since(5, Text),
                        since(5, NullableString),
                        since(5, INT8),
                        since(5, INT8),
                        since(5, INT8),
                    ]),
                ),
            ]),
        ),
    ]
);

call!(
    DeleteTopicsRequest,
    "DeleteTopics",
    &[
        since(1, INT32),
        since(
            0,
            Array(&[
                only(0, 5, Text),
                since(6, NullableString),
                since(6, UUID),
                since(0, INT16),
                since(5, NullableString),
            ]),
        ),
    ]
);

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use kafka_protocol::protocol::{Encodable as _, Message};

    use super::*;
    use crate::client::samples;
    use crate::wire::guard;

    /// An answer with something in every field passes its shape in every version, to the last byte, and no prefix does.
    fn fits<R: Call>(sample: impl Fn(i16) -> R::Response) {
        let (ours, theirs) = (R::VERSIONS, <R::Response as Message>::VERSIONS);
        for version in ours.min.max(theirs.min)..=ours.max.min(theirs.max) {
            let mut bytes = BytesMut::new();
            sample(version).encode(&mut bytes, version).expect("it encodes");
            let flexible = R::header_version(version) >= 2;
            let whole = guard::check(&mut bytes.clone(), R::ANSWER, version, flexible, 10_000);
            assert_eq!(whole, Ok(()), "{} version {version}", R::NAME);
            for length in 0..bytes.len() {
                let cut = guard::check(&mut bytes[..length].to_vec(), R::ANSWER, version, flexible, 10_000);
                assert!(cut.is_err(), "{} version {version}: {length} of {} bytes", R::NAME, bytes.len());
            }
        }
    }

    #[test]
    fn every_answer_fits_its_shape() {
        fits::<ApiVersionsRequest>(samples::api_versions);
        fits::<MetadataRequest>(samples::metadata);
        fits::<FindCoordinatorRequest>(samples::find_coordinator);
        fits::<ListGroupsRequest>(samples::list_groups);
        fits::<DescribeGroupsRequest>(samples::describe_groups);
        fits::<ListOffsetsRequest>(samples::list_offsets);
        fits::<OffsetFetchRequest>(samples::offset_fetch);
        fits::<OffsetCommitRequest>(samples::offset_commit);
        fits::<OffsetDeleteRequest>(samples::offset_delete);
        fits::<DeleteGroupsRequest>(samples::delete_groups);
        fits::<LeaveGroupRequest>(samples::leave_group);
        fits::<CreateTopicsRequest>(samples::create_topics);
        fits::<DeleteTopicsRequest>(samples::delete_topics);
    }
}
