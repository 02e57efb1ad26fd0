//! What is particular to SQLite.

use std::os::unix::fs::PermissionsExt;

use clerk_mcp_tools::client::{Expect, Saved, SqliteStore, Store, StoreErrorKind};

use crate::{Directory, key, record};

#[tokio::test]
async fn a_file_is_kept_and_its_owner_alone_may_read_it() {
    let directory = Directory::new();
    let file = directory.file("connections");
    let (key, record) = (key('a'), record(&key('a')));
    let store = SqliteStore::open(&file).await.unwrap();
    let saved = store.save(&key, &record, Expect::Absent, None).await.unwrap();
    assert_eq!(saved, Saved::Yes);
    for name in ["connections", "connections-wal", "connections-shm"] {
        let mode = std::fs::metadata(directory.file(name)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{name}");
        let bytes = std::fs::read(directory.file(name)).unwrap();
        let marked = b"MarkedToken";
        assert!(!bytes.windows(marked.len()).any(|window| window == marked), "{name}");
    }
    drop(store);
    let store = SqliteStore::open(&file).await.unwrap();
    assert_eq!(store.load(&key).await.unwrap(), Some(record));
}

#[tokio::test]
async fn a_file_that_cannot_be_used_is_an_error() {
    let directory = Directory::new();
    let file = directory.file("not-a-database");
    std::fs::write(&file, "no database ".repeat(1000)).unwrap();
    for (file, kind) in [
        (file, StoreErrorKind::Corrupt),
        (directory.file("missing/connections"), StoreErrorKind::Misconfigured),
        (directory.file(""), StoreErrorKind::Misconfigured),
    ] {
        let error = SqliteStore::open(&file).await.unwrap_err();
        assert_eq!(error.kind(), kind, "{file}: {error:?}");
    }
}

/// The calls need no runtime, as in a program that uses another one than tokio.
#[test]
fn calls_need_no_runtime() {
    let saved = block_on(async {
        let store = SqliteStore::in_memory().await.unwrap();
        store.save(&key('a'), &record(&key('a')), Expect::Absent, None).await.unwrap()
    });
    assert_eq!(saved, Saved::Yes);
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    use std::sync::Arc;
    use std::task::{Context, Poll, Wake, Waker};
    use std::thread::{self, Thread};
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut Context::from_waker(&waker)) {
            return output;
        }
        thread::park();
    }
}
