//! TLS on the listeners of `offsetd serve`: handshakes, who is let in and who is told what, certificates that change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;
use std::time::Duration;

use crate::support::tls::half_a_hello;
use crate::support::*;
use kafka_protocol::messages::ApiVersionsRequest;

const AT: (&str, i32) = ("orders", 0);
const SOON: Duration = Duration::from_secs(10);
static OLD: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS12];
static NEW: [&rustls::SupportedProtocolVersion; 1] = [&rustls::version::TLS13];

/// A home whose listener has a certificate of this CA, looked at often, with an admin listener.
fn home(ca: &Ca, more: &str) -> Home {
    let home = Home::new().with_admin();
    let (certificate, key) = ca.issue(&["127.0.0.1", "localhost"], "offsetd").write(home.root(), "server");
    home.config(&toml(&certificate, &key, more))
}

fn toml(certificate: &Path, key: &Path, more: &str) -> String {
    let (certificate, key) = (certificate.display(), key.display());
    format!("[tls]\ncertificate = '{certificate}'\nkey = '{key}'\nreload_interval_ms = 100\n{more}")
}

fn closed_for(server: &Server, reason: &str) -> f64 {
    let counted = Samples::of(server.admin());
    counted.find("offsetd_connections_refused_total", &[("reason", reason)]).unwrap_or_default()
}

#[track_caller]
fn says(server: &Server, words: &str) {
    within(SOON, words, || server.stderr().contains(words));
}

#[test]
fn what_is_committed_over_tls_is_there_in_both_versions_of_tls() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "");
    let server = home.start();
    let tls = Tls::trusting(&ca);
    for (offset, versions) in [(1, &OLD), (2, &NEW)] {
        let mut client = Client::tls(server.address(), &tls.clone().only(versions));
        client.commit("g", AT, offset).ok();
        client.fetch("g", AT).is(offset);
    }
    // An answer of many records: more than TLS takes or gives at a time.
    let mut client = Client::tls(server.address(), &tls);
    let mut wide = commit_of("wide");
    for partition in 0..9_000 {
        wide = wide.put(("orders", partition), i64::from(partition));
    }
    assert!(client.commit_ask(8, &wide).codes().iter().all(|code| *code == NONE));
    assert_eq!(client.fetch_ask(8, &fetch_of("wide")).offsets().len(), 9_000);
    let counted = Samples::of(server.admin());
    assert_eq!(counted.get("offsetd_tls_handshakes_total", &[]), 3.0);
    server.never_panicked();
}

#[test]
fn who_does_not_trust_the_ca_does_not_get_in_and_the_log_says_so() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "");
    let server = home.start();
    let error = Client::try_tls(server.address(), &Tls::trusting(&Ca::new("another"))).err();
    let error = error.must("see it refused").to_string();
    assert!(error.contains("UnknownIssuer"), "{error}");
    says(&server, "it does not trust the issuer of our certificate");
    assert_eq!(closed_for(&server, "tls_failed"), 1.0);
}

#[test]
fn plain_text_at_a_tls_port_and_tls_at_a_plain_one_are_told_apart() {
    let ca = Ca::new("test CA");
    let home = Home::new().with_admin();
    let (certificate, key) = ca.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    // The second listener has none of it.
    let more = "[[listeners]]\nlisten = '127.0.0.1:0'\ntls = {}\n";
    let home = home.config(&toml(&certificate, &key, more));
    let server = home.start();
    let [encrypted, plain] = server.addresses()[..] else { panic!("{:?}", server.addresses()) };

    let mut client = Client::connect(encrypted);
    client.send::<ApiVersionsRequest>(0, &ApiVersionsRequest::default());
    client.is_hung_up_on();
    says(&server, "it speaks plain text, and this port speaks TLS");
    assert_eq!(closed_for(&server, "plain_text_to_tls"), 1.0);

    assert!(Client::try_tls(plain, &Tls::trusting(&ca)).is_err());
    says(&server, "it speaks TLS, and this port is in plain text");
    assert_eq!(closed_for(&server, "tls_to_plain_text"), 1.0);

    // A look whether the port is open is nobody's fault.
    drop(TcpStream::connect(encrypted).must("connect"));
    Client::tls(encrypted, &Tls::trusting(&ca)).commit("g", AT, 1).ok();
    Client::connect(plain).fetch("g", AT).is(1);
    assert_eq!(closed_for(&server, "tls_failed"), 0.0);
}

