//! The hookstream program; the library of the same name contains all of it.

use std::process::ExitCode;

/// Messages are allocated on one thread and freed on another, which costs glibc's allocator a sixth more CPU under
/// load (docs/benchmarks.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hookstream::run()
}
