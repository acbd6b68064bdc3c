//! resumption.