#[test]
fn clients_show_certificates_where_they_must_and_are_known_by_them() {
    let (ca, clients) = (Ca::new("test CA"), Ca::new("CA of clients"));
    for (auth, without) in [("required", false), ("optional", true)] {
        let home = Home::new().with_admin();
        let (certificate, key) = ca.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
        let client_ca = clients.write(home.root(), "clients.pem");
        let more = format!("client_ca = '{}'\nclient_auth = '{auth}'\n", client_ca.display());
        let home = home.config(&toml(&certificate, &key, &more));
        let server = home.start();
        let tls = Tls::trusting(&ca);

        let mut known = Client::tls(server.address(), &tls.clone().showing(&clients.issue(&[], "billing")));
        known.commit("g", AT, 5).ok();
        let world = World::around(home, server);
        let why = world.sees(&["why", "g", "orders:0", "--output", "json"]).ok().stdout;
        assert!(why.contains("\"principal\": \"CN=billing,O=Example\""), "{why}");

        // In TLS 1.3 the client believes to be done when the server looks at its certificate.
        let gets_in = |tls: &Tls| {
            let asked = Client::try_tls(world.address(), tls).and_then(|mut client| {
                client.send::<ApiVersionsRequest>(0, &ApiVersionsRequest::default());
                client.frame()
            });
            asked.is_ok_and(|answer| answer.is_some())
        };
        assert_eq!(gets_in(&tls), without, "{auth}: without a certificate");
        assert!(!gets_in(&tls.clone().showing(&ca.issue(&[], "stranger"))), "{auth}: of another CA");
        says(world.server(), "its certificate is from an issuer that is not trusted (tls.client_ca)");
        if !without {
            says(world.server(), "it showed no certificate (tls.client_auth)");
        }
    }
}

#[test]
fn handshakes_have_a_time_and_a_number() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "handshake_timeout_ms = 5000\nmax_handshakes = 2\n");
    let server = home.start();
    let tls = Tls::trusting(&ca);
    let mut established = Client::tls(server.address(), &tls);
    // Its place is free again once it is answered.
    established.commit("g", AT, 1).ok();
    let silent = || TcpStream::connect(server.address()).must("connect");
    let mut slow = vec![half_a_hello(server.address()), silent()];
    // They take their places in any order, and one that comes too late has none: another takes it then.
    within(SOON, "a third is turned away", || {
        slow.push(silent());
        Client::try_tls(server.address(), &tls).is_err()
    });
    within(SOON, "and counted", || closed_for(&server, "tls_max_handshakes") >= 1.0);
    // Who has shaken hands is not touched.
    established.commit("g", AT, 2).ok();
    for socket in &mut slow {
        socket.set_read_timeout(Some(SOON)).must("wait within bounds");
        assert!(matches!(socket.read(&mut [0; 64]), Ok(0) | Err(_)));
    }
    within(SOON, "both were too slow", || closed_for(&server, "tls_timeout") >= 2.0);
    says(&server, "the TLS handshake was not finished within 5000 ms");
    Client::tls(server.address(), &tls).commit("g", AT, 3).ok();
}

#[test]
fn a_new_certificate_is_taken_up_and_a_bad_one_is_not() {
    let [first, second, third] = ["first", "second", "third"].map(Ca::new);
    let home = home(&first, "");
    let server = home.start();
    let mut from_before = Client::tls(server.address(), &Tls::trusting(&first));
    let trusts = |ca: &Ca| Client::try_tls(server.address(), &Tls::trusting(ca)).is_ok();
    let reloads = |result: &str| {
        let counted = Samples::of(server.admin());
        counted.find("offsetd_tls_reloads_total", &[("result", result)]).unwrap_or_default()
    };
    assert!(trusts(&first) && !trusts(&second));

    second.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    within(SOON, "the new certificate is shown", || trusts(&second));
    assert!(!trusts(&first) && reloads("ok") >= 1.0);
    // A connection is what it was when it was made.
    from_before.commit("g", AT, 1).ok();

    // A key of another certificate, then no certificate at all: the old one stays, and it is said.
    let certificate = home.root().join("server.pem");
    fs::write(&certificate, third.issue(&["127.0.0.1"], "offsetd").certificate).must("write it");
    says(&server, "it is not the key of the certificate in");
    fs::write(&certificate, "-----BEGIN CERTIFICATE-----\nnonsense").must("write it");
    says(&server, "cannot be used, the old ones stay in use: tls.certificate:");
    fs::remove_file(&certificate).must("remove it");
    says(&server, "No such file or directory");
    assert!(trusts(&second) && reloads("failed") >= 3.0);
    // It is said once, not at every look.
    std::thread::sleep(Duration::from_millis(400));
    assert_eq!(server.stderr().matches("No such file or directory").count(), 1, "{}", server.stderr());

    third.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    within(SOON, "the next good one is taken", || trusts(&third));
    server.never_panicked();
}

