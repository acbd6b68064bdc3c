//! The server: load, build, run, drain. All of it lives in the library.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    voice_bin::cli::main()
}
