//! Password hashing on a few threads. A flood of sign-ins fills their short queue, and further ones are refused. The threads run at a
//! lower priority than requests of buyers, and their memory is bounded, also for hashes that another shop made.

mod common_passwords;

pub use common_passwords::is_common;

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::borrow::Cow;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;
use unicode_normalization::UnicodeNormalization;

/// argon2id with 19 MiB, two passes, one lane: the minimum of the OWASP password storage cheat sheet, some 20 ms here.
const PARAMS: Params = Params::DEFAULT;

/// Length of the salt in bytes, as RFC 9106 recommends.
const SALT_LEN: usize = 16;

/// The nice value of the hashing threads.
const NICE: i32 = 10;

/// Hashes that wait, for each thread: at 20 ms each the last one waits about a second and a half.
const WAITERS_PER_THREAD: usize = 64;

/// Memory of a foreign argon2 hash at most, in KiB: 256 MiB, which is libsodium's `MODERATE`.
pub const ARGON2_MEMORY_MAX_KIB: u32 = 256 << 10;

/// Memory times passes of a foreign argon2 hash at most, in KiB: about two seconds of a core. `MODERATE` has three passes.
pub const ARGON2_WORK_MAX_KIB: u64 = 1 << 20;

/// Cost of a foreign bcrypt hash at most: about a second of a core. Each step more doubles it.
pub const BCRYPT_COST_MAX: u32 = 14;

/// Bytes of a password that bcrypt reads, the NUL that it appends included.
const BCRYPT_LEN_MAX: usize = 72;

/// The queue of passwords is full; a retry after a moment is worthwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password queue is full")]
pub struct PasswordQueueFull;

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// Not this account's password, or no such account.
    Mismatch,
    /// It matches, and its hash is as a new one would be.
    Match,
    /// It matches, and its hash is of an older kind or of another normal form.
    MatchNeedsRehash,
    /// It matches as far as bcrypt reads. The rest may be wrong, so the hash must stay as it is.
    MatchTruncated,
    /// Nothing was compared: the hash is not one that is accepted here.
    Refused(HashRefusal),
}

/// Why a hash that another shop made is not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HashRefusal {
    #[error("it is neither an argon2 hash (PHC string) nor a bcrypt hash")]
    UnknownFormat,
    #[error("it takes more than 256 MiB of memory")]
    TooMuchMemory,
    #[error("its memory times its passes is more than 1 GiB")]
    TooMuchWork,
    #[error("its bcrypt cost is above 14")]
    BcryptCost,
}

/// Checks that a hash can be compared with at bounded cost, before it is imported and before each sign-in.
///
/// # Errors
/// Why it is not accepted.
pub fn check_hash(hash: &str) -> Result<(), HashRefusal> {
    if hash.starts_with("$2") {
        let parts: bcrypt::HashParts = hash.parse().map_err(|_| HashRefusal::UnknownFormat)?;
        return if parts.get_cost() > BCRYPT_COST_MAX { Err(HashRefusal::BcryptCost) } else { Ok(()) };
    }
    let hash = PasswordHash::new(hash).map_err(|_| HashRefusal::UnknownFormat)?;
    let is_whole = hash.salt.is_some() && hash.hash.is_some();
    if !is_whole || hash.algorithm.as_str().parse::<Algorithm>().is_err() {
        return Err(HashRefusal::UnknownFormat);
    }
    let params = Params::try_from(&hash).map_err(|_| HashRefusal::UnknownFormat)?;
    if params.m_cost() > ARGON2_MEMORY_MAX_KIB {
        return Err(HashRefusal::TooMuchMemory);
    }
    if u64::from(params.m_cost()) * u64::from(params.t_cost()) > ARGON2_WORK_MAX_KIB {
        return Err(HashRefusal::TooMuchWork);
    }
    Ok(())
}

/// The password in the form that is hashed: NFC, because keyboards write one character as different sequences of code points.
#[must_use]
pub fn normalize_password(password: &str) -> Cow<'_, str> {
    if unicode_normalization::is_nfc(password) {
        Cow::Borrowed(password)
    } else {
        Cow::Owned(password.nfc().collect())
    }
}

/// The forms in which a password may have been hashed, the usual one first: ours, the one that was typed, and the decomposed one, in
/// which other shops, and this one before it normalised, hashed what some keyboards send.
fn password_forms(password: &str) -> Vec<Cow<'_, str>> {
    let mut forms = vec![normalize_password(password)];
    if !password.is_ascii() {
        for form in [Cow::Borrowed(password), Cow::Owned(password.nfd().collect())] {
            if !forms.contains(&form) {
                forms.push(form);
            }
        }
    }
    forms
}