#[cfg(unix)]
#[test]
fn sighup_makes_it_look_at_once() {
    let [first, second] = ["first", "second"].map(Ca::new);
    let home = Home::new();
    let (certificate, key) = first.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    let late = toml(&certificate, &key, "").replace("= 100\n", "= 3600000\n");
    let home = home.config(&late);
    let server = home.start();
    second.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    // Once its handler stands, which is soon after the ready line; before that it would end the process.
    std::thread::sleep(Duration::from_millis(300));
    server.signal("HUP");
    let tls = Tls::trusting(&second);
    within(SOON, "the new certificate is shown", || Client::try_tls(server.address(), &tls).is_ok());
    server.signal("HUP");
    says(&server, "these files have not changed");
    assert_eq!(server.stop().code, Some(0));
}

#[test]
fn how_long_a_certificate_is_good_is_a_metric_and_a_short_rest_a_line() {
    let ca = Ca::new("test CA");
    let home = Home::new().with_admin();
    // Long over, as far as clients are concerned.
    let old = ca.issue_with(&["127.0.0.1"], "offsetd", |params| {
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2020, 2, 1);
    });
    let (certificate, key) = old.write(home.root(), "server");
    let home = home.config(&toml(&certificate, &key, ""));
    let server = home.start();
    let file = certificate.display().to_string();
    let left = || {
        let counted = Samples::of(server.admin());
        counted.get("offsetd_tls_certificate_expiry_seconds", &[("file", file.as_str())])
    };
    assert!(left() < -86_400.0, "{}", left());
    says(&server, "this certificate has expired");
    let error = Client::try_tls(server.address(), &Tls::trusting(&ca)).err().must("see it refused");
    assert!(error.to_string().contains("expired"), "{error}");
    ca.issue(&["127.0.0.1"], "offsetd").write(home.root(), "server");
    within(SOON, "the new one is good for long", || left() > 86_400.0);
}

#[test]
fn the_end_of_a_connection_is_said_and_answers_come_before_it() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "");
    let server = home.start();
    let tls = Tls::trusting(&ca);
    // Whoever says goodbye is still answered, and hears one: without it the client would see a cut.
    let mut client = Client::tls(server.address(), &tls);
    for _ in 0..50 {
        client.send::<ApiVersionsRequest>(0, &ApiVersionsRequest::default());
    }
    client.say_goodbye();
    assert_eq!(client.until_closed().answers.len(), 50);
    // So does one that is connected when the server stops.
    let mut client = Client::tls(server.address(), &tls);
    client.commit("g", AT, 1).ok();
    let stopping = std::thread::spawn(move || server.stop());
    client.is_hung_up_on();
    assert_eq!(stopping.join().must("stop").code, Some(0));
}

#[test]
fn one_that_is_gone_while_its_answer_is_held_back_is_noticed() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "[groups]\ninitial_rebalance_delay_ms = 60000\n");
    let server = home.start();
    let mut client = Client::tls(server.address(), &Tls::trusting(&ca));
    client.send(3, &members::join_of("g").request(3));
    // More than is read ahead, so that the socket is all that can tell.
    for _ in 0..2_000 {
        client.send::<ApiVersionsRequest>(0, &ApiVersionsRequest::default());
    }
    let open = || Samples::of(server.admin()).get("offsetd_connections", &[]);
    assert_eq!(open(), 1.0);
    drop(client);
    within(SOON, "its connection is closed", || open() == 0.0);
}

#[test]
fn a_client_that_takes_no_answers_is_closed_in_time() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "[server]\nwrite_timeout_ms = 300\n");
    let server = home.start();
    let mut client = Client::tls(server.address(), &Tls::trusting(&ca));
    client.write_timeout(Duration::from_millis(500));
    let request = wire::framed(&wire::payload(0, &client.header(), &ApiVersionsRequest::default()));
    let many = request.repeat(1_000);
    while client.try_send_bytes(&many).is_ok() {}
    within(SOON, "it is closed", || closed_for(&server, "not_reading") == 1.0);
}

