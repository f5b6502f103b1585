//! What a process may write about its callers, at every log level.

use crate::real::instance::{EMAIL, PASSWORD, ServerProcess, text};
use serde_json::json;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::Path;

/// A message of a WebSocket, masked as a client's are.
fn frame(text: &str) -> Vec<u8> {
    let mask = [1, 2, 3, 4];
    let mut bytes = vec![0x81];
    match u8::try_from(text.len()) {
        Ok(len) if len < 126 => bytes.push(0x80 | len),
        _ => {
            bytes.push(0x80 | 126);
            bytes.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        }
    }
    bytes.extend(mask);
    bytes.extend(text.bytes().enumerate().map(|(at, byte)| byte ^ mask[at % 4]));
    bytes
}

/// Opens a socket with a token, as a page does, and reads until the server has accepted it.
fn open_socket(address: &str, token: &str) {
    let mut stream = TcpStream::connect(address).unwrap();
    let head = format!(
        "GET /socket.io/?EIO=4&transport=websocket HTTP/1.1\r\nHost: {address}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&frame(&format!("40{}", json!({"token": token})))).unwrap();
    let mut seen = Vec::new();
    let mut part = [0; 1024];
    // `40{"sid":…}` is the acceptance; `44` would be a refusal.
    while !String::from_utf8_lossy(&seen).contains("40{\"sid\"") {
        let len = stream.read(&mut part).unwrap();
        assert!(len > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
        seen.extend(&part[..len]);
    }
    stream.write_all(&frame("42[\"order:subscribe\",{}]")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_level_of_the_log_shows_a_token_or_a_password() {
    for format in ["pretty", "json"] {
        let mut instance = ServerProcess::with(&["--log", "trace", "--log-format", format]).await;
        let login = json!({"email": EMAIL, "password": PASSWORD});
        let session = instance.post("/api/v1/auth/login", &login, None).await;
        let (access, refresh) = (text(&session, "accessToken"), text(&session, "refreshToken"));
        let next = instance.post("/api/v1/auth/refresh", &json!({"refreshToken": refresh}), None).await;
        instance.get("/api/v1/auth/me", Some(&access)).await;
        let address = instance.url.trim_start_matches("http://").to_owned();
        let polling = format!("{}/socket.io/?EIO=4&transport=polling", instance.url);
        let opened = instance.client.get(&polling).send().await.unwrap().text().await.unwrap();
        let id = opened.split("\"sid\":\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        let connect = format!("40{}", json!({"token": access}));
        instance.client.post(format!("{polling}&sid={id}")).body(connect).send().await.unwrap();
        let token = access.clone();
        tokio::task::spawn_blocking(move || open_socket(&address, &token)).await.unwrap();
        let key = std::fs::read_to_string(Path::new(&instance.data()).join("token-key.pem")).unwrap();
        let key = key.lines().nth(1).unwrap().to_owned();
        instance.stop_gently().await;

        let log = instance.log();
        assert!(log.contains("TRACE") || log.contains("DEBUG"), "it logs details");
        let secrets = [
            access,
            refresh,
            text(&next, "accessToken"),
            text(&next, "refreshToken"),
            key,
            PASSWORD.to_owned(),
        ];
        for (no, secret) in secrets.iter().enumerate() {
            let line = log.lines().find(|line| line.contains(secret.as_str()));
            assert!(line.is_none(), "secret {no} is in the log ({format}): {line:?}");
        }
    }
}
