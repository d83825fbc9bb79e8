//! Standard output and standard error of the commands. Every command writes through here.
//!
//! A reader that closes the pipe (`hookstream doctor | head`) never panics or ends a command in the middle of its work: the text
//! is dropped and the command goes on to its end with its usual exit code. Commands without an end wait for [`closed`] as well.
//! Any other failure, such as a full disk behind a redirection, is kept for [`fault`] and makes the command fail.

use std::{
    fmt,
    io::{self, Write},
    sync::{LazyLock, Mutex, PoisonError},
};

use tokio_util::sync::CancellationToken;

static CLOSED: LazyLock<CancellationToken> = LazyLock::new(CancellationToken::new);
static FAULT: Mutex<Option<io::Error>> = Mutex::new(None);

/// Writes a line to standard output.
#[macro_export]
macro_rules! say {
    () => { $crate::output::standard(format_args!("\n")) };
    ($($argument:tt)*) => { $crate::output::standard(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes text to standard output as it is.
#[macro_export]
macro_rules! say_part {
    ($($argument:tt)*) => { $crate::output::standard(format_args!($($argument)*)) };
}

/// Writes a line to standard error.
#[macro_export]
macro_rules! note {
    ($($argument:tt)*) => { $crate::output::error(format_args!("{}\n", format_args!($($argument)*))) };
}

/// Writes to standard output at once. A failure is stored for [`fault`], not returned.
pub fn standard(text: fmt::Arguments<'_>) {
    if let Err(error) = try_standard(text) {
        if error.kind() == io::ErrorKind::BrokenPipe {
            CLOSED.cancel();
        } else {
            FAULT.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
        }
    }
}

/// Writes to standard output at once.
///
/// # Errors
/// The pipe is closed, or the text could not be written.
pub fn try_standard(text: fmt::Arguments<'_>) -> io::Result<()> {
    let mut output = io::stdout().lock();
    output.write_fmt(text)?;
    output.flush()
}

/// Writes to standard error. A failure is ignored: there is no other place to report it.
pub fn error(text: fmt::Arguments<'_>) {
    let _ = try_error(text);
}

/// Writes to standard error.
///
/// # Errors
/// The pipe is closed, or the text could not be written.
pub fn try_error(text: fmt::Arguments<'_>) -> io::Result<()> {
    io::stderr().lock().write_fmt(text)
}

/// Waits until the reader of standard output has closed the pipe, which only a later write detects.
pub async fn closed() {
    CLOSED.cancelled().await;
}

/// Returns the first failure of standard output other than a closed pipe.
pub fn fault() -> Option<io::Error> {
    FAULT.lock().unwrap_or_else(PoisonError::into_inner).take()
}
