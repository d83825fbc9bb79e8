//! Journal of a server's file operations, as `scripts/torture-shim.c` writes it.

/// Size of the numbers before the bytes of a record: kind and file of 4 bytes each, position and length of 8.
const HEAD: usize = 24;

/// Change, or sync of earlier changes. Paths are relative to the watched directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum FileChange {
    /// An existing file or directory was opened; from here on this number means it.
    Opened {
        file: u32,
        path: String,
    },
    /// A new file was created and opened.
    Created {
        file: u32,
        path: String,
    },
    Written {
        file: u32,
        at: usize,
        bytes: Vec<u8>,
    },
    Truncated {
        file: u32,
        length: usize,
    },
    /// Changes to this file or directory before journal position `until` are durable.
    Synced {
        file: u32,
        until: usize,
    },
    Unlinked {
        path: String,
    },
    Renamed {
        from: String,
        to: String,
    },
    MadeDirectory {
        path: String,
    },
}

/// Returns the changes of a journal, each with its position. An incomplete last record, as after a kill, counts as not
/// written.
///
/// # Errors
/// If the shim does not write such a record.
pub(crate) fn read(journal: &[u8]) -> anyhow::Result<Vec<(usize, FileChange)>> {
    let mut changes = Vec::new();
    let mut position = 0;
    while let Some((change, length)) = first(&journal[position..])? {
        changes.push((position, change));
        position += length;
    }
    Ok(changes)
}

/// Returns the first record and its length, if it is complete.
fn first(journal: &[u8]) -> anyhow::Result<Option<(FileChange, usize)>> {
    let Some((head, rest)) = journal.split_at_checked(HEAD) else { return Ok(None) };
    let four = |at: usize| u32::from_ne_bytes(std::array::from_fn(|byte| head[at + byte]));
    let eight = |at: usize| usize::try_from(u64::from_ne_bytes(std::array::from_fn(|byte| head[at + byte])));
    let (kind, file, at, length) = (four(0), four(4), eight(8)?, eight(16)?);
    let Some(bytes) = rest.get(..length) else { return Ok(None) };
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec());
    let change = match kind {
        1 => FileChange::Opened { file, path: text(bytes)? },
        2 => FileChange::Created { file, path: text(bytes)? },
        3 => FileChange::Written { file, at, bytes: bytes.to_vec() },
        4 => FileChange::Truncated { file, length: at },
        5 => FileChange::Synced { file, until: at },
        6 => FileChange::Unlinked { path: text(bytes)? },
        7 => {
            let both = text(bytes)?;
            let Some((from, to)) = both.split_once('\0') else { anyhow::bail!("a record of a rename has one name") };
            FileChange::Renamed { from: from.to_owned(), to: to.to_owned() }
        }
        8 => FileChange::MadeDirectory { path: text(bytes)? },
        other => anyhow::bail!("a record of kind {other} is not one of the shim's; was it built from this version's source?"),
    };
    Ok(Some((change, HEAD + length)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(kind: u32, file: u32, at: u64, bytes: &[u8]) -> Vec<u8> {
        let numbers = [kind.to_ne_bytes(), file.to_ne_bytes()].concat();
        [&numbers[..], &at.to_ne_bytes(), &(bytes.len() as u64).to_ne_bytes(), bytes].concat()
    }

    #[test]
    fn records_are_read_up_to_an_incomplete_one() {
        let written = record(3, 1, 7, b"abc");
        let journal = [&record(2, 1, 0, b"a.db")[..], &written, &record(7, 0, 0, b"x\0y"), &record(5, 1, 55, b"")].concat();
        let all = [
            (0, FileChange::Created { file: 1, path: "a.db".to_owned() }),
            (28, FileChange::Written { file: 1, at: 7, bytes: b"abc".to_vec() }),
            (55, FileChange::Renamed { from: "x".to_owned(), to: "y".to_owned() }),
            (82, FileChange::Synced { file: 1, until: 55 }),
        ];
        assert_eq!(read(&journal).expect("read"), all);
        for cut in 1..written.len() {
            assert_eq!(read(&journal[..28 + cut]).expect("read"), all[..1], "{cut}");
        }
        assert!(read(&record(9, 0, 0, b"")).is_err());
    }
}
