//! The admin listener: health, and what a peer can make it hold.

use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use crate::support::admin::connect;
use crate::support::*;

#[test]
fn it_is_alive_and_ready_and_knows_nothing_else() {
    let world = World::at(Home::new().with_admin());
    let admin = world.server().admin();
    for (path, status, body) in
        [("/health/live", 200, "live\n"), ("/health/ready", 200, "ready\n"), ("/", 404, "")]
    {
        let page = Page::get(admin, path);
        assert_eq!((page.status, page.body.as_str()), (status, body), "{path}");
        assert!(page.head.contains("connection: close"), "{path}: {}", page.head);
    }
    let mut posted = connect(admin).must("connect");
    write!(posted, "POST /health/ready HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n").must("post");
    assert_eq!(Page::read(&mut posted).must("read").status, 405);
}

fn small() -> (World, SocketAddr) {
    let toml = "[server]\nmax_admin_connections = 3\nadmin_timeout_ms = 400\n";
    let world = World::at(Home::new().with_admin().config(toml));
    let admin = world.server().admin();
    (world, admin)
}

/// Waits for the end of a connection, and says how long that took.
fn ends(stream: &mut TcpStream) -> Duration {
    let began = Instant::now();
    match stream.read(&mut [0; 64]) {
        Ok(0) => {}
        Err(error) if error.kind() == ErrorKind::ConnectionReset => {}
        other => panic!("not an end: {other:?}"),
    }
    began.elapsed()
}

#[test]
fn a_connection_that_says_nothing_or_half_of_it_is_over_in_time() {
    let (world, admin) = small();
    let (mut silent, mut half) = (connect(admin).must("connect"), connect(admin).must("connect"));
    write!(half, "GET /metrics HTTP/1.1\r\nHost:").must("write");
    assert!(ends(&mut silent) < Duration::from_secs(5));
    assert!(ends(&mut half) < Duration::from_secs(5));
    assert_eq!(Page::get(admin, "/health/ready").status, 200);
    world.server().never_panicked();
}

/// Slow writers win no time by writing.
#[test]
fn a_connection_that_trickles_is_over_in_time() {
    let (_world, admin) = small();
    let mut trickling = connect(admin).must("connect");
    let began = Instant::now();
    while trickling.write_all(b"X-A: b\r\n").is_ok() {
        assert!(began.elapsed() < Duration::from_secs(5), "it may still write");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn those_beyond_the_limit_wait_and_are_served() {
    let (world, admin) = small();
    let mut held: Vec<TcpStream> = (0..9).map(|_| connect(admin).must("connect")).collect();
    let began = Instant::now();
    assert_eq!(Page::get(admin, "/health/live").status, 200);
    // Three rounds of three connections that are held to their ends, 400 ms each.
    let waited = began.elapsed();
    assert!(waited > Duration::from_millis(800), "it was served after {waited:?}, before its turn");
    assert!(waited < Duration::from_secs(8), "it was served after {waited:?}");
    held.iter_mut().for_each(|stream| _ = ends(stream));
    world.server().never_panicked();
}
