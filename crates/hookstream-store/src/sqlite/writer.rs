//! The thread that writes: it takes what waits, does it, commits once, and only then answers.
//!
//! There is no timer. While one commit is under way others wait, and they go into the next: the fsync
//! is the window.

use std::{sync::Mutex, thread::JoinHandle};

use tokio::sync::{mpsc, oneshot};

use super::files::Files;
use crate::error::Error;

/// The most operations that wait for the writer; further callers wait to get in.
const QUEUE: usize = 8_192;
/// The most operations in one commit.
const BATCH: usize = 4_096;

/// A handle to the thread.
#[derive(Debug)]
pub(super) struct Writer {
    jobs: mpsc::Sender<Message>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

enum Message {
    Job(Box<dyn Job>),
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
    pub(super) fn start(files: Files) -> Result<Self, Error> {
        let (jobs, queue) = mpsc::channel(QUEUE);
        let thread = std::thread::Builder::new().name("store-writer".to_owned()).spawn(move || work(files, queue));
        let thread = thread.map_err(|cause| Error::Open { what: "the writer's thread".to_owned(), cause: cause.into() })?;
        Ok(Self { jobs, thread: Mutex::new(Some(thread)) })
    }

    /// Does `work` in the next commit and returns what it returned, once that is durable.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Files) -> Result<T, Error> + Send + 'static,
    ) -> Result<T, Error> {
        let (reply, answer) = oneshot::channel();
        let task = Task { work, output: None, reply };
        self.jobs.send(Message::Job(Box::new(task))).await.map_err(|_| Error::Closed)?;
        answer.await.map_err(|_| Error::Closed)?
    }

    /// Finishes what waits and ends the thread, which closes the files.
    pub(super) async fn stop(&self) {
        let _ = self.jobs.send(Message::Stop).await;
        let thread = self.thread.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
        if let Some(thread) = thread {
            let _ = tokio::task::spawn_blocking(move || thread.join()).await;
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

/// Does a batch in one commit. Where any of it fails, all is undone and each is done by itself, so
/// that one bad operation spoils no other.
fn commit(files: &mut Files, mut batch: Vec<Box<dyn Job>>) {
    let done = batch.iter_mut().try_for_each(|job| job.run(files)).and_then(|()| files.commit());
    match done {
        Ok(()) => batch.into_iter().for_each(|job| job.answer(Ok(()))),
        Err(error) => {
            files.roll_back();
            match batch.pop() {
                Some(only) if batch.is_empty() => only.answer(Err(error)),
                last => batch.into_iter().chain(last).for_each(|job| commit(files, vec![job])),
            }
        }
    }
}