/// The hashing threads and their queue.
#[derive(Debug)]
pub struct PasswordPool {
    jobs: SyncSender<HashJob>,
}

type HashJob = Box<dyn FnOnce(&mut Argon2Hasher) + Send>;

impl PasswordPool {
    /// Starts `threads` hashing threads; they end when this is dropped.
    ///
    /// # Errors
    /// When the machine starts no more threads.
    pub fn start(threads: usize) -> std::io::Result<Self> {
        let (jobs, queue) = sync_channel(threads * WAITERS_PER_THREAD);
        let queue = Arc::new(Mutex::new(queue));
        for _ in 0..threads {
            let queue = Arc::clone(&queue);
            std::thread::Builder::new().name("password".to_owned()).spawn(move || run_hash_jobs(&queue))?;
        }
        Ok(Self { jobs })
    }

    /// Hashes a new password in its normal form.
    ///
    /// # Errors
    /// [`PasswordQueueFull`] when the queue is full.
    pub async fn hash(&self, password: String) -> Result<String, PasswordQueueFull> {
        self.run(move |hasher| hasher.hash(normalize_password(&password).as_bytes())).await
    }

    /// Compares a password with an account's hash. Without an account (`None`) it takes the same time and does not match.
    ///
    /// # Errors
    /// [`PasswordQueueFull`] when the queue is full.
    pub async fn verify(
        &self,
        password: String,
        hash: Option<String>,
    ) -> Result<PasswordCheck, PasswordQueueFull> {
        self.run(move |hasher| hasher.verify(&password, hash.as_deref())).await
    }

    async fn run<T, F>(&self, job: F) -> Result<T, PasswordQueueFull>
    where
        T: Send + 'static,
        F: FnOnce(&mut Argon2Hasher) -> T + Send + 'static,
    {
        let (reply, answer) = oneshot::channel();
        let job = Box::new(move |hasher: &mut Argon2Hasher| {
            // A caller that has gone needs no hash.
            if !reply.is_closed() {
                let _ = reply.send(job(hasher));
            }
        });
        match self.jobs.try_send(job) {
            Ok(()) => answer.await.map_err(|_| PasswordQueueFull),
            Err(TrySendError::Full(_) | TrySendError::Disconnected(_)) => Err(PasswordQueueFull),
        }
    }
}

fn run_hash_jobs(queue: &Mutex<Receiver<HashJob>>) {
    // Best effort: without it the threads have the usual priority.
    let _ = rustix::process::setpriority_process(None, NICE);
    let mut hasher = Argon2Hasher::new();
    loop {
        let job = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(job) = job else { return };
        job(&mut hasher);
    }
}

/// argon2id with its memory, which is allocated once a thread: 19 MiB of fresh pages a login would cost as much again.
struct Argon2Hasher {
    argon2: Argon2<'static>,
    memory: Vec<Block>,
}

impl Argon2Hasher {
    fn new() -> Self {
        let argon2 = Argon2::new(Algorithm::Argon2id, Version::V0x13, PARAMS);
        Self { argon2, memory: vec![Block::default(); PARAMS.block_count()] }
    }

    fn hash(&mut self, password: &[u8]) -> String {
        let mut salt = [0; SALT_LEN];
        getrandom::fill(&mut salt).expect("the machine gives random bytes");
        let hash = PasswordHash {
            algorithm: Algorithm::Argon2id.ident(),
            version: Some(Version::V0x13.into()),
            params: ParamsString::try_from(&PARAMS).expect("our parameters fit"),
            salt: Some(Salt::new(&salt).expect("our salt has a good length")),
            hash: Some(self.derive_output(password, &salt)),
        };
        hash.to_string()
    }

    fn verify(&mut self, password: &str, hash: Option<&str>) -> PasswordCheck {
        if let Some(Err(refusal)) = hash.map(check_hash) {
            // As long as any other comparison takes.
            self.verify_form(password.as_bytes(), None);
            return PasswordCheck::Refused(refusal);
        }
        // All forms of a wrong password are compared, with or without an account.
        for (at, form) in password_forms(password).into_iter().enumerate() {
            match self.verify_form(form.as_bytes(), hash) {
                PasswordCheck::Match if at > 0 => return PasswordCheck::MatchNeedsRehash,
                PasswordCheck::Mismatch => {}
                check => return check,
            }
        }
        PasswordCheck::Mismatch
    }

