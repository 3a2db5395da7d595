#![cfg_attr(docsrs, feature(doc_cfg))]
#![doc = include_str!("../README.md")]

// In the order of their dependencies: each room knows only those above it.
pub mod clock;
pub mod model;
pub mod store;

pub mod embed;

#[cfg(feature = "server")]
pub mod config;
#[cfg(feature = "server")]
pub mod metrics;
#[cfg(feature = "server")]
pub mod records;
#[cfg(feature = "server")]
pub mod tls;

#[cfg(feature = "server")]
pub mod coordinator;
#[cfg(feature = "server")]
pub mod wire;

#[cfg(feature = "server")]
pub mod admin;
#[cfg(feature = "server")]
pub mod api;
#[cfg(feature = "server")]
pub mod server;

#[cfg(feature = "gateway")]
pub mod client;

#[cfg(feature = "gateway")]
pub mod gateway;

#[cfg(feature = "cli")]
pub mod cli;

pub use embed::{Commit, OffsetStore, Tenant};
pub use model::offset::Committed;
