//! Invariants for arbitrary bytes: the body of the fuzz target `cursor` (`fuzz/`) and a test with its seeds. Compiled
//! for these only.

use hookstream_store::{Page, PageRequest};

use crate::http::page;

/// Reads a cursor and, after a line end, a limit. A cursor that is accepted encodes to the same text and decodes
/// again; a limit is within its bounds; no input panics.
pub fn cursor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (cursor, limit) = text.split_once('\n').map_or((&*text, None), |(cursor, limit)| (cursor, Some(limit)));
    if let Ok(PageRequest { after, limit: read }) = page::request(limit, Some(cursor), |id| id) {
        assert!((1..=100).contains(&read) && limit.is_none_or(|limit| limit.parse() == Ok(read)), "{limit:?} was read as {read}");
        assert_eq!(after.is_none(), cursor.is_empty());
        if let Some(id) = after {
            assert_eq!(encoded(id), cursor, "two texts decode to one cursor");
        }
    }
    let mut id = [0; 16];
    for (byte, given) in id.iter_mut().zip(data) {
        *byte = *given;
    }
    let read = page::request(None, Some(&encoded(id)), |id| id).map(|request| request.after);
    assert_eq!(read.ok().flatten(), Some(id));
}

fn encoded(id: [u8; 16]) -> String {
    page::cursor(&Page { items: vec![id], has_more: true }, |id| *id).expect("more follows")
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn cursor_seeds_hold() {
        seeds::each("cursor", super::cursor);
    }
}
