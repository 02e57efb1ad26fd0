//! The `Debug` output of the stores, and of their errors, shows no password.

use clerk_mcp_tools::client::{PostgresStore, RedisStore, SqliteStore, Store};
use clerk_mcp_tools_stores::{manager, pool};

use crate::{key, redis_url};

const PASSWORD: &str = "MarkedPassword0123456789";

#[tokio::test]
async fn debug_output_shows_no_password() {
    let settings = format!("host=/nonexistent dbname=stores user=stores password={PASSWORD}");
    let store = PostgresStore::new(pool(&settings).unwrap());
    let error = store.load(&key('a')).await.unwrap_err();
    let mut shown = format!("{store:?} {error:?} {error}");
    shown += &format!("{:?}", SqliteStore::in_memory().await.unwrap());
    if let Some(url) = redis_url() {
        shown += &format!("{:?}", RedisStore::new(manager(&url).await.unwrap(), "p").unwrap());
    }
    assert!(!shown.contains(PASSWORD), "{shown}");
    assert!(shown.contains("PostgresStore"), "{shown}");
    assert!(shown.contains("SqliteStore"), "{shown}");
}
