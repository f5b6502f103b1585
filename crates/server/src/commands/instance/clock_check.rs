//! Whether the machine's clock may be believed at a start. One that is a year ahead would end every sale, and the ledger never goes
//! back in time: the shop would be spoiled for a year. Time and its source are arguments here; only [`read_kernel_sync`] asks the system.

use engine::{SalePhaseChange, StartError, StartMoment};
use sale::Timestamp;

/// A start after a shorter time is believed: a restart in the middle of a drop must not wait for a person, and the clock checkpoint
/// is written every minute.
const JUMP_ACCEPTED_MS: i64 = 3_600_000;

/// What the kernel says of its clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ClockSync {
    /// A time service keeps it right.
    Synchronised,
    /// None does.
    Unsynchronised,
    /// The system does not say.
    Unknown,
}

/// Refuses a start by whose clock a sale would start or end that would not if the clock were right, unless a time service keeps the
/// clock right, or the operator accepts it.
///
/// # Errors
/// The refusal, in one sentence.
pub(super) fn check_clock(
    moment: &StartMoment,
    now: Timestamp,
    sync: ClockSync,
    is_accepted: bool,
) -> Result<(), StartError> {
    let ahead_ms = now.ms_since(moment.last);
    if ahead_ms <= JUMP_ACCEPTED_MS {
        return Ok(());
    }
    let Some(SalePhaseChange { sale, ends }) = moment.find_phase_change(now) else { return Ok(()) };
    if sync == ClockSync::Unsynchronised && !is_accepted {
        let turn = if ends { "end" } else { "start" };
        return Err(StartError::Refused(format!(
            "--accept-clock: the machine's clock is {} ahead of the ledger's last moment and no time service keeps it right, and by it \
             the sale {sale} would {turn} now: set the clock, or start with --accept-clock if it is right",
            describe_duration(ahead_ms)
        )));
    }
    tracing::warn!(
        %sale,
        ends,
        ahead_s = ahead_ms / 1000,
        ?sync,
        "the machine's clock is far ahead of the ledger's last moment, and sales start or end now because of it; stop at once if the clock is wrong"
    );
    Ok(())
}

fn describe_duration(ms: i64) -> String {
    let hours = ms / 3_600_000;
    if hours < 48 { format!("{hours} hours") } else { format!("{} days", hours / 24) }
}

/// What the kernel says of its clock.
#[cfg(target_os = "linux")]
pub(super) fn read_kernel_sync() -> ClockSync {
    /// `TIME_ERROR` of adjtimex(2): the clock is not synchronised.
    const UNSYNCHRONISED: i32 = 5;
    match rtime_clock::adjtime::adjtimex(&mut rtime_clock::adjtime::Timex::new()) {
        Ok(UNSYNCHRONISED) => ClockSync::Unsynchronised,
        Ok(_) => ClockSync::Synchronised,
        // A sandbox forbids the call.
        Err(_) => ClockSync::Unknown,
    }
}

/// Other systems do not say.
#[cfg(not(target_os = "linux"))]
pub(super) fn read_kernel_sync() -> ClockSync {
    ClockSync::Unknown
}

#[cfg(test)]
mod tests {
    use super::*;
    use engine::decide::{BatchDecider, Request, memory::MemoryDecider};
    use futures::executor::block_on;
    use sale::{AdmissionMode, Command, Money, Policy, SaleId};
    use uuid::Uuid;

    const LAST: Timestamp = Timestamp(1_790_000_000_000);

    /// A ledger whose only sale starts and ends so many hours after its last event.
    fn moment(starts_h: u32, ends_h: u32) -> StartMoment {
        let mut decider = MemoryDecider::default();
        let policy = Box::new(Policy {
            quantity: 1,
            unit_price: Money { minor: 100, currency: "EUR".parse().unwrap() },
            starts_at: LAST.plus_s(starts_h * 3600),
            ends_at: LAST.plus_s(ends_h * 3600),
            limit_per_buyer: 1,
            hold_s: 60,
            admission: AdmissionMode::Open,
        });
        let sale = SaleId(Uuid::from_u128(7));
        let request = Request::Command { sale, command: Command::Configure { policy } };
        block_on(decider.decide(LAST, &[request])).unwrap();
        StartMoment { last: LAST, sales: decider.views() }
    }

    fn refusal(moment: &StartMoment, ahead_h: u32, sync: ClockSync, is_accepted: bool) -> Option<String> {
        let checked = check_clock(moment, LAST.plus_s(ahead_h * 3600), sync, is_accepted);
        checked.err().map(|error| error.to_string())
    }

    #[test]
    fn a_clock_a_year_ahead_that_nothing_keeps_right_is_refused_and_only_that_one() {
        const YEAR_H: u32 = 365 * 24;
        let moment = moment(2, 4);
        let sentence = refusal(&moment, YEAR_H, ClockSync::Unsynchronised, false).unwrap();
        assert!(sentence.contains("365 days ahead") && sentence.contains("would end now"), "{sentence}");
        assert!(sentence.contains("--accept-clock") && sentence.lines().count() == 1, "{sentence}");
        assert_eq!(refusal(&moment, YEAR_H, ClockSync::Unsynchronised, true), None);
        assert_eq!(refusal(&moment, YEAR_H, ClockSync::Synchronised, false), None);
        assert_eq!(refusal(&moment, YEAR_H, ClockSync::Unknown, false), None);
    }

    #[test]
    fn a_jump_over_a_start_is_refused_like_one_over_an_end() {
        let sentence = refusal(&moment(2, 4), 3, ClockSync::Unsynchronised, false).unwrap();
        assert!(sentence.contains("3 hours ahead") && sentence.contains("would start now"), "{sentence}");
    }

    #[test]
    fn a_jump_that_changes_no_sale_a_short_one_and_one_back_are_no_reason() {
        assert_eq!(refusal(&moment(50, 60), 49, ClockSync::Unsynchronised, false), None);
        assert_eq!(refusal(&moment(0, 1), 1, ClockSync::Unsynchronised, false), None, "an hour is believed");
        let back = LAST.plus_ms(-1_000_000_000);
        assert!(check_clock(&moment(2, 4), back, ClockSync::Unsynchronised, false).is_ok());
    }
}
