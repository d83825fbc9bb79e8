//! Pages: `limit` and an opaque `cursor` in the request, the next `cursor` and `has_more` in the response.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use hookstream_model::base::text::got;
use hookstream_store::{
    Page, PageRequest,
    delivery::finding::{Direction, IdBytes},
};

use crate::http::error::ApiError;

/// Default number of rows of a page.
const DEFAULT: usize = 50;
/// Maximum number of rows of a page.
const MOST: usize = 100;
/// First byte of a cursor, so that the format can change.
const VERSION: u8 = 1;

/// Reads `limit` and `cursor` of a query.
pub(crate) fn request<Id>(limit: Option<&str>, cursor: Option<&str>, id: impl FnOnce([u8; 16]) -> Id) -> Result<PageRequest<Id>, ApiError> {
    let limit = match limit {
        None => DEFAULT,
        Some(text) => match text.parse() {
            Ok(limit @ 1..=MOST) => limit,
            _ => return Err(ApiError::invalid("limit", &format!("must be a whole number from 1 to 100{}", got(text)))),
        },
    };
    let after = match cursor {
        None | Some("") => None,
        Some(text) => Some(id(decode(text)
            .ok_or_else(|| ApiError::invalid("cursor", "must be the `cursor` of an earlier page. Leave it out for the first page"))?)),
    };
    Ok(PageRequest { after, limit })
}

/// Reads the `limit` of a query.
pub(crate) fn limit(limit: Option<&str>) -> Result<usize, ApiError> {
    request(limit, None, |id| id).map(|request| request.limit)
}

/// Reads the `direction` of a query.
pub(crate) fn direction(direction: Option<&str>) -> Result<Direction, ApiError> {
    match direction {
        None | Some("next") => Ok(Direction::Older),
        Some("prev") => Ok(Direction::Newer),
        Some(word) => {
            Err(ApiError::invalid("direction", &format!("must be `next` (to older rows) or `prev` (to newer rows){}", got(word))))
        }
    }
}

/// Reads a cursor of `N` ids.
pub(crate) fn position<const N: usize>(cursor: Option<&str>) -> Result<Option<[IdBytes; N]>, ApiError> {
    let refuse =
        || ApiError::invalid("cursor", "must be the `cursor` or `prev_cursor` of an earlier page. Leave it out for the first page");
    let Some(text) = cursor.filter(|text| !text.is_empty()) else { return Ok(None) };
    let bytes = URL_SAFE_NO_PAD.decode(text).map_err(|_| refuse())?;
    let ids = bytes.strip_prefix(&[VERSION]).filter(|ids| ids.len() == 16 * N).ok_or_else(refuse)?;
    let mut position = [[0; 16]; N];
    for (id, bytes) in position.iter_mut().zip(ids.chunks_exact(16)) {
        id.copy_from_slice(bytes);
    }
    Ok(Some(position))
}

/// Encodes a position as a cursor.
pub(crate) fn cursor_at<const N: usize>(position: [IdBytes; N]) -> String {
    let mut bytes = vec![VERSION];
    bytes.extend(position.into_iter().flatten());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Returns the id that follows an id.
pub(crate) fn above(id: IdBytes) -> IdBytes {
    u128::from_be_bytes(id).saturating_add(1).to_be_bytes()
}

/// Returns the cursor after a page, if more rows follow.
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
    fn cursor_round_trips_and_other_text_is_refused() {
        assert_eq!(decode(&encode([7; 16])), Some([7; 16]));
        for text in ["", "x", "!!!", "AAAA", &URL_SAFE_NO_PAD.encode([2; 17]), &URL_SAFE_NO_PAD.encode([1; 18])] {
            assert_eq!(decode(text), None, "{text}");
        }
    }

    #[test]
    fn position_round_trips() {
        assert_eq!(position::<2>(Some(&cursor_at([[1; 16], [2; 16]]))).ok().flatten(), Some([[1; 16], [2; 16]]));
        assert_eq!(position::<1>(None).ok().flatten(), None);
        assert!(position::<1>(Some(&cursor_at([[1; 16], [2; 16]]))).is_err());
        assert!(position::<1>(Some("x")).is_err());
        assert_eq!(above([0xff; 16]), [0xff; 16]);
    }

    #[test]
    fn limit_is_1_to_100() {
        let limit = |text| request(Some(text), None, |id| id).map(|page| page.limit).ok();
        assert_eq!(limit("1"), Some(1));
        assert_eq!(limit("100"), Some(100));
        for text in ["0", "101", "-1", "1.5", "ten", "", "99999999999999999999"] {
            assert_eq!(limit(text), None, "{text}");
        }
    }
}
