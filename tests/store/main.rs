//! The store: its contract for both engines, the rule against a naive model, crash images, and files that are damaged.

mod bounds;
mod conformance;
mod crash;
mod damage;
mod embedded;
mod kept;
mod rule;
