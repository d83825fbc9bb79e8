//! Limits on the bytes of a broker. The AMQP client would wait for the end of a frame that does not fit its buffer, and keep all
//! messages that a broker returns; the link ends the connection instead.

use std::io;

/// Largest frame, in bytes. All headers of a message must fit into one. The client keeps buffers of 32 frames in both directions.
pub(super) const FRAME_MAX: u32 = 32 * 1024;

/// Bytes that a broker may send beyond what it was sent: the handshake, confirms, heartbeats.
const CREDIT: usize = 1024 * 1024;
/// Most bytes that a broker may send at a time: the messages under way, which it may return.
const CREDIT_MAX: usize = 64 * 1024 * 1024;

/// Type, channel and size of a frame (AMQP 0-9-1, section 2.3.5).
const HEADER: usize = 7;

/// Reason to end a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(in crate::rabbitmq) enum Excess {
    /// A frame exceeds the size that both sides agreed on, or the bytes are no frame.
    #[error("a frame is larger than {FRAME_MAX} bytes")]
    Frame,
    /// The broker sends far more than it was sent.
    #[error("the broker sends more than a publisher can receive")]
    Bytes,
}

/// Position in the stream of frames.
#[derive(Debug)]
pub(super) struct Frames {
    /// Number of bytes that the broker may still send.
    credit: usize,
    header: [u8; HEADER],
    /// Number of bytes of the header that have arrived.
    arrived: usize,
    /// Number of bytes of the frame that follow its header.
    remaining: usize,
}

impl Default for Frames {
    fn default() -> Self {
        Self { credit: CREDIT, header: [0; HEADER], arrived: 0, remaining: 0 }
    }
}

impl Frames {
    /// Notes bytes sent to the broker, which it may return.
    pub(super) fn note_sent(&mut self, count: usize) {
        self.credit = self.credit.saturating_add(count).min(CREDIT_MAX);
    }

    /// Takes the next bytes of the stream.
    ///
    /// # Errors
    /// [`Excess`], if the header of a frame names a larger size, or the broker sends too much.
    pub(super) fn take(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        self.credit = self.credit.checked_sub(bytes.len()).ok_or_else(|| io::Error::other(Excess::Bytes))?;
        while !bytes.is_empty() {
            if self.remaining > 0 {
                let passed = bytes.len().min(self.remaining);
                self.remaining -= passed;
                bytes = &bytes[passed..];
                continue;
            }
            self.header[self.arrived] = bytes[0];
            self.arrived += 1;
            bytes = &bytes[1..];
            if self.arrived == HEADER {
                let [_, _, _, size @ ..] = self.header;
                let size = u32::from_be_bytes(size);
                if size > FRAME_MAX {
                    return Err(io::Error::other(Excess::Frame));
                }
                // The end byte belongs to the frame too.
                (self.arrived, self.remaining) = (0, usize::try_from(size).unwrap_or(usize::MAX).saturating_add(1));
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(size: u32) -> Vec<u8> {
        let mut frame = vec![3, 0, 1];
        frame.extend(size.to_be_bytes());
        frame.resize(HEADER + size as usize, b'x');
        frame.push(0xce);
        frame
    }

    #[test]
    fn frames_up_to_the_limit_pass_in_any_pieces() {
        let stream = [frame(0), frame(5), frame(FRAME_MAX), frame(1)].concat();
        for piece in [1, 2, 7, 8, 1000, stream.len()] {
            let mut frames = Frames::default();
            assert!(stream.chunks(piece).all(|bytes| frames.take(bytes).is_ok()), "{piece}");
            assert_eq!((frames.arrived, frames.remaining), (0, 0), "{piece}");
        }
    }

    #[test]
    fn broker_sends_little_more_than_it_was_sent() {
        let (mut frames, frame) = (Frames::default(), frame(FRAME_MAX));
        let count = |frames: &mut Frames| (0..).take_while(|_| frames.take(&frame).is_ok()).count();
        assert_eq!(count(&mut frames), CREDIT / frame.len());
        frames.note_sent(frame.len() * 5);
        assert_eq!(count(&mut frames), 5);
        frames.note_sent(usize::MAX);
        assert_eq!(count(&mut frames), CREDIT_MAX / frame.len());
    }

    #[test]
    fn larger_frame_and_other_protocols_are_refused_at_the_header() {
        let mut frames = Frames::default();
        assert!(frames.take(&frame(9)).is_ok());
        assert!(frames.take(&[3, 0, 1, 0, 0, 0x80, 1]).is_err());
        for greeting in [&b"HTTP/1.1 400 Bad Request"[..], b"AMQP\x00\x00\x09\x01", b"220 mail.example ESMTP"] {
            assert!(Frames::default().take(greeting).is_err(), "{greeting:?}");
        }
    }
}