#[test]
fn the_command_line_speaks_tls_and_says_what_is_wrong() {
    let ca = Ca::new("test CA");
    let home = home(&ca, "");
    let trusted = ca.write(home.root(), "ca.pem").display().to_string();
    let other = Ca::new("another").write(home.root(), "other.pem").display().to_string();
    let world = World::at(home);
    Client::tls(world.address(), &Tls::trusting(&ca)).commit("g", AT, 7).ok();
    let groups = world.asks(&["groups", "list", "--tls", "--tls-ca", &trusted]).ok();
    assert!(groups.stdout.contains("\ng "), "{}", groups.stdout);
    let offsets = world.asks(&["offsets", "get", "g", "--tls", "--tls-ca", &trusted]).ok();
    assert!(offsets.stdout.contains('7'), "{}", offsets.stdout);
    world.asks(&["check", "--tls", "--tls-ca", &trusted]).ok();
    // What OpenSSL makes of `req -x509`: a CA that shows itself.
    let itself = Ca::new("localhost");
    itself.write_identity(world.home.root(), "server");
    let own = itself.write(world.home.root(), "itself.pem").display().to_string();
    within(SOON, "a CA is told from a server", || {
        let said = world.asks(&["groups", "list", "--tls", "--tls-ca", &own]);
        said.stderr.contains("its certificate is that of a CA (CA:TRUE), not of a server")
    });
    ca.issue(&["127.0.0.1", "localhost"], "offsetd").write(world.home.root(), "server");
    within(SOON, "the former CA is back", || {
        world.asks(&["groups", "list", "--tls", "--tls-ca", &trusted]).code == Some(0)
    });
    let name = ["--tls-server-name", "kafka.example"];
    world
        .asks(&[&["groups", "list", "--tls", "--tls-ca", &trusted], &name[..]].concat())
        .fails(1, &["no TLS with", "its certificate is for 127.0.0.1, localhost, not for kafka.example"]);
    world
        .asks(&["groups", "list", "--tls", "--tls-ca", &other])
        .fails(1, &["its certificate is from an issuer that is not trusted (--tls-ca)"]);
    world.asks(&["groups", "list"]).fails(1, &["--tls"]);
    world.asks(&["groups", "list", "--tls", "--tls-ca", "none.pem"]).fails(1, &["--tls-ca: none.pem:"]);
    let plain = World::new();
    plain
        .asks(&["groups", "list", "--tls", "--tls-ca", &trusted])
        .fails(1, &["no TLS with", "does that port speak TLS?"]);
}

#[test]
fn files_that_cannot_be_used_are_named_at_the_start() {
    let dir = tempfile::tempdir().must("make a folder");
    let ca = Ca::new("test CA");
    let (certificate, key) = ca.issue(&["127.0.0.1"], "offsetd").write(dir.path(), "server");
    let (_, other_key) = ca.issue(&["127.0.0.1"], "offsetd").write(dir.path(), "other");
    let empty = dir.path().join("empty.pem");
    fs::File::create(&empty).must("make it").write_all(b"nothing\n").must("write it");
    let with =
        |certificate: &Path, key: &Path, more: &str| Home::new().config(&toml(certificate, key, more)).run();
    let none = Path::new("");
    let ca_of_clients = format!("client_ca = '{}'\n", empty.display());
    for (certificate, key, more, words) in [
        (certificate.as_path(), none, "", "tls.key: is empty"),
        (none, key.as_path(), "", "tls.certificate: is empty"),
        (&certificate, Path::new("nowhere.key"), "", "tls.key: nowhere.key:"),
        (&certificate, &empty, "", "no private key that can be used"),
        (&empty, &key, "", "no certificate in it"),
        (&certificate, &other_key, "", "it is not the key of the certificate in"),
        (&certificate, &key, "client_auth = 'required'\n", "tls.client_ca: is empty"),
        (&certificate, &key, &ca_of_clients, "set client_auth to optional or required"),
        (&certificate, &key, &format!("{ca_of_clients}client_auth = 'required'\n"), "no certificate in it"),
    ] {
        let ended = with(certificate, key, more);
        assert_eq!(ended.code, Some(2), "{words}: {}", ended.stderr);
        assert!(ended.stderr.contains(words), "no {words:?} in:\n{}", ended.stderr);
    }
}
