//! Nothing here; see the benches beside this file.
