//! Fakes of the carriers.
