//! An https origin that does not speak TLS.

use clerk_mcp_tools::instance::FrontendApi;
use clerk_mcp_tools::{
    ClerkErrorKind, ClerkVerifier, SecretKey, VerifyErrorKind, verify_clerk_token,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::support::resource;

const KEY: &str = "sk_test_0123456789";

/// Sends these bytes on each connection, and returns the bytes received.
async fn serve(listener: TcpListener, connections: usize, reply: &'static [u8]) -> Vec<Vec<u8>> {
    let mut received = Vec::new();
    for _ in 0..connections {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut bytes = Vec::new();
        stream.read_buf(&mut bytes).await.unwrap();
        stream.write_all(reply).await.unwrap();
        stream.shutdown().await.unwrap();
        let _ = stream.read_to_end(&mut bytes).await;
        received.push(bytes);
    }
    received
}

#[tokio::test]
async fn no_request_is_sent_in_clear_text() {
    let rows: [&[u8]; 4] = [
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}",
        b"\x15\x03\x03\0\x02\x02\x28",
        b"220 mail.example.com ESMTP\r\n",
    ];
    for reply in rows {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let origin = format!("https://{}", listener.local_addr().unwrap());
        let server = tokio::spawn(serve(listener, 3, reply));
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
        for received in server.await.unwrap() {
            // The first message of a TLS handshake (RFC 8446 section 5.1).
            assert_eq!(received.first(), Some(&0x16), "{reply:?}");
            let text = String::from_utf8_lossy(&received);
            for secret in ["sk_test", "0123456789", "Bearer", "user_1", "HTTP/"] {
                assert!(!text.contains(secret), "{secret} after {reply:?}");
            }
        }
    }
}

/// Another crate enables HTTP/2 for this test. The first message of a handshake lists the protocols
/// in clear text (RFC 7301 section 3.1).
#[tokio::test]
async fn only_http_1_1_is_offered() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let origin = format!("https://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve(listener, 2, b""));
    let api = FrontendApi::parse(&origin).unwrap();
    let verifier = ClerkVerifier::builder().frontend_api(api).build().unwrap();
    assert!(verifier.warm_up().await.is_err());
    assert!(reqwest::get(&origin).await.is_err());
    let received = server.await.unwrap();
    let offers = |hello: &[u8], list: &[u8]| hello.windows(list.len()).any(|part| part == list);
    assert!(offers(&received[0], b"\0\x10\0\x0b\0\x09\x08http/1.1"));
    assert!(offers(&received[1], b"\x02h2\x08http/1.1"), "HTTP/2 is not enabled for this test");
}
