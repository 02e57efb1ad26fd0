//! The store in SQLite with the oldest rusqlite that the crate takes: another crate of a program may
//! bring along the library that it needs, of which there can be one only.

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use clerk_mcp_tools::client::SqliteStore;
    use clerk_mcp_tools::testing::check_store;

    #[tokio::test(flavor = "multi_thread")]
    async fn the_store_keeps_the_rules() {
        let store = SqliteStore::in_memory().await.unwrap();
        check_store(vec![Arc::new(store)]).await.unwrap();
    }
}
