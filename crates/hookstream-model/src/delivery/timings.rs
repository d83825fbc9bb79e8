//! How long each part of a try took.
//!
//! The transport measures an exchange ([`Timings`]), the engine adds how long the delivery had waited
//! ([`Waterfall`]), and the stores keep it packed into a few bytes beside the attempt.

use std::time::Duration;

/// The parts of one exchange, in their order. A part stands here once it came to its end: one that did
/// not happen (a connection that was used again, an address in place of a name) is `None`, and so is the
/// one in which the try broke off, and what would have followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// From the host's name to its addresses.
    pub dns: Option<Duration>,
    /// Until there was a connection, over all addresses that were tried.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Until the last of the request was given to the system.
    pub write: Option<Duration>,
    /// From then until the head of the answer had come.
    pub first_byte: Option<Duration>,
    /// Reading the answer's body, as far as it is read.
    pub read: Option<Duration>,
}

/// The parts of one try.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waterfall {
    /// From when it was due until it began.
    pub queue: Duration,
    /// What followed.
    pub exchange: Timings,
}

/// A waterfall as it is kept: a byte with a bit for each part that is there, then those parts in
/// microseconds, seven bits a byte with the lowest first and the eighth bit where another follows. A
/// usual one takes ten bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    bytes: [u8; PACKED_MAX],
    length: usize,
}

const PARTS: usize = 7;
/// The most bytes of a part: 49 bits of microseconds are 17 years.
const PART_MAX: usize = 7;
const PACKED_MAX: usize = 1 + PARTS * PART_MAX;
const LONGEST_US: u64 = (1 << (7 * PART_MAX)) - 1;

impl Waterfall {
    /// For the store. What is finer than a microsecond is dropped.
    pub fn pack(&self) -> Packed {
        let mut packed = Packed { bytes: [0; PACKED_MAX], length: 1 };
        for (position, part) in self.parts().into_iter().enumerate() {
            if let Some(part) = part {
                packed.bytes[0] |= 1 << position;
                packed.push(u64::try_from(part.as_micros()).unwrap_or(u64::MAX).min(LONGEST_US));
            }
        }
        packed
    }

    /// Reads what [`pack`](Self::pack) wrote; `None` for anything else, such as what a later version keeps.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let (present, mut rest) = bytes.split_first()?;
        let mut parts = [None; PARTS];
        for (position, part) in parts.iter_mut().enumerate() {
            if present & (1 << position) != 0 {
                *part = Some(Duration::from_micros(take(&mut rest)?));
            }
        }
        let [queue, dns, connect, tls, write, first_byte, read] = parts;
        let is_all = rest.is_empty() && present >> PARTS == 0;
        is_all.then_some(Self { queue: queue?, exchange: Timings { dns, connect, tls, write, first_byte, read } })
    }

    const fn parts(&self) -> [Option<Duration>; PARTS] {
        let Timings { dns, connect, tls, write, first_byte, read } = self.exchange;
        [Some(self.queue), dns, connect, tls, write, first_byte, read]
    }
}

impl Packed {
    /// The bytes to keep.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }

    fn push(&mut self, mut number: u64) {
        loop {
            let low = u8::try_from(number & 0x7f).expect("seven bits");
            number >>= 7;
            self.bytes[self.length] = if number == 0 { low } else { low | 0x80 };
            self.length += 1;
            if number == 0 {
                return;
            }
        }
    }
}

fn take(rest: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for position in 0..PART_MAX {
        let (byte, after) = rest.split_first()?;
        *rest = after;
        number |= u64::from(byte & 0x7f) << (7 * position);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const fn micros(number: u64) -> Option<Duration> {
        Some(Duration::from_micros(number))
    }

    #[test]
    fn a_usual_waterfall_takes_few_bytes() {
        let exchange = Timings { write: micros(85), first_byte: micros(12_345), read: micros(7), ..Timings::default() };
        let waterfall = Waterfall { queue: Duration::from_millis(1), exchange };
        assert_eq!(waterfall.pack().as_bytes(), [0b111_0001, 0xe8, 0x07, 85, 0xb9, 0x60, 7]);
        assert_eq!(Waterfall::unpack(waterfall.pack().as_bytes()), Some(waterfall));
    }

    #[test]
    fn what_is_no_waterfall_reads_as_none() {
        let check = |bytes: &[u8]| assert_eq!(Waterfall::unpack(bytes), None, "{bytes:?}");
        check(&[]);
        check(&[1]);
        check(&[1, 0x80]);
        check(&[1, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0x80, 0]);
        check(&[1, 5, 5]);
        check(&[0b1000_0001, 5]);
        check(&[2, 5]);
    }

    #[test]
    fn a_wait_of_centuries_is_kept_as_the_longest_there_is() {
        let waterfall = Waterfall { queue: Duration::MAX, exchange: Timings::default() };
        let kept = Waterfall::unpack(waterfall.pack().as_bytes()).expect("a waterfall");
        assert_eq!(kept.queue, Duration::from_micros(LONGEST_US));
    }

    proptest! {
        #[test]
        fn what_is_packed_reads_back(queue in 0..=LONGEST_US, parts: [Option<u32>; 6]) {
            let [dns, connect, tls, write, first_byte, read] = parts.map(|part| part.map(u64::from).map(Duration::from_micros));
            let exchange = Timings { dns, connect, tls, write, first_byte, read };
            let waterfall = Waterfall { queue: Duration::from_micros(queue), exchange };
            prop_assert_eq!(Waterfall::unpack(waterfall.pack().as_bytes()), Some(waterfall));
        }

        #[test]
        fn any_bytes_are_read_without_harm(bytes: Vec<u8>) {
            let _ = Waterfall::unpack(&bytes);
        }
    }
}
