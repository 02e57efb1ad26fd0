//! The wire between a server and its Clerk. It passes everything on, until a test lays hands on it.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What goes wrong below HTTP.
#[derive(Clone, Debug)]
pub(crate) enum Cut {
    /// Nobody listens.
    Refused,
    /// These bytes, whatever was asked, and then that end.
    Says(Bytes, End),
    /// These bytes, one a second.
    Drips(Bytes),
    /// The first bytes once, and the others again and again.
    Floods(Bytes, Bytes),
}

/// How a connection ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum End {
    /// As it should.
    Close,
    /// With a reset.
    Reset,
    /// Not at all, and nothing more is said.
    Silence,
}

impl Cut {
    pub(crate) fn says(bytes: impl Into<Bytes>, end: End) -> Self {
        Self::Says(bytes.into(), end)
    }
}

pub(crate) struct Wire {
    shared: Arc<Shared>,
    address: SocketAddr,
    listening: Mutex<Listening>,
}

#[derive(Default)]
struct Shared {
    to: Mutex<Option<SocketAddr>>,
    cut: Mutex<Option<Cut>>,
    requests: AtomicUsize,
    sent: AtomicU64,
}

enum Listening {
    Yes(JoinHandle<()>),
    /// The port stays ours, so that nobody else takes it meanwhile.
    No(TcpSocket),
    Changing,
}

impl Wire {
    pub(crate) fn new() -> Self {
        let socket = socket(SocketAddr::from(([127, 0, 0, 1], 0)));
        let address = socket.local_addr().unwrap();
        let wire =
            Self { shared: Arc::default(), address, listening: Mutex::new(Listening::No(socket)) };
        wire.heal();
        wire
    }

    pub(crate) fn origin(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Where it leads.
    pub(crate) fn lead_to(&self, address: SocketAddr) {
        *self.shared.to.lock().unwrap() = Some(address);
    }

    /// Lets this go wrong with every request to come, and ends those that are under way.
    pub(crate) async fn cut(&self, cut: Cut) {
        self.stop().await;
        let refused = matches!(cut, Cut::Refused);
        *self.shared.cut.lock().unwrap() = Some(cut);
        if !refused {
            self.listen();
        }
    }

    pub(crate) fn heal(&self) {
        *self.shared.cut.lock().unwrap() = None;
        self.listen();
    }

    /// How many requests have arrived.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many bytes of answers have gone out.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    fn listen(&self) {
        let mut listening = self.listening.lock().unwrap();
        *listening = match std::mem::replace(&mut *listening, Listening::Changing) {
            Listening::No(socket) => {
                let listener = socket.listen(1024).unwrap();
                Listening::Yes(tokio::spawn(serve(listener, Arc::clone(&self.shared))))
            }
            other => other,
        };
    }

    async fn stop(&self) {
        let before = std::mem::replace(&mut *self.listening.lock().unwrap(), Listening::Changing);
        let socket = match before {
            Listening::Yes(task) => {
                task.abort();
                // The listener is closed once the task is gone.
                let _ = task.await;
                socket(self.address)
            }
            Listening::No(socket) => socket,
            Listening::Changing => panic!("two tests lay hands on one wire"),
        };
        *self.listening.lock().unwrap() = Listening::No(socket);
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        if let Listening::Yes(task) = &*self.listening.lock().unwrap() {
            task.abort();
        }
    }
}

/// A socket of this address that does not listen yet. What it sends is not kept here for long.
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

/// One request and its answer.
async fn connection(mut client: TcpStream, shared: Arc<Shared>) -> std::io::Result<()> {
    let request = read_request(&mut client).await?;
    shared.requests.fetch_add(1, Ordering::SeqCst);
    let cut = shared.cut.lock().unwrap().clone();
    let mut client = Counted { stream: client, shared };
    match cut {
        None => client.pass_on(&request).await,
        Some(Cut::Refused) => Ok(()),
        Some(Cut::Says(bytes, end)) => {
            client.write(&bytes).await?;
            client.end(end).await
        }
        Some(Cut::Drips(bytes)) => {
            for byte in bytes.chunks(1) {
                client.write(byte).await?;
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
            client.end(End::Silence).await
        }
        Some(Cut::Floods(head, rest)) => {
            client.write(&head).await?;
            loop {
                client.write(&rest).await?;
            }
        }
    }
}

/// A request as it came, but for the wish to keep the connection.
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

    async fn pass_on(&mut self, request: &[u8]) -> std::io::Result<()> {
        let to = self.shared.to.lock().unwrap().expect("the wire leads somewhere");
        let mut clerk = TcpStream::connect(to).await?;
        clerk.write_all(request).await?;
        let mut buffer = vec![0; 16 * 1024];
        loop {
            tokio::select! {
                read = clerk.read(&mut buffer) => match read? {
                    0 => return Ok(()),
                    read => self.write(&buffer[..read]).await?,
                },
                // Whoever asked has gone.
                _ = self.stream.read_u8() => return Ok(()),
            }
        }
    }

    async fn end(&mut self, end: End) -> std::io::Result<()> {
        match end {
            End::Close => Ok(()),
            End::Reset => self.stream.set_zero_linger(),
            End::Silence => {
                while self.stream.read(&mut [0; 1024]).await? > 0 {}
                Ok(())
            }
        }
    }
}
