//! The clients: consecutive requests on one connection, and requests that are aborted.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Load;
use crate::phases::Tolerated;
use crate::report::Tally;
use crate::requests::{Kind, Random, TestRequest};

/// One in this many requests is aborted.
const ABORTED_ONE_IN: u64 = 20;

struct TestResponse {
    status: u16,
    head: String,
    body: String,
}

/// Sends requests until the load test stops. Every second connection sends only requests that do
/// not depend on Clerk, and so runs at full speed throughout.
pub(crate) async fn connection(load: Arc<Load>, lane: u64) -> Tally {
    let mut random = Random::new(lane + 1);
    let mut tally = Tally::default();
    let kinds: Vec<_> = Kind::ALL
        .into_iter()
        .filter(|kind| lane.is_multiple_of(2) || !kind.calls_clerk())
        .collect();
    let mut stream = connect(&load).await.unwrap();
    while !load.stop.load(Ordering::SeqCst) {
        let kind = *random.choose(&kinds);
        let request_for = load.requests.request_for(kind, &mut random);
        if random.next().is_multiple_of(ABORTED_ONE_IN) {
            // The server may close the connection first, which is not an error here.
            let _ = abort_request(&load, &request_for.request, &mut random).await;
            tally.aborted += 1;
            continue;
        }
        let phase = load.phases.current();
        let began = Instant::now();
        match exchange(&mut stream, &request_for.request).await {
            Ok(response) => {
                tally.record(kind, response.status, began.elapsed());
                let wrong =
                    violation(kind, &request_for, &response, load.phases.tolerated_since(phase));
                tally.wrong.extend(wrong);
            }
            Err(error) => {
                tally.wrong.push(format!("{}: no response: {error}", kind.name()));
                stream = connect(&load).await.unwrap();
            }
        }
    }
    tally
}

async fn connect(load: &Load) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(("127.0.0.1", load.port)).await?;
    stream.set_nodelay(true)?;
    Ok(stream)
}

fn violation(
    kind: Kind,
    request_for: &TestRequest<'_>,
    response: &TestResponse,
    tolerated: Tolerated,
) -> Option<String> {
    let TestResponse { status, head, body } = response;
    let has_challenge = head.contains("www-authenticate: Bearer ");
    let is_right = match status {
        // The id of the token's user, or a document that contains the URL.
        200 => {
            *body == request_for.body || body.starts_with('{') && body.contains(&*request_for.body)
        }
        401 | 403 => has_challenge,
        503 => head.contains("retry-after: ") && !has_challenge,
        _ => !has_challenge,
    };
    let is_right = is_right && kind.may_respond(*status, tolerated);
    (!is_right).then(|| format!("{}: {status} {body:?}, {tolerated:?}", kind.name()))
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<TestResponse> {
    stream.write_all(request).await?;
    let mut bytes = Vec::with_capacity(4096);
    let head_length = loop {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let head = String::from_utf8_lossy(&bytes[..head_length]).into_owned();
    let length = head
        .split("content-length: ")
        .nth(1)
        .and_then(|rest| rest.split('\r').next()?.parse().ok());
    let length = head_length + length.unwrap_or(0_usize);
    while bytes.len() < length {
        if stream.read_buf(&mut bytes).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    }
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or_default();
    let body = String::from_utf8_lossy(&bytes[head_length..]).into_owned();
    Ok(TestResponse { status, head, body })
}

/// Disconnects during a request, or before its response.
async fn abort_request(load: &Load, request: &[u8], random: &mut Random) -> io::Result<()> {
    let mut stream = connect(load).await?;
    let half = &request[..request.len() / 2];
    match random.next() % 6 {
        0 => Ok(()),
        1 => stream.write_all(half).await,
        // In small, delayed parts.
        2 => {
            for part in half.chunks(half.len() / 4 + 1) {
                stream.write_all(part).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Ok(())
        }
        3 => stream.write_all(request).await,
        4 => {
            stream.set_zero_linger()?;
            stream.write_all(request).await
        }
        _ => {
            stream.write_all(request).await?;
            let mut beginning = [0; 10];
            let read = stream.read(&mut beginning);
            // A response that depends on Clerk may take long.
            tokio::time::timeout(Duration::from_millis(50), read).await.unwrap_or(Ok(0)).map(drop)
        }
    }
}
