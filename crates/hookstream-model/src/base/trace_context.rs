//! Trace context of a request, as senders and receivers pass it on: the headers `traceparent` and `tracestate` of W3C Trace Context.
//!
//! <https://www.w3.org/TR/trace-context/>

use std::fmt;

/// Header with the ids of trace and span, and the flags.
pub const TRACEPARENT: &str = "traceparent";
/// Header with the entries of tracing systems.
pub const TRACESTATE: &str = "tracestate";

/// Maximum length of a `tracestate` that is passed on; a longer one is dropped. Section 3.3.1.5 asks for at least this.
const STATE_MAX: usize = 512;
/// Maximum number of its entries (section 3.3.1.1).
const STATE_ENTRIES_MAX: usize = 32;
/// Flag of a trace that is recorded.
const SAMPLED: u8 = 0b01;
/// Flag of a trace id whose last bytes are random.
const RANDOM: u8 = 0b10;

/// Id of a trace; not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId([u8; 16]);

/// Id of a span; not all zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct SpanId([u8; 8]);

impl TraceId {
    /// Builds an id from random bytes; zeros, which are no id, become ones.
    pub fn new(bytes: [u8; 16]) -> Self {
        if bytes == [0; 16] { Self([1; 16]) } else { Self(bytes) }
    }

    /// Bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl SpanId {
    /// Builds an id from random bytes; zeros, which are no id, become ones.
    pub fn new(bytes: [u8; 8]) -> Self {
        if bytes == [0; 8] { Self([1; 8]) } else { Self(bytes) }
    }

    /// Bytes of the id.
    pub const fn as_bytes(&self) -> &[u8; 8] {
        &self.0
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", u128::from_be_bytes(self.0))
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", u64::from_be_bytes(self.0))
    }
}

/// Place in a trace: the span that causes what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TraceContext {
    trace: TraceId,
    span: SpanId,
    flags: u8,
    /// Entries of tracing systems, passed on unchanged.
    state: Option<Box<str>>,
}

impl TraceContext {
    /// Builds the context of a new trace that is recorded.
    pub const fn sampled(trace: TraceId, span: SpanId) -> Self {
        Self { trace, span, flags: SAMPLED | RANDOM, state: None }
    }

    /// Parses the headers. `None` if `traceparent` is invalid; an invalid `tracestate` alone is dropped (section 4.3).
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Option<Self> {
        let text = traceparent.trim();
        let (version, rest) = text.split_at_checked(2)?;
        let version = hex::<1>(version)?[0];
        // Later versions may append fields.
        let has_valid_end = if version == 0 { text.len() == 55 } else { text.len() == 55 || text.as_bytes().get(55) == Some(&b'-') };
        if version == 0xff || !has_valid_end {
            return None;
        }
        let mut fields = rest.strip_prefix('-')?.splitn(4, '-');
        let (trace, span, flags) = (hex(fields.next()?)?, hex(fields.next()?)?, hex::<1>(fields.next()?)?[0]);
        if trace == [0; 16] || span == [0; 8] {
            return None;
        }
        let state = tracestate.map(str::trim).filter(|state| is_state(state)).map(Box::from);
        Some(Self { trace: TraceId(trace), span: SpanId(span), flags: flags & (SAMPLED | RANDOM), state })
    }

    /// Parses the text of [`Self::to_stored`].
    pub fn from_stored(text: &str) -> Option<Self> {
        let (traceparent, state) = text.split_once(' ').map_or((text, None), |(traceparent, state)| (traceparent, Some(state)));
        Self::parse(traceparent, state)
    }

    /// Returns the text that is stored with a message: both headers, with a space between them.
    pub fn to_stored(&self) -> String {
        let traceparent = self.traceparent();
        self.state.as_ref().map_or_else(|| traceparent.clone(), |state| format!("{traceparent} {state}"))
    }

    /// Value of the header `traceparent`.
    pub fn traceparent(&self) -> String {
        format!("00-{}-{}-{:02x}", self.trace, self.span, self.flags)
    }

    /// Value of the header `tracestate`, if there is one.
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// Id of the trace.
    pub const fn trace(&self) -> TraceId {
        self.trace
    }

