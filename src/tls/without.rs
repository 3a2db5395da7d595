//! A build without the feature `tls`: there is no acceptor and no connector, and who asks for one is told so.

use std::io;
use std::path::Path;

use tokio::net::TcpStream;

use super::{Accepted, Names, NoHandshake, Stream};
use crate::config::{ConfigError, TlsConfig, UpstreamTlsConfig};
use crate::metrics::TlsMetrics;

fn missing(place: &str) -> ConfigError {
    ConfigError::new(place, "this offsetd was built without TLS (the feature `tls`)")
}

/// Never there.
#[derive(Debug, Clone)]
pub enum Acceptor {}

impl Acceptor {
    /// `None` where the settings ask for no TLS, else an error.
    pub fn new(place: &str, config: &TlsConfig, _: &TlsMetrics) -> Result<Option<Self>, ConfigError> {
        if config.is_on() { Err(missing(place)) } else { Ok(None) }
    }

    /// Never called.
    pub async fn accept(&self, _: TcpStream) -> Result<Accepted, NoHandshake> {
        match *self {}
    }

    /// Never called.
    pub async fn watch(self) {
        match self {}
    }

    /// Never called.
    pub fn covers(&self, _: &str) -> bool {
        match *self {}
    }
}

/// Never there.
#[derive(Debug, Clone)]
pub enum Connector {}

impl Connector {
    /// `None` where the settings ask for no TLS, else an error.
    pub fn new(
        place: &str,
        _: Names,
        config: &UpstreamTlsConfig,
        _: &TlsMetrics,
    ) -> Result<Option<Self>, ConfigError> {
        if config.enabled { Err(missing(place)) } else { Ok(None) }
    }

    /// Never called.
    pub async fn connect(&self, _: &str, _: TcpStream) -> io::Result<Stream> {
        match *self {}
    }

    /// Never called.
    pub async fn watch(self) {
        match self {}
    }

    /// Never called.
    pub fn certificate(&self) -> Option<&Path> {
        match *self {}
    }
}
