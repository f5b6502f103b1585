//! An SMTP server for a test: Debian's `python3-aiosmtpd` on a reserved port, with a Maildir in a temporary folder; it ends with the test. What
//! arrives is read back. It never delivers a mail to anyone.
//!
//! Without it on this machine the test fails and says so; `scripts/setup.sh` installs it.

use crate::ReservedPort;
use crate::process::{FrozenProcesses, ProcessGuard};
use crate::wait::{HANG_LIMIT, eventually_blocking};
use std::fs;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;

/// Refuses recipients and holds back replies as the test wants.
const HANDLER: &str = include_str!("mail_handler.py");
/// The first of these that has the package is used: the one in the `PATH` may lack the system's packages.
const PYTHONS: [&str; 2] = ["python3", "/usr/bin/python3"];

/// A running SMTP server. It ends when this is dropped, or with the process.
pub struct MailServer {
    /// Ended before the folder is removed: fields go in this order.
    running: Option<ProcessGuard>,
    folder: TempDir,
    port: ReservedPort,
}

/// A mail that arrived, as the server kept it.
#[derive(Clone, Debug)]
pub struct ArrivedMail {
    /// Its head, with folded lines joined.
    pub head: String,
    /// The recipient of the conversation, not of the head.
    pub recipient: String,
    /// The plain text, decoded.
    pub text: String,
    /// The HTML, decoded.
    pub html: String,
}

/// Replies to whole mails that are held back until this is dropped.
pub struct HeldReplies {
    file: PathBuf,
}

impl Drop for HeldReplies {
    fn drop(&mut self) {
        let _removed = fs::remove_file(&self.file);
    }
}

impl MailServer {
    #[must_use]
    pub fn start() -> Self {
        let folder = tempfile::Builder::new().prefix("test-mail-").tempdir().unwrap();
        fs::create_dir(folder.path().join("replies")).unwrap();
        fs::write(folder.path().join("mail_handler.py"), HANDLER).unwrap();
        let mut server = Self { running: None, folder, port: ReservedPort::reserve() };
        server.restart();
        server
    }

    /// Its address, for `--smtp`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("smtp://127.0.0.1:{}", self.port.get())
    }

    #[must_use]
    pub fn port(&self) -> u16 {
        self.port.get()
    }

    /// Replies this to the next `count` attempts to name a recipient, such as `451 4.7.1 greylisted`.
    pub fn refuse(&self, recipient: &str, reply: &str, count: u32) {
        let path = self.folder.path().join("replies").join(recipient);
        fs::write(path, format!("{reply}\n{count}\n")).unwrap();
    }

    /// Takes mails, and does not reply that it has them until the value is dropped.
    #[must_use]
    pub fn hold_replies(&self) -> HeldReplies {
        let file = self.folder.path().join("hold");
        fs::write(&file, "").unwrap();
        HeldReplies { file }
    }

    /// Kills it as a crash does. What has arrived stays.
    pub fn kill(&mut self) {
        if let Some(running) = self.running.take() {
            running.kill();
        }
    }

    /// Starts it again, on the same port and with the same mails.
    pub fn restart(&mut self) {
        self.kill();
        let folder = self.folder.path();
        let mut program = Command::new(find_python());
        program.args(["-m", "aiosmtpd", "--nosetuid", "--smtputf8"]);
        program.args(["--listen", &format!("127.0.0.1:{}", self.port.get())]);
        program.args(["--class", "mail_handler.RefusingMailbox"]).arg(self.maildir());
        program.env("PYTHONPATH", folder).env("PYTHONDONTWRITEBYTECODE", "1");
        let running = self.running.insert(ProcessGuard::start(&program, folder, "KILL"));
        let port = self.port.get();
        eventually_blocking("the SMTP server listens", HANG_LIMIT, || {
            let log = || fs::read_to_string(folder.join("log")).unwrap_or_default();
            assert!(!running.has_ended(), "the SMTP server has ended: {}", log());
            TcpStream::connect(("127.0.0.1", port)).is_ok()
        });
    }

    /// Stops it until the value is dropped: it accepts connections, and replies nothing.
    #[must_use]
    pub fn freeze(&self) -> FrozenProcesses {
        self.running.as_ref().unwrap().freeze()
    }

    /// All mails that have arrived, in the order of their arrival.
    #[must_use]
    pub fn list_mails(&self) -> Vec<ArrivedMail> {
        let Ok(entries) = fs::read_dir(self.maildir().join("new")) else { return Vec::new() };
        let mut files: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
        files.sort_by_key(|file| fs::metadata(file).unwrap().modified().unwrap());
        files.iter().map(|file| read_mail(file)).collect()
    }

    /// The mails for a recipient.
    #[must_use]
    pub fn list_mails_to(&self, recipient: &str) -> Vec<ArrivedMail> {
        self.list_mails().into_iter().filter(|mail| mail.recipient == recipient).collect()
    }

    fn maildir(&self) -> PathBuf {
        self.folder.path().join("mails")
    }
}

