//! Byte stream under the AMQP client: a connection that the network opened, with a cutter that ends it.
//!
//! The client runs a thread for each connection, which ends with the stream. A broker that says nothing would keep it alive
//! without end, so a caller that gives up cuts the stream.

use std::{
    future::Future,
    io::{self, Read, Write},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
    time::{Duration, Instant},
};

use async_rs::{Runtime, Tokio, traits::Reactor, util::RuntimeParts};
use futures_core::Stream as Events;
use futures_io::{AsyncRead, AsyncWrite};
use hyper_util::rt::TokioIo;
use lapin::{Connection, ConnectionProperties, tcp::AsyncTcpStream, uri::AMQPUri};
use tokio::io::ReadBuf;

use super::frames::Frames;
use crate::net::connect::Stream;

/// Runs the client's handshake over a link.
pub(super) async fn connect(uri: AMQPUri, link: Link, properties: ConnectionProperties) -> lapin::Result<Connection> {
    let runtime = Runtime::new(RuntimeParts::new(Tokio::current(), Links(Tokio::current())));
    let link = Mutex::new(Some(link));
    let connect = async move |_: AMQPUri, _: Runtime<RuntimeParts<Tokio, Links>>| {
        let link = link.lock().unwrap_or_else(PoisonError::into_inner).take();
        // The client may not open a connection by itself, because nothing would check its address.
        link.map(AsyncTcpStream::Plain).ok_or_else(|| io::Error::from(io::ErrorKind::NotConnected).into())
    };
    Connection::connector(uri, runtime, connect, properties).await
}

/// Connects a stream with its cutter.
pub(super) fn pair(stream: Stream) -> (Link, Cutter) {
    let cut = Arc::new(Mutex::new(Cut::default()));
    (Link { stream: TokioIo::new(stream), cut: Arc::clone(&cut), frames: Frames::default() }, Cutter(cut))
}

/// State shared by a link and its cutter.
#[derive(Default)]
struct Cut {
    is_cut: bool,
    reader: Option<Waker>,
}

fn lock(cut: &Mutex<Cut>) -> MutexGuard<'_, Cut> {
    cut.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Ends its link when dropped.
pub(super) struct Cutter(Arc<Mutex<Cut>>);

impl Drop for Cutter {
    fn drop(&mut self) {
        let mut cut = lock(&self.0);
        cut.is_cut = true;
        if let Some(reader) = cut.reader.take() {
            reader.wake();
        }
    }
}

/// Stream of one connection.
pub(super) struct Link {
    stream: TokioIo<Stream>,
    cut: Arc<Mutex<Cut>>,
    frames: Frames,
}

impl Link {
    fn check(&self) -> io::Result<()> {
        if lock(&self.cut).is_cut { Err(io::ErrorKind::ConnectionAborted.into()) } else { Ok(()) }
    }
}

impl AsyncRead for Link {
    fn poll_read(mut self: Pin<&mut Self>, context: &mut Context<'_>, buffer: &mut [u8]) -> Poll<io::Result<usize>> {
        {
            let mut cut = lock(&self.cut);
            if cut.is_cut {
                return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
            }
            cut.reader = Some(context.waker().clone());
        }
        let mut buffer = ReadBuf::new(buffer);
        let read = tokio::io::AsyncRead::poll_read(Pin::new(&mut self.stream), context, &mut buffer);
        if let Poll::Ready(Ok(())) = read {
            self.frames.take(buffer.filled())?;
        }
        read.map_ok(|()| buffer.filled().len())
    }
}

impl AsyncWrite for Link {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.check()?;
        let written = tokio::io::AsyncWrite::poll_write(Pin::new(&mut self.stream), context, bytes);
        if let Poll::Ready(Ok(count)) = written {
            self.frames.note_sent(count);
        }
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        tokio::io::AsyncWrite::poll_flush(Pin::new(&mut self.stream), context)
    }

    fn poll_close(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.check()?;
        tokio::io::AsyncWrite::poll_shutdown(Pin::new(&mut self.stream), context)
    }
}

/// Reactor of the client: tokio's timers, and links in place of connections.
#[derive(Debug, Clone)]
pub(super) struct Links(Tokio);

impl Reactor for Links {
    type TcpStream = Link;
    type Sleep = <Tokio as Reactor>::Sleep;

    fn register<H: Read + Write + Send + 'static>(&self, _: H) -> io::Result<impl AsyncRead + AsyncWrite + Send + Unpin + 'static> {
        Err::<Link, _>(io::ErrorKind::Unsupported.into())
    }

    fn sleep(&self, duration: Duration) -> Self::Sleep {
        self.0.sleep(duration)
    }

    fn interval(&self, duration: Duration) -> impl Events<Item = Instant> + Send + 'static {
        self.0.interval(duration)
    }

    fn tcp_connect_addr(&self, _: SocketAddr) -> impl Future<Output = io::Result<Link>> + Send + 'static {
        std::future::ready(Err(io::ErrorKind::Unsupported.into()))
    }
}
