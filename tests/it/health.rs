//! `offsetd health`: exit code 0 or 1, by what a server's admin listener says.

use std::fs;

use crate::support::cli::offsetd_with;
use crate::support::*;

#[test]
fn it_finds_the_listener_by_url_and_by_the_settings() {
    let world = World::at(Home::new().with_admin());
    let admin = world.server().admin();
    let url = format!("http://{admin}");
    let ready = |said: cli::Said| assert_eq!(said.ok().stdout, "ready\n");
    ready(offsetd(&["health", "--admin", &url]));
    ready(offsetd_with(&[("OFFSETD_ADMIN", &url)], &["health"]));
    ready(offsetd_with(&[("OFFSETD_ADMIN_LISTEN", &admin.to_string())], &["health"]));
    // As in the image.
    ready(offsetd_with(&[("OFFSETD_ADMIN_LISTEN", &format!("0.0.0.0:{}", admin.port()))], &["health"]));
    let file = world.home.root().join("settings.toml");
    fs::write(&file, format!("admin_listen = '{admin}'\n")).must("write settings");
    ready(offsetd(&["health", "--config", &file.display().to_string()]));
    assert_eq!(offsetd(&["health", "--live", "--admin", &url]).ok().stdout, "live\n");
    assert_eq!(offsetd(&["health", "--store", "--admin", &url]).ok().stdout, "open\n");

    drop(world);
    offsetd(&["health", "--admin", &url]).fails(1, &["cannot connect", &url]);
    offsetd_with(&[("OFFSETD_ADMIN_LISTEN", "none")], &["health"]).fails(1, &["admin_listen is none"]);
    offsetd_with(&[("OFFSETD_ADMIN_LISTEN", "127.0.0.1:0")], &["health"])
        .fails(1, &["port 0", "--admin URL"]);
    offsetd_with(&[("OFFSETD_ADMIN_LISTEN", "here")], &["health"]).fails(1, &["admin_listen"]);
    offsetd(&["health", "--live", "--store", "--admin", &url]).fails(2, &["--store"]);
}

#[test]
fn what_is_not_well_is_said() {
    let mut upstream = World::configured("[guard]\nmode = 'off'");
    let home = Home::new().gateway(upstream.address()).with_admin();
    fs::write(home.data(), "not a directory").must("put a file in its place");
    let gateway = World::at(home);
    let url = format!("http://{}", gateway.server().admin());
    let health = |what: &[&str]| offsetd(&[&["health", "--admin", &url], what].concat());
    assert!(health(&[]).ok().stdout.starts_with("ready, but there is no store"));
    health(&["--store"]).fails(1, &["answers 503", "failed: "]);
    upstream.take_server().kill();
    within(std::time::Duration::from_secs(20), "no broker answers", || health(&[]).code == Some(1));
    health(&[]).fails(1, &["answers 503", "no broker of the cluster answers"]);
    health(&["--live"]).ok();
}

/// Whatever answers there.
#[test]
fn another_server_is_no_healthy_one() {
    let wait = std::time::Duration::ZERO;
    let other = impostor(b"HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\n\x1b[2Jno", wait);
    offsetd(&["health", "--admin", &format!("http://{other}")]).fails(1, &["answers 404"]);
    let silent = impostor(b"", std::time::Duration::from_secs(5));
    let url = format!("http://{silent}");
    offsetd(&["health", "--timeout-ms", "200", "--admin", &url]).fails(1, &["within 200 ms"]);
}
