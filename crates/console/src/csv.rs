//! Writes CSV files (RFC 4180).

use actix_web::HttpResponse;
use actix_web::http::header;

/// Returns a line of a file.
pub(crate) fn record<const N: usize>(cells: [String; N]) -> String {
    format!("{}\r\n", cells.map(|text| cell(&text)).join(","))
}

/// The first characters of texts that a spreadsheet may execute as a formula. Some spreadsheets treat the full-width forms
/// like the others.
const FORMULA: [char; 11] = ['=', '+', '-', '@', '\t', '\r', '\n', '＝', '＋', '－', '＠'];

/// Returns a quoted cell. A text that a spreadsheet would execute as a formula begins with an apostrophe.
fn cell(text: &str) -> String {
    let apostrophe = if text.starts_with(FORMULA) { "'" } else { "" };
    format!("\"{apostrophe}{}\"", text.replace('"', "\"\""))
}

/// Returns the response with a file, which browsers save under this name.
pub(crate) fn response(name: &str, content: String) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((header::CONTENT_TYPE, "text/csv; charset=utf-8; header=present"))
        .insert_header((header::CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .body(content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_and_no_formulas() {
        for (text, expected) in [
            ("Ada", r#""Ada""#),
            ("a,\"b\"\r\nc", "\"a,\"\"b\"\"\r\nc\""),
            ("=1+1", r#""'=1+1""#),
            ("+1", r#""'+1""#),
            ("-1", r#""'-1""#),
            ("@SUM(A1)", r#""'@SUM(A1)""#),
            ("\t=1", "\"'\t=1\""),
            ("＝1+1", r#""'＝1+1""#),
            ("＋1", r#""'＋1""#),
            ("－1", r#""'－1""#),
            ("＠SUM(A1)", r#""'＠SUM(A1)""#),
            ("", r#""""#),
        ] {
            assert_eq!(cell(text), expected);
        }
        assert_eq!(record(["a".to_owned(), "b".to_owned()]), "\"a\",\"b\"\r\n");
    }
}
