//! The `doorbuster` binary: reads the command line, runs one command, turns its outcome into an exit code.

fn main() -> std::process::ExitCode {
    server::commands::run()
}
