//! Writer thread: takes the waiting operations, runs them, commits once, and then replies.
//!
//! There is no timer. Operations that arrive during a commit go into the next one: the fsync is the window.

use std::{collections::BTreeSet, sync::Mutex, thread::JoinHandle, time::Instant};

use tokio::sync::{mpsc, oneshot};

use super::files::{Files, Key};
use crate::{db::error::Error, instruments::Commits};

/// Maximum number of operations in the queue; further callers wait.
const QUEUE: usize = 8_192;
/// Maximum number of operations in one commit.
const BATCH: usize = 4_096;

/// Handle of the writer thread.
#[derive(Debug)]
pub(crate) struct Writer {
    executor: Executor,
}

/// Executor of the operations.
#[derive(Debug)]
enum Executor {
    Thread {
        operations: mpsc::Sender<Message>,
        thread: Mutex<Option<JoinHandle<()>>>,
    },
    /// The calling task, at once.
    #[cfg(feature = "in-memory")]
    Caller(std::sync::Arc<Mutex<Files>>),
}

enum Message {
    Operation(Box<dyn Operation>),
    /// Operation that shares its commit with no other.
    Alone(Box<dyn Operation>),
    Stop,
}

/// Operation that waits for its commit.
trait Operation: Send {
    /// Runs within the open transactions. May be called again after a rollback.
    fn run(&mut self, files: &mut Files) -> Result<(), Error>;
    /// Replies with the result of the commit.
    fn respond(self: Box<Self>, committed: Result<(), Error>);
}

struct Task<F, T> {
    work: F,
    output: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Operation for Task<F, T>
where
    F: FnMut(&mut Files) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, files: &mut Files) -> Result<(), Error> {
        self.output = Some((self.work)(files)?);
        Ok(())
    }

    fn respond(self: Box<Self>, committed: Result<(), Error>) {
        let Self { output, reply, .. } = *self;
        let response = committed.map(|()| output.expect("run before the commit"));
        // The caller may be gone; the work is done all the same.
        let _ = reply.send(response);
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(files: Files, commits: Commits) -> Result<Self, Error> {
        let (operations, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || work(files, queue, &commits));
        let thread = thread.map_err(|cause| Error::Open { what: "the writer's thread".to_owned(), cause: cause.into() })?;
        Ok(Self { executor: Executor::Thread { operations, thread: Mutex::new(Some(thread)) } })
    }

    /// Creates a writer without a thread: the calling task runs each operation in a commit of its own.
    #[cfg(feature = "in-memory")]
    pub(crate) const fn of_callers(files: std::sync::Arc<Mutex<Files>>) -> Self {
        Self { executor: Executor::Caller(files) }
    }

    /// Runs `work` in the next commit and returns its result once that is durable.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(Message::Operation, work).await
    }

    /// Runs `work` in a commit of its own, for operations that change the files themselves.
    pub(crate) async fn run_alone<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(Message::Alone, work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(Box<dyn Operation>) -> Message,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, response) = oneshot::channel();
        self.executor.take(message(Box::new(Task { work, output: None, reply }))).await?;
        response.await.map_err(|_| Error::Closed)?
    }

    /// Finishes the waiting operations and ends the thread, which closes the files.
    pub(crate) async fn stop(&self) {
        let _ = self.executor.take(Message::Stop).await;
        self.executor.rest().await;
    }
}

impl Executor {
    async fn take(&self, message: Message) -> Result<(), Error> {
        match self {
            Self::Thread { operations, .. } => operations.send(message).await.map_err(|_| Error::Closed),
            #[cfg(feature = "in-memory")]
            Self::Caller(files) => {
                match message {
                    Message::Operation(operation) | Message::Alone(operation) => {
                        commit(&mut files.lock().unwrap_or_else(std::sync::PoisonError::into_inner), vec![operation]);
                    }
                    Message::Stop => {}
                }
                Ok(())
            }
        }
    }

    /// Waits for the end of the accepted operations.
    async fn rest(&self) {
        match self {
            Self::Thread { thread, .. } => {
                let thread = thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(thread) = thread {
                    let _ = tokio::task::spawn_blocking(move || thread.join()).await;
                }
            }
            #[cfg(feature = "in-memory")]
            Self::Caller(_) => {}
        }
    }
}

