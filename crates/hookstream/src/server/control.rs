//! Control socket, through which commands work on the data directory of a running server.
//!
//! The server listens on `admin.sock` in its data directory. Only the directory's owner and root may use it: the
//! socket has mode 0600, and both sides check the peer's user. A command sends one request, a line of JSON, and reads
//! one response.

use std::{
    fs::{self, File, Permissions},
    os::{
        fd::AsRawFd,
        unix::fs::{MetadataExt, PermissionsExt},
    },
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::{Context, bail};
use hookstream_model::operations::quota::Quotas;
use hookstream_store::Store;
use serde::{Deserialize, Serialize};
use tokio::{
    io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader},
    net::{UnixListener, UnixStream},
    sync::oneshot,
};
use tokio_util::sync::CancellationToken;

use crate::{
    commands::admin::{installation::Installation, request::Request},
    server::reload::Reloader,
};

/// Maximum size of a request or response, in bytes.
const MESSAGE_MAX: u64 = 1024 * 1024;
/// Time limit for the line of the other side.
const LINE_WITHIN: Duration = Duration::from_secs(10);
/// Time limit for the response. Encrypting all secrets again may take long.
const ANSWER_WITHIN: Duration = Duration::from_secs(3_600);
/// Maximum time for which a command may pause writing.
const PAUSE_MAX: Duration = Duration::from_secs(1);
/// Maximum length of a path in a socket address on all systems, with a margin.
const PATH_MAX: usize = 100;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Reply {
    Done(String),
    Failed(String),
}

/// Server side of the socket.
pub(crate) struct Control {
    listener: UnixListener,
    owner: u32,
    path: PathBuf,
}

/// Parts of the server that commands work on.
pub(crate) struct Served {
    pub(crate) store: Arc<dyn Store>,
    pub(crate) public_url: String,
    pub(crate) quotas: Quotas,
    pub(crate) reloader: Arc<Reloader>,
}

/// Returns a path to the socket that fits into its address, and the file that must stay open for it.
fn address(directory: &Path) -> std::io::Result<(PathBuf, Option<File>)> {
    let path = directory.join("admin.sock");
    if path.as_os_str().len() <= PATH_MAX {
        return Ok((path, None));
    }
    let directory = File::open(directory)?;
    Ok((PathBuf::from(format!("/proc/self/fd/{}/admin.sock", directory.as_raw_fd())), Some(directory)))
}

impl Control {
    /// Listens in a data directory whose lock this process holds.
    ///
    /// # Errors
    /// The file system may not support sockets.
    pub(crate) fn listen(directory: &Path) -> std::io::Result<Self> {
        let (path, _open) = address(directory)?;
        // An existing socket is left from an earlier process, because this process holds the lock.
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
            Ok(()) | Err(_) => {}
        }
        let listener = UnixListener::bind(&path)?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        let owner = fs::metadata(&path)?.uid();
        Ok(Self { listener, owner, path: directory.join("admin.sock") })
    }

    /// Performs the requests of commands, one at a time, until `stop`. Calls `changed` after each.
    pub(crate) async fn serve(self, served: Served, changed: impl Fn() + Send, stop: CancellationToken) {
        loop {
            let stream = tokio::select! {
                accepted = self.listener.accept() => match accepted {
                    Ok((stream, _)) => stream,
                    Err(error) => {
                        tracing::debug!(error = &error as &dyn std::error::Error, "could not accept a connection to the control socket");
                        tokio::time::sleep(Duration::from_millis(100)).await;
                        continue;
                    }
                },
                () = stop.cancelled() => break,
            };
            let installation = Installation {
                store: &*served.store,
                public_url: served.public_url.clone(),
                quotas: served.quotas,
                is_alone: true,
                is_watched: false,
                reloader: Some(&served.reloader),
            };
            let answered = stop.run_until_cancelled(answer(stream, self.owner, &installation)).await;
            changed();
            if let Some(Err(error)) = answered {
                let error: &dyn std::error::Error = error.as_ref();
                tracing::warn!(error, "a command on the control socket was not answered");
            }
        }
        let _ = fs::remove_file(&self.path);
    }
}

async fn answer(stream: UnixStream, owner: u32, installation: &Installation<'_>) -> anyhow::Result<()> {
    let peer = stream.peer_cred().context("could not see whose the other end is")?.uid();
    if peer != owner && peer != 0 {
        bail!("the user {peer} may not use the control socket");
    }
    let mut stream = BufReader::new(stream);
    let line = tokio::time::timeout(LINE_WITHIN, read_line(&mut stream)).await.context("no request came")??;
    let done = match serde_json::from_str::<Request>(&line) {
        Ok(Request::PauseWriting) => return pause_writing(&mut stream, installation.store).await,
        Ok(request) => request.perform(installation).await,
        Err(_) => Err(anyhow::anyhow!("the running server does not know this command: is it of another version?")),
    };
    let answer = done.map_or_else(|error| Reply::Failed(format!("{error:#}")), Reply::Done);
    write_line(&mut stream, &answer).await
}

