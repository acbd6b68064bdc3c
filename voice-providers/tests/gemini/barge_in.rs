//! barge_in.
