//! Clients: one request after another on one connection, or half of one and no more.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::Load;
use crate::phases::Excuses;
use crate::requests::{Ask, Kind, Random};
use crate::tally::Tally;

/// Of so many requests one is dropped half way.
const DROPPED: u64 = 20;

struct Answer {
    status: u16,
    head: String,
    body: String,
}

/// Asks until it is told to stop. Every other connection asks only what needs no Clerk: those go on at full speed,
/// whatever the others wait for.
pub(crate) async fn connection(load: Arc<Load>, lane: u64) -> Tally {
    let mut random = Random::new(lane + 1);
    let mut tally = Tally::default();
    let kinds: Vec<_> =
        Kind::ALL.into_iter().filter(|kind| lane.is_multiple_of(2) || !kind.asks_clerk()).collect();
    let mut stream = connect(&load).await.unwrap();
    while !load.stop.load(Ordering::SeqCst) {
        let kind = *random.one(&kinds);
        let ask = load.requests.ask(kind, &mut random);
        if random.next().is_multiple_of(DROPPED) {
            // That the server hangs up meanwhile is no concern of somebody who goes away.
            let _ = drop_half_way(&load, &ask.request, &mut random).await;
            tally.dropped += 1;
            continue;
        }
        let phase = load.phases.now();
        let began = Instant::now();
        match exchange(&mut stream, &ask.request).await {
            Ok(answer) => {
                tally.answered(kind, answer.status, began.elapsed());
                let wrong = what_is_wrong(kind, &ask, &answer, load.phases.excuses_since(phase));
                tally.wrong.extend(wrong);
            }
            Err(error) => {
                tally.wrong.push(format!("{}: no answer: {error}", kind.name()));
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

fn what_is_wrong(kind: Kind, ask: &Ask<'_>, answer: &Answer, excuses: Excuses) -> Option<String> {
    let Answer { status, head, body } = answer;
    let has_challenge = head.contains("www-authenticate: Bearer ");
    let is_right = match status {
        // The very caller whose token it was; the documents name what they are about.
        200 => body == ask.body || body.starts_with('{') && body.contains(ask.body),
        401 | 403 => has_challenge,
        503 => head.contains("retry-after: ") && !has_challenge,
        _ => !has_challenge,
    };
    let is_right = is_right && kind.may_be(*status, excuses);
    (!is_right).then(|| format!("{}: {status} {body:?}, {excuses:?}", kind.name()))
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> io::Result<Answer> {
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
    Ok(Answer { status, head, body })
}

/// A client that goes away before it has its answer, or before it has asked.
async fn drop_half_way(load: &Load, request: &[u8], random: &mut Random) -> io::Result<()> {
    let mut stream = connect(load).await?;
    let half = &request[..request.len() / 2];
    match random.next() % 6 {
        0 => Ok(()),
        1 => stream.write_all(half).await,
        // Slowly, too.
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
            // What Clerk is asked for may take as long as it likes.
            tokio::time::timeout(Duration::from_millis(50), read).await.unwrap_or(Ok(0)).map(drop)
        }
    }
}
