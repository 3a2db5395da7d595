//! Mode `own`: groups and offsets live here, records in the cluster.

pub(in crate::gateway) mod handover;
