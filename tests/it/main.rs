//! The server as a process, over a loopback socket: one room a file, one binary.
//!
//! `OFFSETD_BIN` points the tests at another binary than the one cargo has built.

#![allow(unreachable_pub, reason = "a test binary exports nothing")]

mod support;

mod admin;
mod admin_json;
mod api_versions;
mod cli;
mod cli_seeing;
mod create_partitions;
mod create_topics;
mod damage;
mod delete_groups;
mod delete_topics;
mod describe_cluster;
mod describe_configs;
mod describe_groups;
mod describe_topic_partitions;
mod durability;
mod expectations;
mod expiry;
mod failure;
mod fetch;
mod find_coordinator;
mod gaps;
mod gateway;
mod gateway_own;
mod gateway_own_acl;
mod gateway_scripted;
mod gateway_store;
mod gateway_watch;
mod guard;
mod health;
mod heartbeat;
mod hostile;
mod join_group;
mod leave_group;
mod limits;
mod list_groups;
mod list_offsets;
mod logs;
mod member_durability;
mod member_expectations;
mod member_limits;
mod member_metrics;
mod members;
mod metadata;
mod metrics;
mod names;
mod offset_commit;
mod offset_delete;
mod offset_fetch;
mod pipelining;
mod produce;
mod records;
mod serve;
mod shell;
mod space;
mod sync_group;
mod syncs;
mod tenants;
mod tls;
mod tls_gateway;
