//! The thread that writes: it takes what waits, does it, commits once, and only then answers.
//!
//! There is no timer. While one commit is under way others wait, and they go into the next: the fsync
//! is the window.

use std::{collections::BTreeSet, sync::Mutex, thread::JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::files::{Files, Key};
use crate::db::error::Error;

/// The most operations that wait for the writer; further callers wait to get in.
const QUEUE: usize = 8_192;
/// The most operations in one commit.
const BATCH: usize = 4_096;

/// A handle to the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    hands: Hands,
}

/// Who does what is asked for.
#[derive(Debug)]
enum Hands {
    Thread {
        jobs: mpsc::Sender<Message>,
        thread: Mutex<Option<JoinHandle<()>>>,
    },
    /// Whoever asks, at once.
    #[cfg(feature = "in-memory")]
    Caller(std::sync::Arc<Mutex<Files>>),
}

enum Message {
    Job(Box<dyn Job>),
    /// One that shares its commit with no other.
    Alone(Box<dyn Job>),
    Stop,
}

/// An operation that waits for its commit.
trait Job: Send {
    /// Does it, within the transactions that are open. It may be called again after a rollback.
    fn run(&mut self, files: &mut Files) -> Result<(), Error>;
    /// Answers, once it is known whether it was committed.
    fn answer(self: Box<Self>, committed: Result<(), Error>);
}

struct Task<F, T> {
    work: F,
    output: Option<T>,
    reply: oneshot::Sender<Result<T, Error>>,
}

impl<F, T> Job for Task<F, T>
where
    F: FnMut(&mut Files) -> Result<T, Error> + Send,
    T: Send,
{
    fn run(&mut self, files: &mut Files) -> Result<(), Error> {
        self.output = Some((self.work)(files)?);
        Ok(())
    }

    fn answer(self: Box<Self>, committed: Result<(), Error>) {
        let Self { output, reply, .. } = *self;
        let answer = committed.map(|()| output.expect("what was committed was run"));
        // Whoever asked may have gone; the work is done all the same.
        let _ = reply.send(answer);
    }
}

impl Writer {
    /// Starts the thread.
    pub(crate) fn start(files: Files) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || work(files, queue));
        let thread = thread.map_err(|cause| Error::Open { what: "the writer's thread".to_owned(), cause: cause.into() })?;
        Ok(Self { hands: Hands::Thread { jobs, thread: Mutex::new(Some(thread)) } })
    }

    /// One without a thread: each operation is done in a commit of its own by whoever asks for it.
    #[cfg(feature = "in-memory")]
    pub(crate) const fn of_callers(files: std::sync::Arc<Mutex<Files>>) -> Self {
        Self { hands: Hands::Caller(files) }
    }

    /// Does `work` in the next commit and returns what it returned, once that is durable.
    pub(crate) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(Message::Job, work).await
    }

    /// The same in a commit of its own, for what changes the files themselves.
    pub(crate) async fn run_alone<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        self.ask(Message::Alone, work).await
    }

    async fn ask<T: Send + 'static>(
        &self,
        message: impl FnOnce(Box<dyn Job>) -> Message,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        self.hands.take(message(Box::new(Task { work, output: None, reply }))).await?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Finishes what waits and ends the thread, which closes the files.
    pub(crate) async fn stop(&self) {
        let _ = self.hands.take(Message::Stop).await;
        self.hands.rest().await;
    }
}

impl Hands {
    async fn take(&self, message: Message) -> Result<(), Error> {
        match self {
            Self::Thread { jobs, .. } => jobs.send(message).await.map_err(|_| Error::Closed),
            #[cfg(feature = "in-memory")]
            Self::Caller(files) => {
                match message {
                    Message::Job(job) | Message::Alone(job) => {
                        commit(&mut files.lock().unwrap_or_else(std::sync::PoisonError::into_inner), vec![job]);
                    }
                    Message::Stop => {}
                }
                Ok(())
            }
        }
    }

