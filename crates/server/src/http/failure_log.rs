//! The log line of a request that failed: which request, and why. In an outage every request fails, and a line for each would fill the
//! disk: of each code one line a second is written, with the number of those left out. It never logs a path, which may contain an
//! e-mail address.

use crate::telemetry::WorkTimer;
use axum::http::{HeaderValue, Method};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;

/// Between two lines of one code.
const LINE_INTERVAL: Duration = Duration::from_secs(1);

/// The request that is being answered, for the log.
#[derive(Clone, Debug)]
pub struct RequestName {
    pub id: HeaderValue,
    pub method: Method,
    /// As the router writes it.
    pub route: Arc<str>,
}

tokio::task_local! {
    static REQUEST: RequestName;
}

static LIMITER: FailureLimiter = FailureLimiter(Mutex::new(Vec::new()));
/// Since the first failure of this process.
static TIMER: LazyLock<WorkTimer> = LazyLock::new(WorkTimer::start);

/// Does `work`, whose failures are logged with the name of the request.
pub fn name_failures<T>(request: RequestName, work: impl Future<Output = T>) -> impl Future<Output = T> {
    // Not an `async fn`: that would hold `work` twice, and each request moves it.
    REQUEST.scope(request, work)
}

/// Prepares `work` for a task of its own: its failures are logged with the name of the request that this is called in, if there is one.
pub fn keep_request_name<T>(work: impl Future<Output = T>) -> impl Future<Output = T> {
    let request = REQUEST.try_with(RequestName::clone).ok();
    async move {
        match request {
            Some(request) => name_failures(request, work).await,
            None => work.await,
        }
    }
}

/// Logs why a request failed; `error` must not contain a secret.
pub(super) fn log_failure(code: &'static str, error: &str) {
    let now = Duration::from_secs_f64(TIMER.elapsed_s());
    let Some(left_out) = LIMITER.admit_line(code, now) else { return };
    let log = |id: &str, method: &str, route: &str| {
        tracing::error!(
            code,
            id,
            method,
            route,
            error,
            left_out,
            "a request failed; its caller gets this code"
        );
    };
    let named = REQUEST.try_with(|request| {
        log(request.id.to_str().unwrap_or("?"), request.method.as_str(), &request.route);
    });
    if named.is_err() {
        log("none", "none", "none");
    }
}

/// Counts the lines of each code; there are a few dozen codes.
struct FailureLimiter(Mutex<Vec<CodeLines>>);

struct CodeLines {
    code: &'static str,
    logged_at: Duration,
    left_out: u64,
}

impl FailureLimiter {
    /// How many lines of this code were left out since its last one; `None` when this one is left out as well. `now` is a time that only
    /// grows.
    fn admit_line(&self, code: &'static str, now: Duration) -> Option<u64> {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(lines) = all.iter_mut().find(|lines| lines.code == code) else {
            all.push(CodeLines { code, logged_at: now, left_out: 0 });
            return Some(0);
        };
        if now.saturating_sub(lines.logged_at) < LINE_INTERVAL {
            lines.left_out += 1;
            return None;
        }
        lines.logged_at = now;
        Some(std::mem::take(&mut lines.left_out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_each_code_one_line_a_second_is_written_with_the_number_of_those_left_out() {
        let limiter = FailureLimiter(Mutex::new(Vec::new()));
        let admit = |code, ms| limiter.admit_line(code, Duration::from_millis(ms));
        assert_eq!(admit("unavailable", 0), Some(0));
        assert_eq!(admit("unavailable", 1), None);
        assert_eq!(admit("internal", 2), Some(0), "codes are counted apart");
        assert_eq!(admit("unavailable", 999), None);
        assert_eq!(admit("unavailable", 1_000), Some(2));
        assert_eq!(admit("unavailable", 1_500), None);
        assert_eq!(admit("unavailable", 60_000), Some(1));
    }

    #[tokio::test]
    async fn work_in_a_task_of_its_own_keeps_the_name_of_its_request() {
        let route: Arc<str> = "/api/v1/orders".into();
        let request = RequestName { id: HeaderValue::from_static("7"), method: Method::POST, route };
        let read_route = async || REQUEST.try_with(|request| request.route.to_string()).ok();
        let spawned =
            name_failures(request, async { tokio::spawn(keep_request_name(read_route())).await.unwrap() });
        assert_eq!(spawned.await.as_deref(), Some("/api/v1/orders"));
        assert_eq!(keep_request_name(read_route()).await, None);
    }
}
