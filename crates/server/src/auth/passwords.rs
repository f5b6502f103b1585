//! Password hashing on a few threads. A flood of sign-ins fills their short queue, and further ones are refused. The threads run at a
//! lower priority than requests of buyers, and their memory is bounded.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::oneshot;

/// argon2id with 19 MiB, two passes, one lane: the minimum of the OWASP password storage cheat sheet, some 20 ms here.
const PARAMS: Params = Params::DEFAULT;

/// Length of the salt in bytes, as RFC 9106 recommends.
const SALT_LEN: usize = 16;

/// The nice value of the hashing threads.
const NICE: i32 = 10;

/// Hashes that wait, for each thread: at 20 ms each the last one waits about a second and a half.
const WAITERS_PER_THREAD: usize = 64;

/// The queue of passwords is full; a retry after a moment is worthwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the password queue is full")]
pub struct PasswordQueueFull;

/// The result of a comparison.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PasswordCheck {
    /// Not this account's password, or no such account.
    Mismatch,
    Match,
    /// It matches, and its hash is of an older kind.
    MatchNeedsRehash,
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

    /// Hashes a new password.
    ///
    /// # Errors
    /// [`PasswordQueueFull`] when the queue is full.
    pub async fn hash(&self, password: String) -> Result<String, PasswordQueueFull> {
        self.run(move |hasher| hasher.hash(password.as_bytes())).await
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
        self.run(move |hasher| hasher.verify(password.as_bytes(), hash.as_deref())).await
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

    fn verify(&mut self, password: &[u8], hash: Option<&str>) -> PasswordCheck {
        match hash {
            None => {
                self.derive_output(password, &[0; SALT_LEN]);
                PasswordCheck::Mismatch
            }
            Some(hash) if hash.starts_with("$2") => match bcrypt::verify(password, hash) {
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
            Ok(PasswordCheck::Mismatch)
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
