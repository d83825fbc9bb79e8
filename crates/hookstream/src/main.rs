//! The hookstream program; the library of the same name contains all of it.

use std::process::ExitCode;

// Only for its feature, which leaves out the log statements of libraries: nothing would read them.
use log as _;

/// Messages are allocated on one thread and freed on another, which costs glibc's allocator a sixth more CPU under
/// load (docs/explanation/benchmarks.md). Huge pages are off: they double the memory of an idle server.
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    hookstream::run()
}
