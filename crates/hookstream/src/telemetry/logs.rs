//! Log of the server: text or JSON on standard error, written by a thread of its own.
//!
//! A log collector that reads slowly never delays a delivery: lines that do not fit the buffer are dropped and counted
//! (`hookstream_log_lines_dropped`). In the text format, control characters are replaced, because they could come from
//! outside, and terminals and log viewers obey them.

use std::{
    io::{self, IsTerminal, Write},
    sync::{Mutex, OnceLock, PoisonError},
};

use anyhow::Context;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::counter::ConstCounter,
    registry::Registry,
};
use tracing_appender::non_blocking::{ErrorCounter, NonBlocking, NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::{
    EnvFilter, Layer,
    fmt::{self, MakeWriter},
    layer::SubscriberExt,
    reload,
    util::SubscriberInitExt,
};

use super::otlp::log_layer::LogLayer;
use crate::config::Batches;

/// Lines that wait to be written, at most: some 4 MiB.
const BUFFERED_LINES: usize = 16_384;

/// Format of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) enum Format {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

impl std::str::FromStr for Format {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "text" => Ok(Self::Text),
            "json" => Ok(Self::Json),
            _ => Err("must be text or json".to_owned()),
        }
    }
}

/// Thread that writes the log, and its number of dropped lines.
struct Writing {
    dropped: ErrorCounter,
    /// Writes what is left when it is dropped.
    guard: Mutex<Option<WorkerGuard>>,
}

/// Replaces the filter of the log that was started.
type ReplaceFilter = Box<dyn Fn(EnvFilter) -> anyhow::Result<()> + Send + Sync>;

static WRITING: OnceLock<Writing> = OnceLock::new();
static FILTER: OnceLock<ReplaceFilter> = OnceLock::new();

/// Starts logging to standard error, and to the collector if `exported` has the sizes of its batches. Only tests start it twice in a
/// process; the first start stays in effect.
pub(crate) fn start(filter: EnvFilter, format: Format, exported: Option<Batches>) {
    let (writer, guard) =
        NonBlockingBuilder::default().lossy(true).buffered_lines_limit(BUFFERED_LINES).thread_name("log-writer").finish(io::stderr());
    let writing = Writing { dropped: writer.error_counter(), guard: Mutex::new(Some(guard)) };
    if WRITING.set(writing).is_err() {
        return;
    }
    let (filter, handle) = reload::Layer::new(filter);
    // The library's report about a closed standard error would panic.
    let lines = fmt::layer().log_internal_errors(false);
    let lines = match format {
        Format::Text => {
            let is_terminal = io::stderr().is_terminal();
            lines.with_writer(Lines { writer, keeps_escapes: is_terminal }).with_ansi(is_terminal).with_target(false).boxed()
        }
        Format::Json => lines.json().flatten_event(true).with_current_span(false).with_span_list(false).with_writer(writer).boxed(),
    };
    let exported = exported.map(LogLayer::new);
    // Starting fails where a test has set another log before.
    if tracing_subscriber::registry().with(filter).with(lines).with(exported).try_init().is_ok() {
        let _ = FILTER.set(Box::new(move |new| Ok(handle.reload(new)?)));
    }
}

/// Replaces the filter of the log.
///
/// # Errors
/// If logging has not started.
pub(crate) fn change_filter(filter: EnvFilter) -> anyhow::Result<()> {
    FILTER.get().context("logging has not started")?(filter)
}

/// Writes the lines that wait. Nothing is logged after this.
pub(crate) fn finish() {
    if let Some(writing) = WRITING.get() {
        writing.guard.lock().unwrap_or_else(PoisonError::into_inner).take();
    }
}

/// Adds the number of dropped lines to a registry.
pub(super) fn register(registry: &mut Registry) {
    registry.register_collector(Box::new(Dropped));
}

#[derive(Debug)]
struct Dropped;

impl Collector for Dropped {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), std::fmt::Error> {
        let dropped = WRITING.get().map_or(0, |writing| writing.dropped.dropped_lines());
        let dropped = ConstCounter::new(u64::try_from(dropped).unwrap_or(u64::MAX));
        let help = "Lines of the log that were dropped because standard error was not read in time";
        dropped.encode(encoder.encode_descriptor("log_lines_dropped", help, None, dropped.metric_type())?)
    }
}

/// Writer of text lines.
struct Lines {
    writer: NonBlocking,
    /// Whether escape sequences are kept: those of the colors on a terminal. Others are escaped before.
    keeps_escapes: bool,
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Line;

    fn make_writer(&'a self) -> Line {
        Line { writer: self.writer.clone(), keeps_escapes: self.keeps_escapes }
    }
}

/// Writer of one line.
struct Line {
    writer: NonBlocking,
    keeps_escapes: bool,
}

impl Write for Line {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        match without_controls(line, self.keeps_escapes) {
            Some(clean) => self.writer.write_all(&clean)?,
            None => self.writer.write_all(line)?,
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

/// Returns a line whose control characters are replaced by spaces; `None` if it has none.
fn without_controls(line: &[u8], keeps_escapes: bool) -> Option<Vec<u8>> {
    const ESCAPE: u8 = 0x1b;
    let content = line.strip_suffix(b"\n").unwrap_or(line);
    let is_control = |byte: u8| byte.is_ascii_control() && !(keeps_escapes && byte == ESCAPE);
    content.iter().any(|byte| is_control(*byte)).then(|| {
        let mut clean: Vec<u8> = content.iter().map(|byte| if is_control(*byte) { b' ' } else { *byte }).collect();
        clean.extend(&line[content.len()..]);
        clean
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_within_a_line_become_spaces() {
        assert_eq!(without_controls(b"a plain line\n", false), None);
        assert_eq!(without_controls(b"two\nlines\r\x1b[31m\n", false).as_deref(), Some(&b"two lines  [31m\n"[..]));
        assert_eq!(without_controls(b"\x1b[2mtime\x1b[0m\n", true), None);
        assert_eq!(without_controls(b"\x1b[2m\x07\n", true).as_deref(), Some(&b"\x1b[2m \n"[..]));
    }

    #[test]
    fn format_is_text_or_json() {
        assert_eq!("json".parse(), Ok(Format::Json));
        assert_eq!("JSON".parse::<Format>(), Err("must be text or json".to_owned()));
    }
}
