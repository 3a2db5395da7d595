//! The pure core: what a name is, what a position is, and the rule that a position never moves back.
//!
//! Nothing here does I/O, asks a clock, draws a random number or depends on the order of a hash map. The rule
//! is [`offset::judge`]; what the rooms above say to a store, and what it says back, is in [`op`].
//! Who may commit at all is the membership of a [`group`].

pub mod bounds;
pub mod event;
pub mod group;
pub mod names;
pub mod offset;
pub mod op;
pub mod refusal;
pub mod seeing;
