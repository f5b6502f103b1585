//! Calls of real receivers, by names that a resolver of the test leads where it wants.

use super::*;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use test_servers::receiver::{ReceiverAction, WebhookReceiver};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// Gives the first list of addresses, then the second, and so on; the last one for ever.
struct ScriptedResolver {
    replies: Vec<Vec<IpAddr>>,
    calls: AtomicUsize,
}

impl NameResolver for ScriptedResolver {
    fn resolve<'a>(&'a self, _: &'a str) -> BoxFuture<'a, io::Result<Vec<IpAddr>>> {
        let call = self.calls.fetch_add(1, Ordering::SeqCst);
        let reply = self.replies[call.min(self.replies.len() - 1)].clone();
        Box::pin(async move { Ok(reply) })
    }
}

fn addresses(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn client(allowed: &[&str], replies: &[&[&str]]) -> WebhookClient {
    client_with_roots(allowed, replies, RootCertStore::empty())
}

fn client_with_roots(allowed: &[&str], replies: &[&[&str]], roots: RootCertStore) -> WebhookClient {
    let policy = AddressPolicy {
        allow_http: true,
        allow_private: allowed.iter().map(|net| net.parse().unwrap()).collect(),
    };
    let resolver = ScriptedResolver {
        replies: replies.iter().map(|reply| addresses(reply)).collect(),
        calls: AtomicUsize::default(),
    };
    WebhookClient::new(policy, Arc::new(resolver), tls_config(roots))
}

fn message() -> SignedMessage {
    SignedMessage {
        id: "sale/1/00000000".to_owned(),
        timestamp_s: 1,
        signature: "v1,x".to_owned(),
        body: Bytes::from_static(b"{}"),
    }
}

fn named(receiver: &WebhookReceiver) -> WebhookUrl {
    WebhookUrl::from_saved(&format!("http://receiver.example:{}/hooks?a=1", receiver.address().port()))
        .unwrap()
}

#[tokio::test]
async fn a_message_arrives_with_its_headers_and_a_connection_is_used_again() {
    let receiver = WebhookReceiver::with_status(204);
    let (client, url) = (client(&["127.0.0.0/8"], &[&["127.0.0.1"]]), named(&receiver));
    for _ in 0..3 {
        assert_eq!(client.send(&url, &message()).await.unwrap().status, 204);
    }
    let requests = receiver.requests();
    let first = &requests[0];
    assert_eq!((first.path.as_str(), first.body.as_slice()), ("/hooks?a=1", b"{}".as_slice()));
    for (name, value) in [
        ("host", format!("receiver.example:{}", receiver.address().port())),
        ("content-type", "application/cloudevents+json; charset=utf-8".to_owned()),
        ("webhook-id", "sale/1/00000000".to_owned()),
        ("webhook-timestamp", "1".to_owned()),
        ("webhook-signature", "v1,x".to_owned()),
    ] {
        assert_eq!(first.headers[name], value, "{name}");
    }
    assert_eq!(receiver.count_connections(), 1);
}

#[tokio::test]
async fn a_name_that_leads_to_an_internal_address_the_second_time_is_not_called() {
    let receiver = WebhookReceiver::with_status(200);
    let client = client(&["127.0.0.2/32"], &[&["127.0.0.2"], &["127.0.0.1"], &["127.0.0.2", "127.0.0.1"]]);
    let url = named(&receiver);
    assert_eq!(client.check_name(&url).await, Ok(()), "it was checked when it was saved");
    for _ in 0..2 {
        let failure = client.send(&url, &message()).await.unwrap_err();
        assert!(matches!(failure, SendFailure::Forbidden(address) if address.to_string() == "127.0.0.1"));
    }
    assert_eq!(receiver.count_connections(), 0);
}

#[tokio::test]
async fn an_address_without_tls_is_not_called_where_that_is_not_allowed() {
    let receiver = WebhookReceiver::with_status(200);
    let policy = AddressPolicy { allow_http: false, allow_private: vec!["127.0.0.0/8".parse().unwrap()] };
    let strict = WebhookClient::new(policy, Arc::new(SystemResolver), tls_config(RootCertStore::empty()));
    let url = WebhookUrl::from_saved(&receiver.url("/")).unwrap();
    assert!(matches!(strict.send(&url, &message()).await, Err(SendFailure::NotHttps)));
    assert_eq!(receiver.count_connections(), 0);
}

#[tokio::test]
async fn an_idle_connection_is_not_used_when_its_name_leads_elsewhere() {
    let receiver = WebhookReceiver::with_status(200);
    let client = client(&["127.0.0.0/8"], &[&["127.0.0.1"], &["127.0.0.9"]]);
    let url = named(&receiver);
    assert_eq!(client.send(&url, &message()).await.unwrap().status, 200);
    // The receiver listens on one address alone.
    assert!(matches!(client.send(&url, &message()).await, Err(SendFailure::NotConnected(_))));
    assert_eq!(receiver.count_requests(), 1);
}

#[tokio::test]
async fn a_redirect_is_a_reply_and_is_not_followed() {
    let (other, receiver) = (WebhookReceiver::with_status(200), WebhookReceiver::with_status(200));
    let location = other.url("/");
    receiver.behave(move |_, _| ReceiverAction::Reply {
        status: 301,
        headers: vec![("location", location.clone())],
        body: "moved".to_owned(),
    });
    let reply =
        client(&["127.0.0.0/8"], &[&["127.0.0.1"]]).send(&named(&receiver), &message()).await.unwrap();
    assert_eq!((reply.status, reply.excerpt.as_str()), (301, "moved"));
    assert_eq!(other.count_connections(), 0);
}

#[tokio::test]
async fn of_a_failed_reply_4_kib_are_kept_and_of_a_success_nothing() {
    let receiver = WebhookReceiver::start(|_, before| ReceiverAction::Reply {
        status: if before == 0 { 500 } else { 200 },
        headers: vec![("retry-after", "7".to_owned())],
        body: "\0é".repeat(10_000),
    });
    let client = client(&["127.0.0.0/8"], &[&["127.0.0.1"]]);
    let failed = client.send(&named(&receiver), &message()).await.unwrap();
    assert_eq!((failed.status, failed.retry_after.as_deref()), (500, Some("7")));
    assert!(failed.excerpt.starts_with("\u{fffd}é"), "U+0000 is replaced");
    assert!(failed.excerpt.chars().filter(|c| *c == 'é').count() <= EXCERPT_LEN_MAX / 3 + 1);
    let delivered = client.send(&named(&receiver), &message()).await.unwrap();
    assert_eq!((delivered.status, delivered.excerpt.as_str()), (200, ""));
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_is_replaced() {
    let receiver = WebhookReceiver::start(|request, _| {
        // The second request of a connection is not answered.
        if request.headers["webhook-id"] == "again" {
            ReceiverAction::HangUp
        } else {
            ReceiverAction::status(200)
        }
    });
    let (client, url) = (client(&["127.0.0.0/8"], &[&["127.0.0.1"]]), named(&receiver));
    assert_eq!(client.send(&url, &message()).await.unwrap().status, 200);
    let again = SignedMessage { id: "again".to_owned(), ..message() };
    // Once on the idle connection, once on a new one.
    assert!(matches!(client.send(&url, &again).await, Err(SendFailure::Disconnected)));
    assert_eq!((receiver.count_requests(), receiver.count_connections()), (3, 2));
}

#[tokio::test]
async fn a_receiver_that_hangs_up_or_is_not_there_is_a_failure() {
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::HangUp);
    let client = client(&["127.0.0.0/8"], &[&["127.0.0.1"], &[]]);
    assert!(matches!(client.send(&named(&receiver), &message()).await, Err(SendFailure::Disconnected)));
    assert!(matches!(client.send(&named(&receiver), &message()).await, Err(SendFailure::Unresolved)));
}

#[tokio::test]
async fn a_receiver_that_stalls_is_given_up() {
    assert_eq!(CALL_TIMEOUT, Duration::from_secs(15));
    let receiver = WebhookReceiver::start(|_, _| ReceiverAction::Stall);
    let client = client(&["127.0.0.0/8"], &[&["127.0.0.1"]]).with_call_timeout(Duration::from_millis(200));
    assert!(matches!(client.send(&named(&receiver), &message()).await, Err(SendFailure::Timeout)));
}

#[tokio::test]
async fn connections_that_nothing_uses_are_closed() {
    let receiver = WebhookReceiver::with_status(200);
    let (client, url) = (client(&["127.0.0.0/8"], &[&["127.0.0.1"]]), named(&receiver));
    assert_eq!(client.send(&url, &message()).await.unwrap().status, 200);
    for _ in 0..=IDLE_SWEEPS {
        client.sweep_idle();
    }
    assert_eq!(client.send(&url, &message()).await.unwrap().status, 200);
    assert_eq!(receiver.count_connections(), 2);
}

#[tokio::test]
async fn a_receiver_that_does_not_speak_tls_is_not_called() {
    let receiver = WebhookReceiver::with_status(200);
    let url = format!("https://receiver.example:{}/", receiver.address().port());
    let url = WebhookUrl::from_saved(&url).unwrap();
    let client = client(&["127.0.0.0/8"], &[&["127.0.0.1"]]);
    let call = tokio::spawn(async move { client.send(&url, &message()).await });
    drop(receiver);
    assert!(matches!(call.await.unwrap(), Err(SendFailure::NotSecured(_) | SendFailure::NotConnected(_))));
}

/// Makes a certificate of `receiver.example` and its key in a folder.
fn make_certificate(folder: &Path) -> CertificateDer<'static> {
    let output = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"])
        .args(["-subj", "/CN=receiver.example", "-addext", "subjectAltName=DNS:receiver.example"])
        .args(["-addext", "basicConstraints=critical,CA:FALSE", "-keyout"])
        .arg(folder.join("key.pem"))
        .arg("-out")
        .arg(folder.join("certificate.pem"))
        .output()
        .expect("openssl is installed: `make setup` does it");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    CertificateDer::from_pem_file(folder.join("certificate.pem")).unwrap()
}

