//! Checksum for the comparison of two stores: the number of rows and the sum of their hashes.
//!
//! The sum does not depend on the order, because the databases sort text differently and each is read in the order of
//! its own index. It detects accidental damage, not deliberate forgery.

use std::fmt::Write;

use sha2::{Digest, Sha256};

use crate::db::statement::Value;

/// Checksum of the rows of a table.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Checksum {
    /// Number of rows.
    pub rows: u64,
    /// Sum of the rows' SHA-256 hashes, by 64 bits.
    lanes: [u64; 4],
}

impl Checksum {
    /// Computes the checksum of rows.
    pub(crate) fn of(rows: &[Vec<Value>]) -> Self {
        let mut sum = Self::default();
        for row in rows {
            sum.add(Self { rows: 1, lanes: hash(row) });
        }
        sum
    }

    /// Adds the checksum of other rows.
    pub(crate) fn add(&mut self, other: Self) {
        self.rows += other.rows;
        for (lane, more) in self.lanes.iter_mut().zip(other.lanes) {
            *lane = lane.wrapping_add(more);
        }
    }

    /// Returns the sum in hexadecimal.
    pub fn hex(&self) -> String {
        self.lanes.iter().fold(String::new(), |mut text, lane| {
            let _ = write!(text, "{lane:016x}");
            text
        })
    }
}

/// Returns the hash of a row: kind, length and bytes of each value.
fn hash(row: &[Value]) -> [u64; 4] {
    let mut hasher = Sha256::new();
    let mut part = |kind: u8, bytes: &[u8]| {
        let mut head = [kind; 9];
        head[1..].copy_from_slice(&(bytes.len() as u64).to_le_bytes());
        hasher.update(head);
        hasher.update(bytes);
    };
    for value in row {
        match value {
            Value::Null => part(0, &[]),
            Value::Integer(number) => part(1, &number.to_le_bytes()),
            Value::Text(text) => part(2, text.as_bytes()),
            Value::Blob(bytes) => part(3, bytes),
        }
    }
    let mut lanes = [0; 4];
    for (lane, bytes) in lanes.iter_mut().zip(hasher.finalize().chunks_exact(8)) {
        *lane = bytes.try_into().map_or(0, u64::from_le_bytes);
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksum_ignores_only_row_order() {
        let rows = [
            vec![Value::Text("a".to_owned()), Value::Null],
            vec![Value::Text(String::new()), Value::Blob(b"a".to_vec())],
            vec![Value::Text("ab".to_owned()), Value::Integer(1)],
        ];
        let of = |order: &[usize]| Checksum::of(&order.iter().map(|index| rows[*index].clone()).collect::<Vec<_>>());
        assert_eq!(of(&[0, 1, 2]), of(&[2, 0, 1]));
        for other in [of(&[0, 1]), of(&[0, 1, 1]), of(&[0, 0, 0])] {
            assert_ne!(of(&[0, 1, 2]), other);
        }
        assert_ne!(Checksum::of(&[vec!["ab".into(), "c".into()]]), Checksum::of(&[vec!["a".into(), "bc".into()]]));
        assert_ne!(Checksum::of(&[vec!["a".into()]]), Checksum::of(&[vec![Value::Blob(b"a".to_vec())]]));
        let mut sum = of(&[0]);
        sum.add(of(&[1, 2]));
        assert_eq!((sum, sum.rows, sum.hex().len()), (of(&[0, 1, 2]), 3, 64));
    }
}
