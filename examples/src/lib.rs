//! Nothing here; see the programs beside this file.
