//! A Clerk that is to be called by https, and does not speak TLS.

use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::{
    ClerkErrorKind, ClerkVerifier, SecretKey, VerifyErrorKind, verify_clerk_token,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::resource;

const KEY: &str = "sk_test_0123456789";

/// Says this to whoever connects, and returns what all of them said.
async fn hear(listener: TcpListener, connections: usize, says: &'static [u8]) -> Vec<Vec<u8>> {
    let mut heard = Vec::new();
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_buf(&mut bytes).await.unwrap();
        stream.write_all(says).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut bytes).await;
        heard.push(bytes);
    }
    heard
}

#[tokio::test]
async fn nothing_is_said_in_the_clear() {
    let rows: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"220 mail.example.com ESMTP\r\n",
    ];
    for says in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(hear(listener, 3, says));
        let verifier = ClerkVerifier::builder()
            .frontend_api(FrontendApi::parse(&origin).unwrap())
            .backend_api(origin.parse().unwrap())
            .secret_key(SecretKey::parse(KEY).unwrap())
            .resource(resource())
            .build()
            .unwrap();
        assert_eq!(verifier.warm_up().await.unwrap_err().kind(), ClerkErrorKind::Unavailable);
        let error = verify_clerk_token(&verifier, "oat_0123456789").await.unwrap_err();
        assert_eq!(error.kind(), VerifyErrorKind::Unavailable);
        let error = verifier.client().unwrap().get_user("user_1").await.unwrap_err();
        assert_eq!(error.kind(), ClerkErrorKind::Unavailable);
        for heard in server.await.unwrap() {
            // The first message of a TLS handshake (RFC 8446 section 5.1).
            assert_eq!(heard.first(), Some(&0x16), "{says:?}");
            let text = String::from_utf8_lossy(&heard);
            for secret in ["sk_test", "0123456789", "Bearer", "user_1", "HTTP/"] {
                assert!(!text.contains(secret), "{secret} after {says:?}");
            }
        }
    }
}
