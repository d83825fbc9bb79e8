//! Tables: a row per object, a column per field. Receivers and customers control some texts, so control characters
//! are removed from all.

use serde_json::Value;

/// Titles of columns and their fields.
pub(super) type Columns = &'static [(&'static str, &'static str)];

/// Maximum length of a cell, in characters.
const CELL_MAX: usize = 60;

/// Returns the rows as text, with a line of titles if wanted.
pub(super) fn as_text(objects: &[Value], columns: Columns, with_titles: bool) -> String {
    let row = |object: &Value| {
        let shown = |(title, field): &(&str, &str)| {
            debug_assert!(object.get(field).is_some(), "no field `{field}` for the column {title} in {object}");
            cell(&object[*field])
        };
        columns.iter().map(shown).collect()
    };
    let rows: Vec<Vec<String>> = objects.iter().map(row).collect();
    let titles: Vec<String> = columns.iter().map(|(title, _)| (*title).to_owned()).collect();
    let width = |column: usize| rows.iter().chain([&titles]).map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<_> = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        format!("{}\n", cells.join("  ").trim_end())
    };
    with_titles.then_some(&titles).into_iter().chain(&rows).map(line).collect()
}

/// Returns one line per field.
pub(super) fn fields(object: &Value) -> String {
    let Value::Object(fields) = object else { return format!("{}\n", plain(&object.to_string())) };
    let width = fields.keys().map(|name| name.chars().count()).max().unwrap_or(0);
    fields.iter().map(|(name, value)| format!("{name:<width$}  {}\n", text(value))).collect()
}

fn cell(value: &Value) -> String {
    let text = text(value);
    if text.chars().count() <= CELL_MAX { text } else { text.chars().take(CELL_MAX - 1).chain(['…']).collect() }
}

fn text(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => plain(text),
        other => plain(&other.to_string()),
    }
}

/// Returns a text without control characters.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|char| if char.is_control() { '\u{fffd}' } else { char }).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn table_has_titles_and_no_control_characters() {
        let rows = [json!({ "id": "1", "name": "a\u{1b}[2Jb", "n": 5 }), json!({ "id": "22", "name": null, "n": null })];
        assert_eq!(
            as_text(&rows, &[("ID", "id"), ("NAME", "name"), ("N", "n")], true),
            "ID  NAME    N\n1   a\u{fffd}[2Jb  5\n22  -       -\n"
        );
        assert!(as_text(&[json!({ "id": "x".repeat(100) })], &[("ID", "id")], false).chars().count() == CELL_MAX + 1);
        assert_eq!(fields(&json!({ "a": 1, "long": "b" })), "a     1\nlong  b\n");
    }
}