    fn verify_form(&mut self, password: &[u8], hash: Option<&str>) -> PasswordCheck {
        match hash {
            None => {
                self.derive_output(password, &[0; SALT_LEN]);
                PasswordCheck::Mismatch
            }
            Some(hash) if hash.starts_with("$2") => match bcrypt::verify(password, hash) {
                Ok(true) if is_truncated(password) => PasswordCheck::MatchTruncated,
                Ok(true) => PasswordCheck::MatchNeedsRehash,
                Ok(false) | Err(_) => PasswordCheck::Mismatch,
            },
            Some(hash) => self.verify_argon2(password, hash),
        }
    }

    fn verify_argon2(&mut self, password: &[u8], hash: &str) -> PasswordCheck {
        let Ok(hash) = PasswordHash::new(hash) else { return PasswordCheck::Mismatch };
        let (Some(salt), Some(expected)) = (hash.salt, hash.hash) else { return PasswordCheck::Mismatch };
        let ours = hash.algorithm == Algorithm::Argon2id.ident()
            && hash.version == Some(Version::V0x13.into())
            && hash.params == ParamsString::try_from(&PARAMS).expect("our parameters fit")
            && expected.len() == Params::DEFAULT_OUTPUT_LEN;
        if ours {
            return if self.derive_output(password, &salt) == expected {
                PasswordCheck::Match
            } else {
                PasswordCheck::Mismatch
            };
        }
        use argon2::PasswordVerifier;
        match self.argon2.verify_password(password, &hash) {
            Ok(()) => PasswordCheck::MatchNeedsRehash,
            Err(_) => PasswordCheck::Mismatch,
        }
    }

    fn derive_output(&mut self, password: &[u8], salt: &[u8]) -> Output {
        let mut out = [0; Params::DEFAULT_OUTPUT_LEN];
        self.argon2
            .hash_password_into_with_memory(password, salt, &mut out, self.memory.as_mut_slice())
            .expect("lengths of salt, output and memory are ours");
        Output::new(&out).expect("our output has a good length")
    }
}

