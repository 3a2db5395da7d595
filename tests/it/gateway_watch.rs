//! What a gateway asks its cluster before it refuses, of a broker that does as a test says: a group's coordinator that has not
//! heard yet that a topic was made anew, and brokers of which one is behind.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU8, Ordering};

use crate::gateway_scripted::{API_VERSIONS, Asked, COMMIT, METADATA, OFFSET_FETCH};
use crate::gateway_scripted::{answer, commit, committed, fetched, gateway_that_asks};
use crate::support::*;

/// No error, but the version is too new; then those that there are, as versions 0 and 1 say it.
fn api_versions(asked: &Asked) -> Vec<u8> {
    let code = if asked.version == 1 { 0i16 } else { 35 };
    let apis = [(API_VERSIONS, 0i16, 1i16), (METADATA, 0, 10)];
    let mut body = code.to_be_bytes().to_vec();
    body.extend(2u32.to_be_bytes());
    apis.iter().for_each(|(key, min, max)| [key, min, max].iter().for_each(|n| body.extend(n.to_be_bytes())));
    if asked.version == 1 {
        body.extend([0; 4]);
    }
    answer(asked, &body)
}

/// A Metadata answer of version 10: brokers at these ports of 127.0.0.1, and topic `t` of this id with one partition.
fn metadata(asked: &Asked, ports: &[u16], id: u8) -> Vec<u8> {
    let compact = |text: &str| [&[text.len() as u8 + 1], text.as_bytes()].concat();
    let mut body = vec![0; 5];
    body.push(ports.len() as u8 + 1);
    for (id, port) in ports.iter().enumerate() {
        body.extend(u32::try_from(id).must("be few").to_be_bytes());
        body.extend(compact("127.0.0.1"));
        body.extend(u32::from(*port).to_be_bytes());
        // No rack, no tags.
        body.extend([0, 0]);
    }
    body.extend(compact("cluster"));
    // The controller; one topic without an error.
    body.extend([0, 0, 0, 0, 2, 0, 0]);
    body.extend(compact("t"));
    body.extend([id; 16]);
    // Not internal; one partition: no error, 0, led by 0 in epoch 0, three empty lists, no tags.
    body.extend([0, 2]);
    body.extend([0; 14]);
    body.extend([1, 1, 1, 0]);
    // Operations of the topic, tags; operations of the cluster, tags.
    body.extend([0; 10]);
    answer(asked, &body)
}

#[test]
fn a_topic_made_anew_explains_what_the_groups_coordinator_has_not_heard_of() {
    let (id, two, stands) =
        (Arc::new(AtomicU8::new(7)), Arc::new(AtomicBool::new(false)), AtomicI64::new(-1));
    let (now, both) = (id.clone(), two.clone());
    let world = gateway_that_asks(move |asked, address| match asked.key {
        API_VERSIONS => Some(api_versions(asked)),
        METADATA => {
            // Nobody listens at the second one's.
            let ports = [address.port(), 1];
            let ports = if both.load(Ordering::Relaxed) { &ports[..] } else { &ports[..1] };
            Some(metadata(asked, ports, now.load(Ordering::Relaxed)))
        }
        COMMIT => Some(committed(asked, 0)),
        // Nothing the first time; then what stood before, for good.
        OFFSET_FETCH => Some(fetched(asked, stands.swap(100, Ordering::Relaxed))),
        _ => Some(answer(asked, &[])),
    });
    let mut client = world.connect();
    let recreated = || Samples::of(world.server().admin()).get("offsetd_gateway_watch_recreated_total", &[]);
    assert_eq!(commit(&mut client, 100), 0);
    // The id was made up here until now: it becomes the cluster's, and the floor stands.
    assert_eq!(commit(&mut client, 50), 44);
    assert_eq!(commit(&mut client, 50), 44);
    // Another id, but of two brokers one does not say so.
    two.store(true, Ordering::Relaxed);
    id.store(8, Ordering::Relaxed);
    assert_eq!(commit(&mut client, 50), 44, "it is not borne out");
    assert_eq!(recreated(), 0.0);
    two.store(false, Ordering::Relaxed);
    assert_eq!(commit(&mut client, 50), 0, "another topic");
    assert_eq!(recreated(), 1.0);
}