    /// Waits for the end of what was taken.
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

fn work(mut files: Files, mut queue: mpsc::Receiver<Message>) {
    let mut batch: Vec<Box<dyn Job>> = Vec::new();
    let mut stopping = false;
    while !stopping {
        let Some(first) = queue.blocking_recv() else { return };
        let mut next = Some(first);
        while let Some(message) = next.take() {
            match message {
                Message::Job(job) => batch.push(job),
                Message::Alone(job) => {
                    commit(&mut files, std::mem::take(&mut batch));
                    commit(&mut files, vec![job]);
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
        commit(&mut files, std::mem::take(&mut batch));
    }
}

/// Does a batch in one commit a file. Where any of it fails, what was not kept is undone and done again
/// each by itself, so that one bad operation spoils no other.
fn commit(files: &mut Files, mut batch: Vec<Box<dyn Job>>) {
    files.take_touched();
    let mut touched = Vec::with_capacity(batch.len());
    let ran = batch.iter_mut().try_for_each(|job| {
        job.run(files)?;
        touched.push(files.take_touched());
        Ok(())
    });
    let spoilt = match ran {
        Ok(()) => files.commit(),
        Err(error) => {
            files.roll_back();
            return again_each_by_itself(files, batch, error);
        }
    };
    if spoilt.is_empty() {
        return batch.into_iter().for_each(|job| job.answer(Ok(())));
    }
    files.roll_back();
    let is_spoilt = |used: &BTreeSet<Key>| spoilt.iter().any(|(key, _)| used.contains(key));
    let (kept, undone): (Vec<_>, Vec<_>) = batch.into_iter().zip(touched).partition(|(_, used)| !is_spoilt(used));
    kept.into_iter().for_each(|(job, _)| job.answer(Ok(())));
    if let Some((_, error)) = spoilt.into_iter().next() {
        again_each_by_itself(files, undone.into_iter().map(|(job, _)| job).collect(), error);
    }
}

/// One that was alone has had its chance and is told the error.
fn again_each_by_itself(files: &mut Files, mut batch: Vec<Box<dyn Job>>, error: Error) {
    match batch.pop() {
        Some(only) if batch.is_empty() => only.answer(Err(error)),
        last => batch.into_iter().chain(last).for_each(|job| commit(files, vec![job])),
    }
}

#[cfg(test)]
mod tests {
    use hookstream_model::base::time::Timestamp;

    use super::{
        super::{connection::failed, files::KnownDays},
        *,
    };
    use crate::sqlite::make_directory;

    fn task<T: Send + 'static>(
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> (Box<dyn Job>, oneshot::Receiver<Result<T, Error>>) {
        let (reply, answer) = oneshot::channel();
        (Box::new(Task { work, output: None, reply }), answer)
    }

    #[test]
    fn a_commit_that_fails_on_one_file_undoes_and_repeats_nothing_on_another() {
        let directory = tempfile::tempdir().expect("a scratch directory");
        make_directory(directory.path()).expect("made");
        let known = KnownDays::find(directory.path()).expect("read");
        let mut files = Files::open(directory.path(), known).expect("opened");
        let day = Timestamp::from_millis(1_795_521_600_000).day();
        let (kept, kept_answer) = task(move |files| {
            let insert = "insert into message_counts (application_id, messages) values (x'01', 1)";
            files.day(day)?.connection().execute(insert, []).map_err(failed("count"))
        });
        let (spoilt, spoilt_answer) = task(|files| {
            // It is noticed at the commit that there is no such organization.
            let insert = "pragma defer_foreign_keys = on;
                insert into environments (id, organization_id, name, slug, created_at, version) values (x'02', x'03', 'a', 'a', 0, 1)";
            files.core()?.execute_batch(insert).map_err(failed("spoil"))
        });
        commit(&mut files, vec![kept, spoilt]);
        assert!(matches!(kept_answer.blocking_recv(), Ok(Ok(1))), "it was kept, and is not done again");
        assert!(matches!(spoilt_answer.blocking_recv(), Ok(Err(Error::Failed { .. }))));
        let count = |connection: &rusqlite::Connection| connection.query_row("select count(*) from message_counts", [], |row| row.get(0));
        assert_eq!(count(files.day(day).expect("open").connection()), Ok(1));
    }
}