/// Whether bcrypt may not have read all of a password. It appends a NUL, so a password of 72 bytes is the beginning of others too.
fn is_truncated(password: &[u8]) -> bool {
    password.len() >= BCRYPT_LEN_MAX
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_password_is_right_for_its_own_hash_only() {
        let passwords = PasswordPool::start(1).unwrap();
        let hash = passwords.hash("correct horse".into()).await.unwrap();
        assert!(hash.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"), "{hash}");
        assert_ne!(passwords.hash("correct horse".into()).await.unwrap(), hash, "the salt is random");
        assert_eq!(
            passwords.verify("correct horse".into(), Some(hash.clone())).await,
            Ok(PasswordCheck::Match)
        );
        assert_eq!(passwords.verify("battery staple".into(), Some(hash)).await, Ok(PasswordCheck::Mismatch));
        assert_eq!(passwords.verify("correct horse".into(), None).await, Ok(PasswordCheck::Mismatch));
        assert_eq!(
            passwords.verify("correct horse".into(), Some("garbage".into())).await,
            Ok(PasswordCheck::Refused(HashRefusal::UnknownFormat))
        );
    }

    #[tokio::test]
    async fn hashes_that_other_shops_made_are_right_but_outdated() {
        let passwords = PasswordPool::start(1).unwrap();
        let bcrypt = bcrypt::hash("correct horse", 4).unwrap();
        let weaker = Argon2::new(Algorithm::Argon2id, Version::V0x13, Params::new(64, 1, 1, None).unwrap());
        let weaker = argon2::PasswordHasher::hash_password(&weaker, b"correct horse").unwrap().to_string();
        let variants = ["$2a", "$2b", "$2y"].map(|prefix| format!("{prefix}{}", &bcrypt[3..]));
        for hash in variants.into_iter().chain([weaker]) {
            let right = passwords.verify("correct horse".into(), Some(hash.clone())).await;
            assert_eq!(right, Ok(PasswordCheck::MatchNeedsRehash), "{hash}");
            assert_eq!(passwords.verify("wrong".into(), Some(hash)).await, Ok(PasswordCheck::Mismatch));
        }
    }

    #[tokio::test]
    async fn a_password_that_bcrypt_reads_in_part_matches_and_replaces_nothing() {
        let passwords = PasswordPool::start(1).unwrap();
        let read = "p".repeat(72);
        let hash = bcrypt::hash(&read[..71], 4).unwrap();
        let check =
            async |password: String, hash: &str| passwords.verify(password, Some(hash.to_owned())).await;
        assert_eq!(check("p".repeat(71), &hash).await, Ok(PasswordCheck::MatchNeedsRehash));
        assert_eq!(check(read.clone(), &hash).await, Ok(PasswordCheck::Mismatch), "the NUL is read");
        let hash = bcrypt::hash(format!("{read} and more"), 4).unwrap();
        for tail in ["", " and more", " or anything else"] {
            assert_eq!(
                check(format!("{read}{tail}"), &hash).await,
                Ok(PasswordCheck::MatchTruncated),
                "{tail}"
            );
        }
        assert_eq!(check("p".repeat(71), &hash).await, Ok(PasswordCheck::Mismatch));
    }

    #[tokio::test]
    async fn a_character_matches_in_whatever_form_it_was_hashed_or_is_typed() {
        let passwords = PasswordPool::start(1).unwrap();
        let (composed, decomposed) =
            ("gr\u{fc}\u{df}e aus der k\u{fc}che", "gru\u{308}\u{df}e aus der ku\u{308}che");
        assert_eq!(normalize_password(decomposed), composed);
        let ours = passwords.hash(decomposed.into()).await.unwrap();
        for typed in [composed, decomposed] {
            assert_eq!(passwords.verify(typed.into(), Some(ours.clone())).await, Ok(PasswordCheck::Match));
        }
        // As it was hashed before passwords were normalised: as it was typed.
        let mut hasher = Argon2Hasher::new();
        let earlier = hasher.hash(decomposed.as_bytes());
        for typed in [composed, decomposed] {
            let check = passwords.verify(typed.into(), Some(earlier.clone())).await;
            assert_eq!(check, Ok(PasswordCheck::MatchNeedsRehash));
        }
        assert_eq!(passwords.verify("grusse".into(), Some(earlier)).await, Ok(PasswordCheck::Mismatch));
        assert_eq!(password_forms("plain").len(), 1, "ASCII has one form");
    }

    #[tokio::test]
    async fn a_hash_that_costs_too_much_is_refused_and_not_computed() {
        let salt_and_hash = "c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
        let argon2 = |params: &str| format!("$argon2id$v=19${params}${salt_and_hash}");
        let bcrypt =
            |cost: u32| format!("$2b${cost:02}$abcdefghijklmnopqrstuuJ5ibHfmTDzZ1pGcGXSXqFDSWRqYqVy.");
        for accepted in ["m=262144,t=3,p=1", "m=262144,t=4,p=4", "m=19456,t=2,p=1", "m=64,t=1,p=1"] {
            assert_eq!(check_hash(&argon2(accepted)), Ok(()), "{accepted}");
        }
        assert_eq!(check_hash(&bcrypt(14)), Ok(()));
        let refused = [
            (argon2("m=262145,t=1,p=1"), HashRefusal::TooMuchMemory),
            (argon2("m=4194304,t=1,p=1"), HashRefusal::TooMuchMemory),
            (argon2("m=262144,t=5,p=1"), HashRefusal::TooMuchWork),
            (argon2("m=64,t=4000000000,p=1"), HashRefusal::TooMuchWork),
            (bcrypt(15), HashRefusal::BcryptCost),
            (bcrypt(31), HashRefusal::BcryptCost),
            ("$2b$".to_owned(), HashRefusal::UnknownFormat),
            (
                "$scrypt$ln=16,r=8,p=1$c29tZXNhbHRzb21lc2FsdA$AAAAAAAAAAAAAAAA".to_owned(),
                HashRefusal::UnknownFormat,
            ),
            ("5f4dcc3b5aa765d61d8327deb882cf99".to_owned(), HashRefusal::UnknownFormat),
            (String::new(), HashRefusal::UnknownFormat),
        ];
        let passwords = PasswordPool::start(1).unwrap();
        for (hash, refusal) in refused {
            assert_eq!(check_hash(&hash), Err(refusal), "{hash}");
            let check = passwords.verify("correct horse".into(), Some(hash)).await;
            assert_eq!(check, Ok(PasswordCheck::Refused(refusal)));
        }
    }

    #[tokio::test]
    async fn a_full_queue_refuses_at_once_and_recovers() {
        let passwords = PasswordPool::start(1).unwrap();
        let (hold, held) = std::sync::mpsc::channel::<()>();
        passwords.jobs.try_send(Box::new(move |_| held.recv().unwrap())).unwrap();
        // The worker takes the first job; the queue then fills to its brim.
        while passwords.jobs.try_send(Box::new(|_| {})).is_ok() {}
        let mut refused = false;
        for _ in 0..3 {
            refused |= passwords.jobs.try_send(Box::new(|_| {})).is_err();
        }
        assert!(refused);
        hold.send(()).unwrap();
        while passwords.hash("x".into()).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
