//! Builds the web applications under `dashboard/` and `website/`, and writes a table of the files of each, compressed.
//!
//! An application is built from its lock file if Node.js 20.19 or newer is present, and only when its sources changed.
//! Without Node.js, or if the dependencies cannot be fetched, a warning says so and the table is empty.
//! `HOOKSTREAM_DASHBOARD=skip` leaves both applications out, and `HOOKSTREAM_DASHBOARD=require` fails the build if one cannot
//! be built.

use std::{
    env,
    error::Error,
    fmt::Write as _,
    fs::{self, File},
    io::Write as _,
    path::{Path, PathBuf},
    process::Command,
};

use flate2::{Compression, write::GzEncoder};

/// Oldest Node.js that builds the applications: major and minor version.
const OLDEST_NODE: (u32, u32) = (20, 19);

/// Application that npm builds.
struct Application {
    /// Name of the application in a warning.
    title: &'static str,
    /// Folder with its `package.json`.
    folder: &'static str,
    /// Name of its output folder and of its table.
    name: &'static str,
    /// Files and folders that it is built from.
    sources: &'static [&'static str],
}

const APPLICATIONS: [Application; 2] = [
    Application {
        title: "dashboard",
        folder: "dashboard",
        name: "assets",
        sources: &[
            "dashboard/src",
            "dashboard/public",
            "dashboard/index.html",
            "dashboard/portal.html",
            "dashboard/package.json",
            "dashboard/package-lock.json",
            "dashboard/tsconfig.json",
            "dashboard/vite.config.ts",
            "docs/openapi.json",
        ],
    },
    Application {
        title: "documentation site",
        folder: "website",
        name: "guide",
        sources: &[
            "website/.vitepress/config.mts",
            "website/.vitepress/code.mts",
            "website/.vitepress/inline.mts",
            "website/.vitepress/markdown.mts",
            "website/.vitepress/sidebar.mts",
            "website/.vitepress/tokens.mts",
            "website/.vitepress/theme",
            "website/public",
            "website/package.json",
            "website/package-lock.json",
            "dashboard/src/theme/tokens.css",
            "docs",
        ],
    },
];

type Outcome<T> = Result<T, Box<dyn Error>>;

fn main() -> Outcome<()> {
    // Read when the script runs: the folder of a compiled script may be that of another clone with the same target folder.
    let root = Path::new(&env::var("CARGO_MANIFEST_DIR")?).join("../..");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-env-changed=HOOKSTREAM_DASHBOARD");
    println!("cargo::rerun-if-changed=build.rs");
    let wish = env::var("HOOKSTREAM_DASHBOARD").unwrap_or_default();
    for application in &APPLICATIONS {
        for source in application.sources {
            println!("cargo::rerun-if-changed={}", root.join(source).display());
        }
        let target = out.join(application.name);
        let built =
            if wish == "skip" { Err("HOOKSTREAM_DASHBOARD is skip".into()) } else { build(&root.join(application.folder), &target) };
        let files = match built {
            Ok(()) => files_in(&target)?,
            Err(problem) if wish == "require" => return Err(problem),
            Err(problem) => {
                println!("cargo::warning=the {} is left out: {problem}", application.title);
                Vec::new()
            }
        };
        write_table(&files, &target)?;
    }
    Ok(())
}

/// Runs npm, which installs the dependencies only if the lock file is newer than what is installed.
fn build(sources: &Path, target: &Path) -> Outcome<()> {
    let version = node_version().ok_or("Node.js was not found")?;
    if version < OLDEST_NODE {
        return Err(format!("Node.js {}.{} is older than {}.{}", version.0, version.1, OLDEST_NODE.0, OLDEST_NODE.1).into());
    }
    let changed = |path: PathBuf| fs::metadata(path).and_then(|metadata| metadata.modified()).ok();
    if changed(sources.join("node_modules/.package-lock.json")) < changed(sources.join("package-lock.json")) {
        // Nothing that is installed has to run a script. An unreachable registry is known after seconds.
        npm(sources, &["ci", "--no-audit", "--no-fund", "--ignore-scripts", "--prefer-offline", "--fetch-retries=1"])?;
    }
    let target = target.to_str().ok_or("the path of the target folder is not UTF-8")?;
    npm(sources, &["run", "build", "--", "--outDir", target, "--emptyOutDir"])
}

fn node_version() -> Option<(u32, u32)> {
    let output = Command::new("node").arg("--version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let mut parts = text.trim().trim_start_matches('v').split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

fn npm(folder: &Path, arguments: &[&str]) -> Outcome<()> {
    // Cargo sets DEBUG, by which VitePress makes a build for developers, whatever its value.
    let output = Command::new("npm").args(arguments).current_dir(folder).env_remove("DEBUG").output()?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].map(|text| String::from_utf8_lossy(&text).into_owned()).concat();
    let end: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(6).collect();
    Err(format!("`npm {}` failed: {}", arguments[0], end.into_iter().rev().collect::<Vec<_>>().join(" | ")).into())
}

/// Returns the files of a folder and of its folders, in a fixed order.
fn files_in(folder: &Path) -> Outcome<Vec<PathBuf>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            files.extend(files_in(&path)?);
        } else {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

/// Writes the table of the files below `folder` beside it: `<folder>.rs`, and the compressed files in `<folder>.gz`.
fn write_table(files: &[PathBuf], folder: &Path) -> Outcome<()> {
    let compressed = folder.with_extension("gz");
    fs::create_dir_all(&compressed)?;
    let mut table = String::from("&[\n");
    for (number, file) in files.iter().enumerate() {
        let name = file.strip_prefix(folder)?.to_str().ok_or("a file's name is not UTF-8")?;
        let extension = file.extension().and_then(|extension| extension.to_str()).unwrap_or_default();
        let is_gzip = matches!(extension, "html" | "js" | "css" | "svg" | "json");
        let body = if is_gzip {
            let path = compressed.join(number.to_string());
            let mut encoder = GzEncoder::new(File::create(&path)?, Compression::best());
            encoder.write_all(&fs::read(file)?)?;
            encoder.finish()?;
            path
        } else {
            file.clone()
        };
        writeln!(table, "    Asset {{ path: {name:?}, is_gzip: {is_gzip}, body: include_bytes!({body:?}) }},")?;
    }
    table.push(']');
    Ok(fs::write(folder.with_extension("rs"), table)?)
}
