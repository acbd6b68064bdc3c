//! The contract of a provider, run against every provider of this crate; and what they say of themselves.

mod table;
