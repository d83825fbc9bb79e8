//! Compresses the OpenAPI document and the script of the API reference, and lists the input of each operation.

use std::{env, error::Error, fmt::Write as _, fs, fs::File, io::Write as _, path::Path};

use flate2::{Compression, write::GzEncoder};
use serde_json::Value;

/// The document, as `xtask openapi` wrote it.
const DOCUMENT: &str = "../../docs/openapi.json";

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-changed={DOCUMENT}");
    let out = env::var("OUT_DIR")?;
    let out = Path::new(&out);
    let script = scalar_api_reference::get_asset("scalar.js").ok_or("Scalar's crate has no script")?;
    compress(&script, &out.join("scalar.js.gz"))?;
    let text = fs::read(DOCUMENT)?;
    compress(&text, &out.join("openapi.json.gz"))?;
    let document = serde_json::from_slice(&text).unwrap_or_else(|error| {
        // Only a program that was built can write it anew.
        println!("cargo::warning=docs/openapi.json is not JSON ({error}); run `cargo run -p xtask -- openapi`");
        Value::Null
    });
    Ok(fs::write(out.join("operations.rs"), operations(&document)?)?)
}

fn compress(bytes: &[u8], path: &Path) -> Outcome<()> {
    let mut encoder = GzEncoder::new(File::create(path)?, Compression::best());
    encoder.write_all(bytes)?;
    encoder.finish()?;
    Ok(())
}

/// Returns the source of the list of operations, sorted by method and path.
fn operations(document: &Value) -> Outcome<String> {
    let mut rows = Vec::new();
    for (path, item) in document["paths"].as_object().into_iter().flatten() {
        for (method, operation) in item.as_object().into_iter().flatten() {
            let parameters = operation["parameters"].as_array().into_iter().flatten();
            let of_query = parameters.filter(|parameter| parameter["in"] == "query");
            let names: Vec<_> = of_query.filter_map(|parameter| parameter["name"].as_str()).collect();
            rows.push((method.to_uppercase(), path, names, !operation["requestBody"].is_null()));
        }
    }
    rows.sort();
    let mut source = format!("static OPERATIONS: [Operation; {}] = [\n", rows.len());
    for (method, path, parameters, has_body) in rows {
        writeln!(source, "    Operation {{ method: {method:?}, path: {path:?}, parameters: &{parameters:?}, has_body: {has_body} }},")?;
    }
    source.push_str("];\n");
    Ok(source)
}
