//! `offsetd serve` as a container: read-only root, no capabilities, ports published on loopback alone.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use testcontainers::bollard::models::PortBinding;
use testcontainers::core::{Mount, WaitFor};
use testcontainers::runners::SyncRunner;
use testcontainers::{Container, ContainerRequest, GenericImage, ImageExt};

use crate::engine::{self, Image, docker};
use crate::support::{Client, Must, within};

const START_TIMEOUT: Duration = Duration::from_secs(30);

pub struct Server {
    /// Removed when it is dropped; the image after it.
    container: Container<GenericImage>,
    /// The published ports: both are asked for, since a container that is started again gets the same ones.
    pub kafka: SocketAddr,
    pub admin: SocketAddr,
    _image: Arc<Image>,
}

/// A request for a container that can do as little as it may.
pub fn confined(wait: WaitFor) -> ContainerRequest<GenericImage> {
    let id = engine::own_id();
    GenericImage::new(engine::REPOSITORY, &id)
        .with_wait_for(wait)
        .with_label(engine::LABEL, id)
        .with_readonly_rootfs(true)
        .with_cap_drop("ALL")
        .with_security_opt("no-new-privileges:true")
        .with_startup_timeout(START_TIMEOUT)
}

impl Server {
    /// With the data in an anonymous volume.
    pub fn start(image: &Arc<Image>) -> Self {
        Self::start_with(image, None, &[])
    }

    pub fn start_on(image: &Arc<Image>, volume: &str) -> Self {
        Self::start_with(image, Some(volume), &[])
    }

    /// Started and waited for; these variables come after those that every container here has.
    pub fn start_with(image: &Arc<Image>, volume: Option<&str>, variables: &[(&str, &str)]) -> Self {
        let mut attempts = 3;
        loop {
            let (kafka, admin) = (free_port(), free_port());
            let mut request = confined(WaitFor::message_on_stderr("offsetd ready "))
                .with_env_var("OFFSETD_ADVERTISE", kafka.to_string())
                .with_host_config_modifier(move |host| {
                    host.publish_all_ports = Some(false);
                    host.port_bindings = Some(HashMap::from([publish(9092, kafka), publish(9644, admin)]));
                });
            for (name, value) in variables {
                request = request.with_env_var(*name, *value);
            }
            if let Some(volume) = volume {
                request = request.with_mount(Mount::volume_mount(volume, "/data"));
            }
            match request.start() {
                Ok(container) => {
                    let server = Self { container, kafka, admin, _image: Arc::clone(image) };
                    server.await_ready();
                    return server;
                }
                // Between the choice of a port and its use somebody else may take it.
                Err(error) if attempts > 1 && format!("{error:?}").contains("port") => attempts -= 1,
                Err(error) => panic!("could not start the container: {error:?}"),
            }
        }
    }

    pub fn id(&self) -> &str {
        self.container.id()
    }

    pub fn client(&self) -> Client {
        Client::connect(self.kafka)
    }

    /// Its address in Docker's own network.
    pub fn inner_address(&self) -> IpAddr {
        let networks = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}";
        docker(&["inspect", "--format", networks, self.id()]).parse().must("read the container's address")
    }

    pub fn log(&self) -> String {
        let log = self.container.stderr_to_vec().must("read the container's log");
        String::from_utf8_lossy(&log).into_owned()
    }

    /// `docker kill`: nothing has time to tidy up.
    pub fn kill(&self) {
        docker(&["kill", "--signal", "KILL", self.id()]);
        within(START_TIMEOUT, "the container has ended", || self.exit_code() == Some(137));
    }

    /// The same container again, which has the same volume and ports.
    pub fn start_again(&self) {
        self.container.start().must("start the container again");
        self.await_ready();
    }

    /// `docker stop`, and how long it took.
    pub fn stop(&self) -> Duration {
        let began = Instant::now();
        self.container.stop_with_timeout(Some(10)).must("stop the container");
        began.elapsed()
    }

    pub fn exit_code(&self) -> Option<i64> {
        let running = self.container.is_running().must("ask whether the container runs");
        if running { None } else { self.container.exit_code().must("ask for the exit code") }
    }

    /// Asks /health/ready through the published port until it says yes.
    fn await_ready(&self) {
        let began = Instant::now();
        while get(self.admin, "/health/ready").as_deref() != Ok("ready\n") {
            let log = self.log();
            assert!(self.exit_code().is_none(), "the container ended at its start:\n{log}");
            assert!(began.elapsed() < START_TIMEOUT, "not ready after {START_TIMEOUT:?}:\n{log}");
            thread::sleep(Duration::from_millis(5));
        }
    }
}

fn free_port() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).must("find a free port");
    listener.local_addr().must("read the port's number")
}

fn publish(inner: u16, outer: SocketAddr) -> (String, Option<Vec<PortBinding>>) {
    let binding =
        PortBinding { host_ip: Some(outer.ip().to_string()), host_port: Some(outer.port().to_string()) };
    (format!("{inner}/tcp"), Some(vec![binding]))
}

/// The body of a 200 answer; anything else is an error.
pub fn get(address: SocketAddr, path: &str) -> Result<String, String> {
    let talk = || -> std::io::Result<String> {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(START_TIMEOUT))?;
        write!(stream, "GET {path} HTTP/1.1\r\nhost: offsetd\r\nconnection: close\r\n\r\n")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    };
    let answer = talk().map_err(|error| error.to_string())?;
    match answer.split_once("\r\n\r\n") {
        Some((head, body)) if head.starts_with("HTTP/1.1 200 ") => Ok(body.to_owned()),
        _ => Err(answer),
    }
}