fn work(mut files: Files, mut queue: mpsc::Receiver<Message>, commits: &Commits) {
    let mut batch: Vec<Box<dyn Operation>> = Vec::new();
    let mut stopping = false;
    while !stopping {
        let Some(first) = queue.blocking_recv() else { return };
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Operation(operation) => batch.push(operation),
                Message::Alone(operation) => {
                    commit(&mut files, std::mem::take(&mut batch));
                    commit(&mut files, vec![operation]);
                }
                Message::Stop => {
                    queue.close();
                    stopping = true;
                }
            }
            if batch.len() < BATCH {
                next = queue.try_recv().ok();
            }
        }
        let (size, begun) = (batch.len(), Instant::now());
        commit(&mut files, std::mem::take(&mut batch));
        if size > 0 {
            commits.note(size, begun.elapsed());
        }
    }
}

/// Runs a batch in one commit per file. If part of it fails, the uncommitted operations are rolled back and repeated
/// one by one, so that a failing operation fails no other.
fn commit(files: &mut Files, mut batch: Vec<Box<dyn Operation>>) {
    files.take_touched();
    let mut touched = Vec::with_capacity(batch.len());
    let ran = batch.iter_mut().try_for_each(|operation| {
        operation.run(files)?;
        touched.push(files.take_touched());
        Ok(())
    });
    let unfinished = match ran {
        Ok(()) => files.commit(),
        Err(error) => {
            files.roll_back();
            return repeat_one_by_one(files, batch, error);
        }
    };
    if unfinished.is_empty() {
        return batch.into_iter().for_each(|operation| operation.respond(Ok(())));
    }
    files.roll_back();
    let is_unfinished = |used: &BTreeSet<Key>| unfinished.iter().any(|(key, _)| used.contains(key));
    let (kept, undone): (Vec<_>, Vec<_>) = batch.into_iter().zip(touched).partition(|(_, used)| !is_unfinished(used));
    kept.into_iter().for_each(|(operation, _)| operation.respond(Ok(())));
    if let Some((_, error)) = unfinished.into_iter().next() {
        repeat_one_by_one(files, undone.into_iter().map(|(operation, _)| operation).collect(), error);
    }
}

/// Repeats the operations one by one. An operation that was alone in its batch has failed for good.
fn repeat_one_by_one(files: &mut Files, mut batch: Vec<Box<dyn Operation>>, error: Error) {
    match batch.pop() {
        Some(only) if batch.is_empty() => only.respond(Err(error)),
        last => batch.into_iter().chain(last).for_each(|operation| commit(files, vec![operation])),
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::base::time::Timestamp;

    use super::{
        super::{connection::failed, files::KnownDays},
        *,
    };
    use crate::sqlite::db::directory::create_directory;

    fn task<T: Send + 'static>(
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> (Box<dyn Operation>, oneshot::Receiver<Result<T, Error>>) {
        let (reply, response) = oneshot::channel();
        (Box::new(Task { work, output: None, reply }), response)
    }

    #[test]
    fn failed_commit_of_one_file_leaves_other_files_committed() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        create_directory(directory.path()).expect("made");
        let known = KnownDays::find(directory.path()).expect("read");
        let mut files = Files::open(directory.path(), known).expect("opened");
        let day = Timestamp::from_millis(1_795_521_600_000).day();
        let (kept, kept_reply) = task(move |files| {
            let insert = "insert into message_counts (origin_id, messages) values (x'01', 1)";
            files.day(day)?.connection().execute(insert, []).map_err(failed("count"))
        });
        let (unfinished, failed_reply) = task(|files| {
            // The missing organization is detected at the commit.
            let insert = "pragma defer_foreign_keys = on;
                insert into environments (id, organization_id, name, slug, created_at, version) values (x'02', x'03', 'a', 'a', 0, 1)";
            files.core()?.execute_batch(insert).map_err(failed("spoil"))
        });
        commit(&mut files, vec![kept, unfinished]);
        assert!(matches!(kept_reply.blocking_recv(), Ok(Ok(1))), "committed once");
        assert!(matches!(failed_reply.blocking_recv(), Ok(Err(Error::Failed { .. }))));
        let count = |connection: &rusqlite::Connection| connection.query_row("select count(*) from message_counts", [], |row| row.get(0));
        assert_eq!(count(files.day(day).expect("open").connection()), Ok(1));
    }
}
