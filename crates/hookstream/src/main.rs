//! The hookstream program: see the library of the same name, which is all of it.

use std::process::ExitCode;

/// Messages are made on one thread and let go on another, which costs glibc's allocator a sixth more
/// CPU under load (docs/benchmarks.md).
#[cfg(target_os = "linux")]
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    hookstream::run()
}
