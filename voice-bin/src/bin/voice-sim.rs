//! The simulators: the fakes of the libraries on real sockets.

#![forbid(unsafe_code)]

fn main() -> std::process::ExitCode {
    voice_bin::simulate::main()
}
