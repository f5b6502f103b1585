//! The `doorbuster` binary: reads the command line, runs one command, turns its outcome into an exit code.

/// A request makes some sixty small allocations on one thread and frees them on another; measured against glibc's, this
/// allocator gives a tenth more purchases a second (docs/benchmarks.md).
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> std::process::ExitCode {
    server::commands::run()
}
