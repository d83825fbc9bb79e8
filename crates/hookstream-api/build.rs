//! Compresses the script of the API reference, so that the binary contains 1.4 MB in place of 4.9 MB.

use std::{
    env,
    error::Error,
    fs::File,
    io::{BufWriter, Write},
    path::Path,
};

use flate2::{Compression, write::GzEncoder};

fn main() -> Result<(), Box<dyn Error>> {
    let script = scalar_api_reference::get_asset("scalar.js").ok_or("Scalar's crate has no script")?;
    let path = Path::new(&env::var("OUT_DIR")?).join("scalar.js.gz");
    let mut encoder = GzEncoder::new(BufWriter::new(File::create(path)?), Compression::default());
    encoder.write_all(&script)?;
    encoder.finish()?.flush()?;
    println!("cargo::rerun-if-changed=build.rs");
    Ok(())
}