    /// Id of the span.
    pub const fn span(&self) -> SpanId {
        self.span
    }

    /// Flags, as the header has them.
    pub const fn flags(&self) -> u8 {
        self.flags
    }

    /// Whether the trace is recorded.
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Context of a recorded span of the same trace.
    #[must_use]
    pub fn child(&self, span: SpanId) -> Self {
        Self { span, flags: self.flags | SAMPLED, ..self.clone() }
    }

    /// Same place in a trace that is not recorded here.
    #[must_use]
    pub fn unsampled(self) -> Self {
        Self { flags: self.flags & !SAMPLED, ..self }
    }
}

/// Parses lower-case hexadecimal digits of a fixed number of bytes.
fn hex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits = text.as_bytes();
    let mut bytes = [0; N];
    if digits.len() != 2 * N {
        return None;
    }
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Returns whether a text has the form of a `tracestate` that is short enough to store.
fn is_state(text: &str) -> bool {
    let is_value = |c: u8| matches!(c, b' '..=b'~');
    let is_key = |c: u8| matches!(c, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-' | b'*' | b'/' | b'@');
    let is_entry = |entry: &str| {
        let entry = entry.trim();
        entry.is_empty()
            || entry.split_once('=').is_some_and(|(key, value)| !key.is_empty() && key.bytes().all(is_key) && !value.is_empty())
    };
    let has_form = !text.is_empty() && text.len() <= STATE_MAX && text.bytes().all(is_value);
    has_form && text.split(',').count() <= STATE_ENTRIES_MAX && text.split(',').all(is_entry)
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    #[test]
    fn valid_traceparent_round_trips() {
        let context = TraceContext::parse(VALID, Some("vendor=1, other@tenant=a=b")).expect("valid");
        assert_eq!((context.traceparent().as_str(), context.tracestate()), (VALID, Some("vendor=1, other@tenant=a=b")));
        assert!(context.is_sampled() && !context.clone().unsampled().is_sampled());
        assert_eq!(TraceContext::from_stored(&context.to_stored()), Some(context.clone()));
        let child = context.unsampled().child(SpanId::new([2; 8]));
        assert_eq!(child.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-0202020202020202-01");
        let without_state = TraceContext::parse(VALID, None).expect("valid");
        assert_eq!(without_state.to_stored(), VALID);
    }

    #[test]
    fn invalid_traceparent_is_ignored() {
        let trace = "0af7651916cd43dd8448eb211c80319c";
        for wrong in [
            "".to_owned(),
            "00".to_owned(),
            format!("00-{trace}-b7ad6b7169203331"),
            format!("00-{trace}-b7ad6b7169203331-01-more"),
            format!("00-{trace}-b7ad6b7169203331-1"),
            format!("00-{trace}-b7ad6b716920333-001"),
            format!("ff-{trace}-b7ad6b7169203331-01"),
            format!("00-{}-b7ad6b7169203331-01", trace.to_uppercase()),
            format!("00-{}-b7ad6b7169203331-01", "0".repeat(32)),
            format!("00-{trace}-0000000000000000-01"),
            format!("00-{trace}-b7ad6b71692033ü-01"),
            format!("0x-{trace}-b7ad6b7169203331-01"),
        ] {
            assert_eq!(TraceContext::parse(&wrong, None), None, "{wrong}");
        }
    }

    #[test]
    fn later_version_is_read_and_unknown_flags_are_dropped() {
        let later = "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-ff-more";
        let context = TraceContext::parse(later, None).expect("readable");
        assert_eq!(context.traceparent(), "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-03");
    }

    #[test]
    fn invalid_tracestate_is_dropped_alone() {
        let many = vec!["a=1"; 33].join(",");
        let long = format!("a={}", "x".repeat(511));
        for wrong in ["", "vendor", "=1", "a=", "A=1", "a=ü", "a=1\r\nb: 2", &many, &long] {
            let context = TraceContext::parse(VALID, Some(wrong)).expect("the other header is valid");
            assert_eq!(context.tracestate(), None, "{wrong}");
        }
    }
}
