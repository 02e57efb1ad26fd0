//! One of several processes that want the same records of one store.
//!
//! `contender KIND PLACE NAME ROUNDS`: takes part in every round, and prints the rounds that it won.
//! In a round, everybody saves a lease that nobody has, and everybody takes a record.

use std::error::Error;

use clerk_mcp_tools::client::{Expect, KeyId, RecordKey, Saved, SealingKeys, Store};
use clerk_mcp_tools_stores::open;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [kind, place, name, rounds] = &arguments[..] else {
        return Err("usage: contender KIND PLACE NAME ROUNDS".into());
    };
    let store = open(kind, place).await?;
    for round in 0..rounds.parse()? {
        if is_first(&*store, name, round).await? {
            println!("first {round}");
        }
        if takes(&*store, name, round).await? {
            println!("took {round}");
        }
    }
    Ok(())
}

async fn is_first(store: &dyn Store, name: &str, round: u32) -> Result<bool, Box<dyn Error>> {
    let key = key("lease/login", name, round)?;
    let record = keys()?.seal(&key, b"lease")?;
    Ok(store.save(&key, &record, Expect::Absent, None).await? == Saved::Yes)
}

/// Saves a record unless somebody has, and takes what is there. The lease is a mark that the record
/// was saved once: it is saved by whoever comes first.
async fn takes(store: &dyn Store, name: &str, round: u32) -> Result<bool, Box<dyn Error>> {
    let (mark, key) = (key("lease/registration", name, round)?, key("login", name, round)?);
    let record = keys()?.seal(&key, b"record")?;
    if store.save(&mark, &record, Expect::Absent, None).await? == Saved::Yes {
        let _ = store.save(&key, &record, Expect::Absent, None).await?;
    }
    Ok(store.take(&key).await?.is_some())
}

/// A key that every process of this name has for this round.
fn key(kind: &str, name: &str, round: u32) -> Result<RecordKey, Box<dyn Error>> {
    Ok(RecordKey::parse(&format!("{kind}/{name:_<30}{round:013}"))?)
}

fn keys() -> Result<SealingKeys, Box<dyn Error>> {
    Ok(SealingKeys::new([1; 32], KeyId::parse("contender")?, [2; 32])?)
}
