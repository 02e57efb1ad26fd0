//! One of several processes that want the access token of the same connection.
//!
//! `refresher KIND PLACE SERVER TASKS [stop]`: prints `ready` when it has the connection. After a line
//! of input it lets that many tasks ask for the token at once, and prints every call of the store and
//! what each task got. With `stop` it stops for ever where it has received tokens and is about to save
//! them.

use std::error::Error;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use clerk_mcp_tools::client::{RecordKey, ServerUrl};
use clerk_mcp_tools::clock::{Clock, SystemClock};
use clerk_mcp_tools::testing::{FaultyStore, StoreFault, StoreOperation};
use clerk_mcp_tools_stores::{connections, open, owner};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, place, server, tasks, stop @ ..] = &arguments[..] else {
        return Err("usage: refresher KIND PLACE SERVER TASKS [stop]".into());
    };
    let store = FaultyStore::new(open(kind, place).await?);
    let clock = PatientClock(SystemClock::new());
    let connections = connections(Arc::new(store.clone()))?.clock(clock).build()?;
    let connection = connections.get(&owner(), &ServerUrl::parse(server)?).await?;
    let connection = connection.ok_or("there is no such connection")?;
    if !stop.is_empty() {
        stop_at_new_tokens(&store);
    }
    println!("ready");
    std::io::stdin().read_line(&mut String::new())?;
    tokio::spawn(print_calls(store));
    let tasks: Vec<_> = (0..tasks.parse()?)
        .map(|_| {
            let connection = connection.clone();
            tokio::spawn(async move { connection.access_token().await })
        })
        .collect();
    for task in tasks {
        match task.await? {
            Ok(token) => println!("token {}", token.expose()),
            Err(error) => println!("error {:?}", error.kind()),
        }
    }
    Ok(())
}

/// A refresh saves the connection twice: before the request, as one that is being refreshed, and
/// after it.
fn stop_at_new_tokens(store: &FaultyStore) {
    let (passes, gate) = StoreFault::hold_before();
    gate.open();
    store.at_operation(StoreOperation::Save, "connection/", passes);
    store.at_operation(StoreOperation::Save, "connection/", StoreFault::StopBefore);
}

/// Prints the calls that are still to come, such as `Save lease`.
async fn print_calls(store: FaultyStore) {
    let mut printed = store.calls().len();
    loop {
        for call in store.calls().split_off(printed) {
            let key = call.key.as_ref().map_or("", RecordKey::as_str);
            println!("{:?} {}", call.operation, key.split('/').next().unwrap_or_default());
            printed += 1;
        }
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// The time of the machine, without an end to any call: how long one takes depends on the load.
#[derive(Debug)]
struct PatientClock(SystemClock);

impl Clock for PatientClock {
    fn unix_time(&self) -> Duration {
        self.0.unix_time()
    }

    fn monotonic(&self) -> Duration {
        self.0.monotonic()
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        if duration < Duration::from_secs(1) { self.0.sleep(duration) } else { Box::pin(pending()) }
    }
}