/// Pauses writing until the other side has said that it is done, or [`PAUSE_MAX`] has passed. The first response says that
/// writing pauses, the second whether it still did.
async fn pause_writing(stream: &mut BufReader<UnixStream>, store: &dyn Store) -> anyhow::Result<()> {
    let (paused, is_paused) = oneshot::channel();
    let (resume, resumed) = std::sync::mpsc::channel();
    let pausing = store.between_commits(Box::new(move || {
        let _ = paused.send(());
        let _ = resumed.recv_timeout(PAUSE_MAX);
    }));
    let talking = async {
        if is_paused.await.is_err() {
            return write_line(stream, &Reply::Failed("the server could not pause writing; is it stopping?".to_owned())).await;
        }
        write_line(stream, &Reply::Done("paused".to_owned())).await?;
        let done = tokio::time::timeout(PAUSE_MAX, read_line(stream)).await;
        let is_in_time = resume.send(()).is_ok() && matches!(done, Ok(Ok(_)));
        let late = || Reply::Failed("the files were not opened in time, and writing went on: run this again".to_owned());
        write_line(stream, &if is_in_time { Reply::Done("resumed".to_owned()) } else { late() }).await
    };
    let (paused, talked) = tokio::join!(pausing, talking);
    talked?;
    Ok(paused?)
}

/// Runs `work` while the server that uses `directory` writes nothing. The pause is short, and writing waits for it.
///
/// # Errors
/// The server cannot be reached, or `work` took too long.
pub(crate) async fn while_writing_pauses<T>(directory: &Path, work: impl FnOnce() -> T) -> anyhow::Result<T> {
    let mut stream = connect(directory).await?;
    write_line(&mut stream, &Request::PauseWriting).await?;
    response(&mut stream, LINE_WITHIN).await?;
    let done = work();
    write_line(&mut stream, &"done").await?;
    response(&mut stream, LINE_WITHIN).await?;
    Ok(done)
}

/// Sends a request to the server that uses `directory`, and returns the response.
///
/// # Errors
/// The server's error, or the reason why it could not be reached.
pub(crate) async fn ask(directory: &Path, request: &Request) -> anyhow::Result<String> {
    let mut stream = connect(directory).await?;
    write_line(&mut stream, request).await?;
    response(&mut stream, ANSWER_WITHIN).await
}

/// Connects to the server that uses `directory`.
async fn connect(directory: &Path) -> anyhow::Result<BufReader<UnixStream>> {
    let unreachable = || {
        format!(
            "another hookstream process uses the data directory {}, and its control socket admin.sock cannot be used. If that is a server, \
             run this as its user or stop it for a moment; any other command ends by itself",
            directory.display()
        )
    };
    let (path, _open) = address(directory).with_context(unreachable)?;
    let stream = UnixStream::connect(&path).await.with_context(unreachable)?;
    // The request may contain a password, so it is sent to the store's owner only.
    let owner = fs::metadata(directory.join("core.db")).with_context(unreachable)?.uid();
    let peer = stream.peer_cred().with_context(unreachable)?.uid();
    if peer != owner && peer != 0 {
        bail!("the control socket of {} belongs to the user {peer} and the store to {owner}; nothing was sent", directory.display());
    }
    Ok(BufReader::new(stream))
}

/// Reads a response.
async fn response(stream: &mut BufReader<UnixStream>, within: Duration) -> anyhow::Result<String> {
    let line = tokio::time::timeout(within, read_line(stream)).await.context("the server did not answer in time")?;
    let line = line.context("the server stopped before it answered; look whether it was done, and run this again")?;
    match serde_json::from_str(&line).context("the server's answer cannot be read: is it of another version?")? {
        Reply::Done(text) => Ok(text),
        Reply::Failed(problem) => bail!(problem),
    }
}

async fn read_line(stream: &mut BufReader<UnixStream>) -> anyhow::Result<String> {
    let mut line = String::new();
    let read = stream.take(MESSAGE_MAX).read_line(&mut line).await?;
    if read == 0 || !line.ends_with('\n') {
        bail!("the connection ended early");
    }
    Ok(line)
}

async fn write_line(stream: &mut BufReader<UnixStream>, message: &impl Serialize) -> anyhow::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    tokio::time::timeout(LINE_WITHIN, stream.get_mut().write_all(&line)).await.context("the other end does not read")??;
    Ok(())
}
