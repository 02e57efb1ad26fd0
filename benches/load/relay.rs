//! A relay in front of Clerk, whose open connections can stop responding.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::OnceCell;
use tokio::task::JoinHandle;

/// Relays connections to one address. A connection that has become deaf reads, and sends nothing.
pub(crate) struct Relay {
    pub(crate) origin: String,
    state: Arc<State>,
    accepting: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    /// Where connections lead to, once it is known.
    to: OnceCell<u16>,
    opened: AtomicUsize,
    /// Connections that were opened before this number are deaf.
    deaf_before: AtomicUsize,
}

impl Relay {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(State::default());
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state)));
        Self { origin, state, accepting }
    }

    pub(crate) fn lead_to(&self, port: u16) {
        self.state.to.set(port).unwrap();
    }

    /// Makes all open connections deaf. Later ones are not.
    pub(crate) fn deafen(&self) {
        self.state.deaf_before.store(self.state.opened.load(Ordering::SeqCst), Ordering::SeqCst);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (from, _) = listener.accept().await.unwrap();
        let number = state.opened.fetch_add(1, Ordering::SeqCst);
        tokio::spawn(relay(from, number, Arc::clone(&state)));
    }
}

async fn relay(from: TcpStream, number: usize, state: Arc<State>) {
    let Some(port) = state.to.get() else { return };
    let Ok(to) = TcpStream::connect(("127.0.0.1", *port)).await else { return };
    let (mut from_read, mut from_write) = from.into_split();
    let (mut to_read, mut to_write) = to.into_split();
    let requests = tokio::spawn(async move {
        tokio::io::copy(&mut from_read, &mut to_write).await.ok();
        to_write.shutdown().await.ok();
    });
    let mut buffer = vec![0; 16 * 1024];
    loop {
        let read = to_read.read(&mut buffer).await.unwrap_or(0);
        let is_deaf = number < state.deaf_before.load(Ordering::SeqCst);
        if read == 0 && !is_deaf {
            break;
        }
        if is_deaf {
            // Until the verifier gives the connection up.
            requests.await.ok();
            return;
        }
        if from_write.write_all(&buffer[..read]).await.is_err() {
            break;
        }
    }
    requests.abort();
}
