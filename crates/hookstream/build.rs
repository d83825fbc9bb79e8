//! Linker options: LLD, the default linker on this platform, merges functions of the same code.

use std::env;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let is = |name: &str, value: &str| env::var(name).is_ok_and(|found| found == value);
    // Another linker might not know the option.
    let is_default_linker = env::var_os("RUSTC_LINKER").is_none()
        && env::var("CARGO_ENCODED_RUSTFLAGS").is_ok_and(|flags| !flags.contains("linker") && !flags.contains("fuse-ld"));
    if is("TARGET", "x86_64-unknown-linux-gnu") && is("PROFILE", "release") && is_default_linker {
        println!("cargo::rustc-link-arg-bins=-Wl,--icf=all");
    }
}
