//! Durations of the parts of an attempt.
//!
//! The transport measures an exchange ([`Timings`]). The engine adds the time the delivery had waited
//! ([`Waterfall`]), and the stores keep both packed into a few bytes beside the attempt.

use std::time::Duration;

/// Parts of one exchange, in order. A part is `Some` once it has completed. A part that was not needed (a reused
/// connection, an address in place of a name) is `None`. So are the part in which the attempt failed and those after
/// it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Timings {
    /// DNS resolution of the host name.
    pub dns: Option<Duration>,
    /// Connecting, over all addresses that were attempted.
    pub connect: Option<Duration>,
    /// The TLS handshake.
    pub tls: Option<Duration>,
    /// Writing the request, until the last byte was handed to the operating system.
    pub write: Option<Duration>,
    /// Waiting for the response head after the request was written.
    pub first_byte: Option<Duration>,
    /// Reading the response body, as far as it is read.
    pub read: Option<Duration>,
}

/// Parts of one attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Waterfall {
    /// Time from the due time until the attempt began.
    pub queue: Duration,
    /// Parts of the exchange.
    pub exchange: Timings,
}

/// Encoded waterfall: a byte with a bit for each present part, then these parts in microseconds as little-endian
/// base-128 numbers, with the eighth bit set if another byte follows. A typical waterfall takes ten bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packed {
    bytes: [u8; PACKED_MAX],
    length: usize,
}

const PARTS: usize = 7;
/// Maximum number of bytes of a part: 49 bits of microseconds are 17 years.
const PART_MAX: usize = 7;
const PACKED_MAX: usize = 1 + PARTS * PART_MAX;
const LONGEST_US: u64 = (1 << (7 * PART_MAX)) - 1;

impl Waterfall {
    /// Encodes the waterfall for the store. Fractions of a microsecond are dropped.
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

    /// Decodes the result of [`pack`](Self::pack). Returns `None` for anything else, such as the format of a later
    /// version.
    pub fn unpack(bytes: &[u8]) -> Option<Self> {
        let (present, mut rest) = bytes.split_first()?;
        let mut parts = [None; PARTS];
        for (position, part) in parts.iter_mut().enumerate() {
            if present & (1 << position) != 0 {
                *part = Some(Duration::from_micros(take(&mut rest)?));
            }
        }
        let [queue, dns, connect, tls, write, first_byte, read] = parts;
        let is_complete = rest.is_empty() && present >> PARTS == 0;
        is_complete.then_some(Self { queue: queue?, exchange: Timings { dns, connect, tls, write, first_byte, read } })
    }

    const fn parts(&self) -> [Option<Duration>; PARTS] {
        let Timings { dns, connect, tls, write, first_byte, read } = self.exchange;
        [Some(self.queue), dns, connect, tls, write, first_byte, read]
    }
}

impl Packed {
    /// Encoded bytes.
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
    fn typical_waterfall_takes_few_bytes() {
        let exchange = Timings { write: micros(85), first_byte: micros(12_345), read: micros(7), ..Timings::default() };
        let waterfall = Waterfall { queue: Duration::from_millis(1), exchange };
        assert_eq!(waterfall.pack().as_bytes(), [0b111_0001, 0xe8, 0x07, 85, 0xb9, 0x60, 7]);
        assert_eq!(Waterfall::unpack(waterfall.pack().as_bytes()), Some(waterfall));
    }

    #[test]
    fn invalid_bytes_unpack_as_none() {
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
    fn wait_of_centuries_is_clamped() {
        let waterfall = Waterfall { queue: Duration::MAX, exchange: Timings::default() };
        let kept = Waterfall::unpack(waterfall.pack().as_bytes()).expect("a waterfall");
        assert_eq!(kept.queue, Duration::from_micros(LONGEST_US));
    }

    proptest! {
        #[test]
        fn packed_waterfall_round_trips(queue in 0..=LONGEST_US, parts: [Option<u32>; 6]) {
            let [dns, connect, tls, write, first_byte, read] = parts.map(|part| part.map(u64::from).map(Duration::from_micros));
            let exchange = Timings { dns, connect, tls, write, first_byte, read };
            let waterfall = Waterfall { queue: Duration::from_micros(queue), exchange };
            prop_assert_eq!(Waterfall::unpack(waterfall.pack().as_bytes()), Some(waterfall));
        }

        #[test]
        fn arbitrary_bytes_do_not_panic(bytes: Vec<u8>) {
            let _ = Waterfall::unpack(&bytes);
        }
    }
}