impl ArrivedMail {
    /// The value of a header as it was sent; empty without it.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(known, _)| known.eq_ignore_ascii_case(name)).map_or("", |(_, value)| value)
    }

    /// What the only link of the text has behind `#token=`.
    #[must_use]
    pub fn token(&self) -> String {
        let behind = self.text.split("#token=").nth(1).unwrap_or_else(|| panic!("no link: {}", self.text));
        behind.split_whitespace().next().unwrap_or_default().to_owned()
    }
}

fn read_mail(file: &Path) -> ArrivedMail {
    let content = fs::read_to_string(file).unwrap().replace("\r\n", "\n");
    let (head, body) = content.split_once("\n\n").unwrap();
    let head = head.replace("\n ", " ").replace("\n\t", " ");
    let header = |name: &str| {
        let prefix = format!("{name}: ");
        head.lines().find_map(|line| line.strip_prefix(&prefix)).unwrap_or_default().to_owned()
    };
    let recipient = header("X-RcptTo");
    let kind = header("Content-Type");
    let boundary = kind.split("boundary=").nth(1).unwrap_or_default().trim_matches('"').to_owned();
    let separator = format!("--{boundary}");
    let part = |wanted: &str| {
        let mark = format!("Content-Type: {wanted}");
        let part = body.split(separator.as_str()).find(|part| part.contains(&mark)).unwrap_or_default();
        decode_part(part.trim_start())
    };
    ArrivedMail { recipient, text: part("text/plain"), html: part("text/html"), head }
}

fn decode_part(part: &str) -> String {
    let (head, body) = part.split_once("\n\n").unwrap_or_default();
    let head = head.to_lowercase();
    if head.contains("quoted-printable") {
        decode_quoted(body)
    } else if head.contains("base64") {
        decode_base64(body)
    } else {
        body.to_owned()
    }
}

fn decode_quoted(text: &str) -> String {
    let text = text.replace("=\n", "");
    let (mut bytes, mut rest) = (Vec::new(), text.as_bytes());
    while let Some((&first, others)) = rest.split_first() {
        let digits = others.get(..2).filter(|_| first == b'=').and_then(|hex| std::str::from_utf8(hex).ok());
        match digits.and_then(|digits| u8::from_str_radix(digits, 16).ok()) {
            Some(byte) => {
                bytes.push(byte);
                rest = &others[2..];
            }
            None => {
                bytes.push(first);
                rest = others;
            }
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn decode_base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|byte| DIGITS.iter().position(|digit| *digit == byte));
    let (mut bytes, mut buffer, mut bits) = (Vec::new(), 0_usize, 0);
    for digit in digits {
        buffer = (buffer << 6) | digit;
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from((buffer >> bits) & 0xff).unwrap());
        }
    }
    String::from_utf8(bytes).unwrap()
}

fn find_python() -> &'static str {
    let has_package = |python: &&str| {
        let probe = Command::new(python).args(["-c", "import aiosmtpd"]).output();
        probe.is_ok_and(|output| output.status.success())
    };
    PYTHONS.into_iter().find(has_package).expect("aiosmtpd is installed (scripts/setup.sh installs it)")
}
