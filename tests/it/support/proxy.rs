//! A TCP proxy between a server and its Clerk. It forwards requests, or fails on demand.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// A failure below HTTP.
#[derive(Clone, Debug)]
pub(crate) enum ConnectionFault {
    /// Refuses connections.
    Refused,
    /// Answers any request with these bytes, then ends the connection in this way.
    Send(Bytes, End),
    /// Sends these bytes, one per second.
    Drip(Bytes),
    /// Sends the first bytes once, then the others without end.
    Flood(Bytes, Bytes),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// Closes it.
    Close,
    /// Resets it.
    Reset,
    /// Keeps it open without sending anything more.
    Stall,
}

impl ConnectionFault {
    pub(crate) fn sends(bytes: impl Into<Bytes>, end: End) -> Self {
        Self::Send(bytes.into(), end)
    }
}

/// The proxy, on a free port of the loopback interface. It listens until it is dropped.
pub(crate) struct Proxy {
    shared: Arc<Shared>,
    address: SocketAddr,
    state: Mutex<State>,
}

#[derive(Default)]
struct Shared {
    target: Mutex<Option<SocketAddr>>,
    fault: Mutex<Option<ConnectionFault>>,
    requests: AtomicUsize,
    sent: AtomicU64,
}

enum State {
    Listening(JoinHandle<()>),
    /// The socket stays bound, so that no other process takes the port.
    Closed(TcpSocket),
    Changing,
}

impl Proxy {
    pub(crate) fn new() -> Self {
        let socket = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = socket.local_addr().unwrap();
        let proxy =
            Self { shared: Arc::default(), address, state: Mutex::new(State::Closed(socket)) };
        proxy.heal();
        proxy
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the address that requests are forwarded to.
    pub(crate) fn forward_to(&self, address: SocketAddr) {
        *self.shared.target.lock().unwrap() = Some(address);
    }

    /// Fails every further request in this way, and aborts those in progress.
    pub(crate) async fn fail(&self, fault: ConnectionFault) {
        self.stop().await;
        let refused = matches!(fault, ConnectionFault::Refused);
        *self.shared.fault.lock().unwrap() = Some(fault);
        if !refused {
            self.listen();
        }
    }

    /// Forwards requests again.
    pub(crate) fn heal(&self) {
        *self.shared.fault.lock().unwrap() = None;
        self.listen();
    }

    /// Returns the number of requests received.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// Returns the number of bytes sent in responses.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    fn listen(&self) {
        let mut state = self.state.lock().unwrap();
        *state = match std::mem::replace(&mut *state, State::Changing) {
            State::Closed(socket) => {
                let listener = socket.listen(1024).unwrap();
                State::Listening(tokio::spawn(serve(listener, Arc::clone(&self.shared))))
            }
            other => other,
        };
    }

    async fn stop(&self) {
        let before = std::mem::replace(&mut *self.state.lock().unwrap(), State::Changing);
        let socket = match before {
            State::Listening(task) => {
                task.abort();
                // The listener is closed once the task is gone.
                let _ = task.await;
                socket(self.address)
            }
            State::Closed(socket) => socket,
            State::Changing => panic!("two tests change one proxy"),
        };
        *self.state.lock().unwrap() = State::Closed(socket);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let State::Listening(task) = &*self.state.lock().unwrap() {
            task.abort();
        }
    }
}

/// A bound socket that does not listen yet, with a small send buffer.
fn socket(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_reuseaddr(true).unwrap();
    socket.set_send_buffer_size(16 * 1024).unwrap();
    socket.bind(address).unwrap();
    socket
}

async fn serve(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                connections.spawn(connection(accepted.unwrap().0, Arc::clone(&shared)));
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

/// Serves one request.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let request = read_request(&mut client).await?;
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let fault = shared.fault.lock().unwrap().clone();
    let mut client = Counted { stream: client, shared };
    match fault {
        None => client.forward(&request).await,
        Some(ConnectionFault::Refused) => Ok(()),
        Some(ConnectionFault::Send(bytes, end)) => {
            client.write(&bytes).await?;
            client.end(end).await
        }
        Some(ConnectionFault::Drip(bytes)) => {
            for byte in bytes.chunks(1) {
                client.write(byte).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            client.end(End::Stall).await
        }
        Some(ConnectionFault::Flood(head, rest)) => {
            client.write(&head).await?;
            loop {
                client.write(&rest).await?;
            }
        }
    }
}

/// Reads a request, and adds `Connection: close`.
async fn read_request(client: &mut TcpStream) -> std::io::Result<Vec<u8>> {
    let mut request = Vec::new();
    let head = loop {
        if client.read_buf(&mut request).await? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 2;
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).to_ascii_lowercase();
    let length = text.split("content-length: ").nth(1).and_then(|rest| rest.split('\r').next());
    let length: usize = length.map_or(0, |length| length.parse().unwrap());
    while request.len() < head + 2 + length {
        client.read_buf(&mut request).await?;
    }
    request.splice(head..head, *b"connection: close\r\n");
    Ok(request)
}

/// A connection whose sent bytes are counted.
struct Counted {
    stream: TcpStream,
    shared: Arc<Shared>,
}

impl Counted {
    async fn write(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.shared.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }

    async fn forward(&mut self, request: &[u8]) -> std::io::Result<()> {
        let target = self.shared.target.lock().unwrap().expect("the proxy has a target");
        let mut clerk = TcpStream::connect(target).await?;
        clerk.write_all(request).await?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                read = clerk.read(&mut buffer) => match read? {
                    0 => return Ok(()),
                    read => self.write(&buffer[..read]).await?,
                },
                // The client has closed the connection.
                _ = self.stream.read_u8() => return Ok(()),
            }
        }
    }

    async fn end(&mut self, end: End) -> std::io::Result<()> {
        match end {
            End::Close => Ok(()),
            End::Reset => self.stream.set_zero_linger(),
            End::Stall => {
                while self.stream.read(&mut [0; 1024]).await? > 0 {}
                Ok(())
            }
        }
    }
}
