//! Link rule: a relative link in a Markdown file leads to a file that exists, and its fragment to a heading of that file.

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

/// Folders without documents of this project.
const LEFT_OUT: [&str; 6] = ["target", "node_modules", ".git", "dist", ".vitepress", "snapshots"];

/// Documents that a build writes, so that they may be absent here.
const GENERATED: [&str; 1] = ["docs/reference/metrics.md"];

/// Returns one fault per broken link of the Markdown files under `root`.
pub(crate) fn check(root: &Path) -> Vec<String> {
    let mut headings: HashMap<PathBuf, Vec<String>> = HashMap::new();
    let mut faults = Vec::new();
    for file in markdown_files(root) {
        let Ok(text) = fs::read_to_string(&file) else { continue };
        let name = file.strip_prefix(root).unwrap_or(&file).display().to_string();
        let folder = file.parent().unwrap_or(root);
        for (line, link) in links(&text) {
            let (path, fragment) = link.split_once('#').unwrap_or((&link, ""));
            let target = if path.is_empty() { file.clone() } else { normal(&folder.join(path)) };
            if GENERATED.iter().any(|generated| target == root.join(generated)) {
                continue;
            }
            if !target.exists() {
                faults.push(format!("{name}:{line}: link to {link}: there is no such file"));
            } else if !fragment.is_empty() && target.extension().is_some_and(|extension| extension == "md") {
                let known = headings.entry(target.clone()).or_insert_with(|| slugs(&fs::read_to_string(&target).unwrap_or_default()));
                if !known.iter().any(|slug| slug == fragment) {
                    faults.push(format!("{name}:{line}: link to {link}: the page has no such heading"));
                }
            }
        }
    }
    faults
}

fn markdown_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else { return vec![] };
    let mut files = Vec::new();
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() {
            if !LEFT_OUT.contains(&name.as_str()) {
                files.extend(markdown_files(&path));
            }
        } else if name.ends_with(".md") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns the relative links of a document, with their line, leaving out code and links to other sites.
fn links(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for (number, line) in prose_lines(text) {
        let mut rest = without_code(line);
        while let Some(start) = rest.find("](") {
            let after = rest.split_off(start + 2);
            let Some(end) = after.find(')') else { break };
            let link = after[..end].split(' ').next().unwrap_or_default();
            let is_elsewhere = link.contains("://") || link.starts_with("mailto:") || link.starts_with('/');
            if !link.is_empty() && !is_elsewhere {
                found.push((number, link.to_owned()));
            }
            rest = after[end..].to_owned();
        }
    }
    found
}

/// Returns the fragments of a document's headings, as GitHub and the documentation site form them.
fn slugs(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for (_, line) in prose_lines(text) {
        let Some(title) = line.strip_prefix('#').map(|rest| rest.trim_start_matches('#')).filter(|rest| rest.starts_with(' ')) else {
            continue;
        };
        let plain = title.trim().to_lowercase();
        let slug: String = plain
            .chars()
            .filter(|letter| letter.is_alphanumeric() || matches!(letter, ' ' | '-' | '_'))
            .map(|letter| if letter == ' ' { '-' } else { letter })
            .collect();
        let earlier = found.iter().filter(|other| **other == slug).count();
        found.push(if earlier == 0 { slug } else { format!("{slug}-{earlier}") });
    }
    found
}

/// Returns the lines outside of fenced code, counted from one.
fn prose_lines(text: &str) -> Vec<(usize, &str)> {
    let mut is_code = false;
    let mut lines = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        if line.trim_start().starts_with("```") {
            is_code = !is_code;
        } else if !is_code {
            lines.push((number, line));
        }
    }
    lines
}

/// Returns a line without its code spans.
fn without_code(line: &str) -> String {
    line.split('`').enumerate().filter(|(index, _)| index % 2 == 0).map(|(_, part)| part).collect::<Vec<_>>().join("code")
}

/// Resolves `..` and `.` in a path by its text.
fn normal(path: &Path) -> PathBuf {
    let mut parts = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => {
                parts.pop();
            }
            Component::CurDir => {}
            other => parts.push(other),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_in_prose_are_found_and_those_in_code_are_not() {
        let text = "[a](b.md#c), [`d`](../e.md)\n```\n[f](g.md)\n```\n`[h](i.md)` [j](https://k.example) [l](#m) [n](/docs)";
        let found: Vec<_> = links(text).into_iter().map(|(line, link)| format!("{line} {link}")).collect();
        assert_eq!(found, ["1 b.md#c", "1 ../e.md", "5 #m"]);
    }

    #[test]
    fn fragments_are_those_of_github() {
        let text = "# Values of an attempt's `error`\n## A, b\n### A, b\n#no\n```\n# code\n```";
        assert_eq!(slugs(text), ["values-of-an-attempts-error", "a-b", "a-b-1"]);
    }

    #[test]
    fn broken_links_and_fragments_are_reported() {
        let folder = std::env::temp_dir().join(format!("hookstream-links-{}", std::process::id()));
        fs::create_dir_all(folder.join("sub")).expect("a folder");
        fs::write(folder.join("a.md"), "# A\n[good](sub/b.md#b) [no file](c.md) [no heading](sub/b.md#c) [here](#a)").expect("a file");
        fs::write(folder.join("sub/b.md"), "# B\n[back](../a.md#a)").expect("a file");
        let faults = check(&folder);
        fs::remove_dir_all(&folder).expect("removed");
        assert_eq!(faults, ["a.md:2: link to c.md: there is no such file", "a.md:2: link to sub/b.md#c: the page has no such heading"]);
    }
}