/// A receiver that speaks TLS and replies 204 to each connection's first request. Returns its port.
async fn start_tls_receiver(folder: &Path, certificate: CertificateDer<'static>) -> u16 {
    let key = PrivateKeyDer::from_pem_file(folder.join("key.pem")).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    let (acceptor, listener) = (TlsAcceptor::from(Arc::new(config)), TcpListener::bind("127.0.0.1:0").await);
    let listener = listener.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            // A client that does not trust the certificate ends the handshake.
            let Ok(mut stream) = acceptor.accept(stream).await else { continue };
            let mut read = Vec::new();
            while !read.ends_with(b"\r\n\r\n{}") {
                read.push(stream.read_u8().await.unwrap());
            }
            stream.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").await.unwrap();
            let _ = stream.shutdown().await;
        }
    });
    port
}

#[tokio::test]
async fn a_receiver_is_called_by_tls_when_its_certificate_is_trusted_and_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let certificate = make_certificate(folder.path());
    let mut roots = RootCertStore::empty();
    roots.add(certificate.clone()).unwrap();
    let port = start_tls_receiver(folder.path(), certificate).await;
    let url = |host: &str| WebhookUrl::from_saved(&format!("https://{host}:{port}/hooks")).unwrap();
    let trusting = client_with_roots(&["127.0.0.0/8"], &[&["127.0.0.1"]], roots);
    assert_eq!(trusting.send(&url("receiver.example"), &message()).await.unwrap().status, 204);
    let refused = trusting.send(&url("other.example"), &message()).await;
    assert!(matches!(refused, Err(SendFailure::NotSecured(_))), "{refused:?}");
    let refused =
        client(&["127.0.0.0/8"], &[&["127.0.0.1"]]).send(&url("receiver.example"), &message()).await;
    assert!(matches!(refused, Err(SendFailure::NotSecured(_))), "{refused:?}");
}
