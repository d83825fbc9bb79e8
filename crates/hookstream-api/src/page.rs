//! Pages: `limit` and an opaque `cursor` in, the next `cursor` and `has_more` out.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hookstream_store::{Page, PageRequest};

use crate::error::ApiError;

/// How many rows a page has where the request does not say.
const DEFAULT: usize = 50;
/// The most rows of a page.
const MOST: usize = 100;
/// The first byte of a cursor, so that its form may change.
const VERSION: u8 = 1;

/// Reads `limit` and `cursor` of a query.
pub(crate) fn request<Id>(limit: Option<&str>, cursor: Option<&str>, id: impl FnOnce([u8; 16]) -> Id) -> Result<PageRequest<Id>, ApiError> {
    let limit = match limit {
        None => DEFAULT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MOST) => limit,
            _ => return Err(ApiError::invalid("limit", "must be a whole number between 1 and 100")),
        },
    };
    let after = match cursor {
        None | Some("") => None,
        Some(text) => {
            Some(id(decode(text).ok_or_else(|| ApiError::invalid("cursor", "must be the `cursor` of an earlier page, or left out"))?))
        }
    };
    Ok(PageRequest { after, limit })
}

/// The cursor after a page, where more follows.
pub(crate) fn cursor<T>(page: &Page<T>, last: impl FnOnce(&T) -> [u8; 16]) -> Option<String> {
    page.items.last().filter(|_| page.has_more).map(|item| encode(last(item)))
}

fn encode(id: [u8; 16]) -> String {
    let mut bytes = [VERSION; 17];
    bytes[1..].copy_from_slice(&id);
    URL_SAFE_NO_PAD.encode(bytes)
}

fn decode(text: &str) -> Option<[u8; 16]> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok()?;
    let (version, id) = bytes.split_first()?;
    if *version == VERSION { id.try_into().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_nothing_else_does() {
        assert_eq!(decode(&encode([7; 16])), Some([7; 16]));
        for text in ["", "x", "!!!", "AAAA", &URL_SAFE_NO_PAD.encode([2; 17]), &URL_SAFE_NO_PAD.encode([1; 18])] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn a_limit_is_1_to_100() {
        let limit = |text| request(Some(text), None, |id| id).map(|page| page.limit).ok();
        assert_eq!(limit("1"), Some(1));
        assert_eq!(limit("100"), Some(100));
        for text in ["0", "101", "-1", "1.5", "ten", "", "99999999999999999999"] {
            assert_eq!(limit(text), None, "{text}");
        }
    }
}
