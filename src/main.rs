//! The binary: hands its arguments to the command line.

fn main() -> std::process::ExitCode {
    arbour::cli::main(std::env::args_os())
}
