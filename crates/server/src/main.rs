//! The `doorbuster` binary: reads the command line, runs one command, turns its outcome into an exit code.

/// A request makes many small allocations on one thread and frees them on another. Under a load of purchases glibc's allocator
/// and its consolidation used much of the processor time in a profile; mimalloc does not.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    server::commands::run()
}
