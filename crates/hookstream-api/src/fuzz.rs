//! What must hold for any bytes at all: the body of the fuzz target `cursor` (`fuzz/`), and a test with its seeds. In no
//! build but those.

use hookstream_store::{Page, PageRequest};

use crate::http::page;

/// A cursor, and a limit behind a line end. A cursor that is read is written as it was; one that is written is read; a
/// limit is within its bounds; and no bytes do harm.
pub fn cursor(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (cursor, limit) = text.split_once('\n').map_or((&*text, None), |(cursor, limit)| (cursor, Some(limit)));
    if let Ok(PageRequest { after, limit: read }) = page::request(limit, Some(cursor), |id| id) {
        assert!((1..=100).contains(&read) && limit.is_none_or(|limit| limit.parse() == Ok(read)), "{limit:?} was read as {read}");
        assert_eq!(after.is_none(), cursor.is_empty());
        if let Some(id) = after {
            assert_eq!(written(id), cursor, "two texts are one cursor");
        }
    }
    let mut id = [0; 16];
    for (byte, given) in id.iter_mut().zip(data) {
        *byte = *given;
    }
    let read = page::request(None, Some(&written(id)), |id| id).map(|request| request.after);
    assert_eq!(read.ok().flatten(), Some(id));
}

fn written(id: [u8; 16]) -> String {
    page::cursor(&Page { items: vec![id], has_more: true }, |id| *id).expect("more follows")
}

#[cfg(test)]
#[path = "../../../fuzz/seeds.rs"]
mod seeds;

#[cfg(test)]
mod tests {
    use super::seeds;

    #[test]
    fn the_seeds_of_cursor_hold() {
        seeds::each("cursor", super::cursor);
    }
}
