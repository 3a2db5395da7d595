//! What goes to standard output: a table for people or one JSON document for programs. Names are hostile: in a table,
//! whatever could move a cursor, hide or reorder text is escaped; in JSON it is what JSON makes of it.

use std::io::Write as _;

use clap::ValueEnum;
use serde::Serialize;
use unicode_width::UnicodeWidthChar as _;
use unicode_width::UnicodeWidthStr as _;

/// Shape of the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(super) enum Output {
    /// Aligned columns, for people
    Table,
    /// One JSON document, for programs
    Json,
}

/// Widest cell of a table; the whole text is in the JSON.
const MAX_CELL: usize = 100;
/// A cell without a value.
pub(super) const NOTHING: &str = "-";

/// Text with everything escaped that is not plainly seen: control characters, line ends, marks that change the direction
/// of text or have no width.
pub(super) fn plain(text: &str) -> String {
    let seen = |c: char| c == '\'' || c == '"';
    text.chars().flat_map(|c| if seen(c) { vec![c] } else { c.escape_debug().collect() }).collect()
}

/// A name as a cell: as it is where that is beyond doubt, else in quotes and escaped.
pub(super) fn cell(name: &str) -> String {
    let clear = |c: char| {
        c == '"' || c == '\\' || c.is_whitespace() || plain(c.encode_utf8(&mut [0; 4])).len() != c.len_utf8()
    };
    let doubtful = name.is_empty() || name == NOTHING || name.chars().any(clear);
    let text = if doubtful { format!("{name:?}") } else { name.to_owned() };
    if text.width() <= MAX_CELL {
        return text;
    }
    let mut cut = String::new();
    for c in text.chars() {
        if cut.width() + c.width().unwrap_or(0) >= MAX_CELL {
            break;
        }
        cut.push(c);
    }
    cut.push('…');
    cut
}

/// A number, or nothing.
pub(super) fn maybe(value: Option<impl ToString>) -> String {
    value.map_or(NOTHING.to_owned(), |value| value.to_string())
}

/// Rows under heads. Cells are escaped by whoever makes them: see [`cell`].
pub(super) struct Table {
    heads: Vec<&'static str>,
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heads: &[&'static str]) -> Self {
        Self { heads: heads.to_vec(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// Columns of numbers to the right, others to the left, each as wide as its widest cell.
    pub(super) fn text(&self) -> String {
        let cells = |column: usize| self.rows.iter().map(move |row| row[column].as_str());
        let number = |cell: &str| cell == NOTHING || cell.parse::<i64>().is_ok();
        let columns: Vec<(usize, bool)> = (0..self.heads.len())
            .map(|column| {
                let width = cells(column).map(|cell| cell.width()).max().unwrap_or(0);
                (width.max(self.heads[column].width()), cells(column).all(number))
            })
            .collect();
        let line = |cells: &mut dyn Iterator<Item = &str>| {
            let mut line = String::new();
            for (cell, (width, right)) in cells.zip(&columns) {
                let space = " ".repeat(width.saturating_sub(cell.width()));
                line += &if *right { format!("{space}{cell}  ") } else { format!("{cell}{space}  ") };
            }
            line.trim_end().to_owned() + "\n"
        };
        let head = line(&mut self.heads.iter().copied());
        self.rows.iter().fold(head, |text, row| text + &line(&mut row.iter().map(String::as_str)))
    }
}

/// Writes to standard output. Nobody may be reading any more: then there is nobody to tell.
pub(super) fn out(text: &str) {
    let mut out = std::io::stdout();
    let _ = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}

/// Writes one JSON document.
pub(super) fn json(document: &impl Serialize) {
    out(&(harmless(serde_json::to_string_pretty(document)) + "\n"));
}

/// Writes one JSON document on a line of its own.
pub(super) fn json_line(document: &impl Serialize) {
    out(&(harmless(serde_json::to_string(document)) + "\n"));
}

/// JSON escapes the control characters of ASCII only. What else is not plainly seen can stand in strings alone, and is
/// escaped there, so that the document is the same and a terminal takes no harm.
fn harmless(text: serde_json::Result<String>) -> String {
    let text = match text {
        Ok(text) => text,
        Err(error) => unreachable!("a document of strings and numbers does not become JSON: {error}"),
    };
    let mut harmless = String::with_capacity(text.len());
    for c in text.chars() {
        let unseen = c == '\u{7f}' || (!c.is_ascii() && c.escape_debug().len() > 1);
        match unseen {
            true => c.encode_utf16(&mut [0; 2]).iter().for_each(|unit| harmless += &format!("\\u{unit:04x}")),
            false => harmless.push(c),
        }
    }
    harmless
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_seen_is_escaped() {
        for (name, said) in [
            ("orders", "orders"),
            ("a:b/c", "a:b/c"),
            ("größe-日本", "größe-日本"),
            ("", "\"\""),
            ("-", "\"-\""),
            ("a b", "\"a b\""),
            ("it's", "it's"),
            ("a\\b", "\"a\\\\b\""),
            ("\"", "\"\\\"\""),
            ("\x1b[2J", "\"\\u{1b}[2J\""),
            ("a\r\nb", "\"a\\r\\nb\""),
            ("\u{202e}txt", "\"\\u{202e}txt\""),
            ("a\u{200b}b", "\"a\\u{200b}b\""),
        ] {
            assert_eq!(cell(name), said, "{name:?}");
        }
        assert_eq!(plain("say \"hi\"\x07\n"), "say \"hi\"\\u{7}\\n");
        let long = cell(&"日".repeat(5_000));
        assert!(long.width() <= MAX_CELL && long.ends_with('…'), "{long}");
    }

    #[test]
    fn json_stays_the_same_and_harmless() {
        let text = "\x1b\u{7f}\u{9b}\u{202e}日本 😀 \u{e0001} \"\\ \u{308}";
        let said = harmless(serde_json::to_string(&[text]));
        assert_eq!(serde_json::from_str::<[String; 1]>(&said).unwrap(), [text]);
        assert!(
            said.contains("日本 😀") && said.contains("\\u202e") && said.contains("\\udb40\\udc01"),
            "{said}"
        );
        assert!(!said.chars().any(char::is_control), "{said}");
    }

    #[test]
    fn columns_meet() {
        let mut table = Table::new(&["NAME", "N"]);
        table.row([cell("日本"), "7".to_owned()]);
        table.row([cell("a"), NOTHING.to_owned()]);
        table.row([cell("long one"), "-12".to_owned()]);
        assert_eq!(table.text(), "NAME          N\n日本          7\na             -\n\"long one\"  -12\n");
    }
}
