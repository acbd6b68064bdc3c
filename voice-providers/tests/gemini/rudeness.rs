//! rudeness.
