//! The admin listener's JSON: what it answers, and what it does not.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::Value;

use crate::support::*;

/// Asks for a path: status and body.
fn get(world: &World, path: &str) -> (u16, Value) {
    let address = world.server().said("admin");
    let mut stream = TcpStream::connect(address).must("connect");
    write!(stream, "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n").must("ask");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).must("read the answer");
    let (head, body) = answer.split_once("\r\n\r\n").must("find the body");
    assert!(head.to_lowercase().contains("content-type: application/json"), "{head}");
    let status = head.split(' ').nth(1).must("find the status").parse().must("read the status");
    (status, serde_json::from_str(body).must(&format!("read as JSON: {body}")))
}

#[test]
fn questions_are_answered_and_bad_ones_are_errors_with_a_reason() {
    let mut world = World::seen_into("");
    world.commit("a&b=c d%", ("orders", 1), 10).ok();
    world.commit("a&b=c d%", ("orders", 1), 9).is(POLICY_VIOLATION);
    for group in ["a%26b%3Dc%20d%25", "a%26b%3Dc+d%25"] {
        let (status, why) = get(&world, &format!("/v1/why?group={group}&stream=orders&partition=1"));
        assert_eq!((status, why["group"].as_str()), (200, Some("a&b=c d%")));
        assert_eq!(
            (why["position"]["offset"].as_i64(), why["events"].as_array().map(Vec::len)),
            (Some(10), Some(2))
        );
        let (status, refusals) = get(&world, &format!("/v1/refusals?group={group}&tenant=default"));
        assert_eq!((status, refusals["refusals"][0]["proposed"].as_i64()), (200, Some(9)));
    }
    let (status, nothing) = get(&world, "/v1/why?group=&stream=orders");
    assert_eq!((status, nothing["position"].is_null(), nothing["partition"].as_i64()), (200, true, Some(0)));
    for (path, status, word) in [
        ("/v1/why", 400, "group is missing"),
        ("/v1/why?group=g", 400, "stream is missing"),
        ("/v1/why?group=g&stream=a/b", 400, "not valid"),
        ("/v1/why?group=g&stream=s&partition=x", 400, "partition=x"),
        ("/v1/why?group=g&stream=s&grup=g", 400, "grup"),
        ("/v1/why?group=g&group=h&stream=s", 400, "twice"),
        ("/v1/refusals?group=%FF", 400, "UTF-8"),
        ("/v1/refusals?limit=-1", 400, "limit=-1"),
        ("/v1/refusals?after=99999999999999999999", 400, "after"),
        ("/v1/refusals?tenant=nobody", 404, "nobody"),
    ] {
        let (code, error) = get(&world, path);
        let text = error["error"].as_str().must("find the error");
        assert!(code == status && text.contains(word), "{path}: {code} {text}");
    }
    // Far more than there is, or than would be told.
    assert_eq!(get(&world, "/v1/refusals?limit=18446744073709551615").0, 200);
    world.server().never_panicked();
}
