//! How many deliveries of one endpoint may be in flight: up to 16, fewer while it is overloaded or slow. Each success gives one place back.

use super::TryEffect;
use crate::webhooks::schedule::StatusMeaning;
use sale::Timestamp;

/// Deliveries of one endpoint in flight.
const ENDPOINT_IN_FLIGHT_MAX: usize = 16;

#[derive(Clone, Debug)]
pub(super) struct EndpointPace {
    in_flight: usize,
    limit: usize,
    /// Pauses in a row, without a success between them.
    overloads: u32,
    paused_until: Timestamp,
}

impl Default for EndpointPace {
    fn default() -> Self {
        Self { in_flight: 0, limit: ENDPOINT_IN_FLIGHT_MAX, overloads: 0, paused_until: Timestamp(i64::MIN) }
    }
}

impl EndpointPace {
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight
    }

    /// How many more may be sent.
    pub(super) fn places(&self) -> usize {
        self.limit.saturating_sub(self.in_flight)
    }

    pub(super) fn overloads(&self) -> u32 {
        self.overloads
    }

    pub(super) fn begin_try(&mut self) {
        self.in_flight += 1;
    }

    pub(super) fn finish_try(&mut self, effect: &TryEffect, now: Timestamp) {
        self.in_flight = self.in_flight.saturating_sub(1);
        match effect.meaning {
            StatusMeaning::Delivered => {
                self.limit = (self.limit + 1).min(ENDPOINT_IN_FLIGHT_MAX);
                self.overloads = 0;
            }
            StatusMeaning::Overloaded => {
                self.limit = (self.limit / 2).max(1);
                // Replies to what was sent before the pause do not make it longer and longer.
                if self.paused_until <= now {
                    self.overloads = self.overloads.saturating_add(1);
                }
                self.paused_until = self.paused_until.max(effect.paused_until.unwrap_or(now));
            }
            StatusMeaning::Failed if effect.is_timeout => self.limit = (self.limit / 2).max(1),
            StatusMeaning::Failed | StatusMeaning::Gone => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn effect(meaning: StatusMeaning, paused_until: Option<Timestamp>) -> TryEffect {
        TryEffect { meaning, is_timeout: false, paused_until }
    }

    #[test]
    fn an_endpoint_has_16_places_and_fewer_while_it_is_overloaded() {
        let mut pace = EndpointPace::default();
        for _ in 0..ENDPOINT_IN_FLIGHT_MAX {
            assert!(pace.places() > 0);
            pace.begin_try();
        }
        assert_eq!((pace.places(), pace.in_flight()), (0, 16));
        let until = Some(Timestamp(1_000));
        for _ in 0..ENDPOINT_IN_FLIGHT_MAX {
            pace.finish_try(&effect(StatusMeaning::Overloaded, until), Timestamp(0));
        }
        assert_eq!(
            (pace.places(), pace.overloads()),
            (1, 1),
            "it is one pause, however many replies asked for it"
        );
        pace.begin_try();
        pace.finish_try(&effect(StatusMeaning::Overloaded, Some(Timestamp(4_000))), Timestamp(2_000));
        assert_eq!(pace.overloads(), 2);
        for _ in 0..20 {
            pace.begin_try();
            pace.finish_try(&effect(StatusMeaning::Delivered, None), Timestamp(5_000));
        }
        assert_eq!((pace.places(), pace.overloads()), (16, 0));
    }

    #[test]
    fn a_timeout_takes_half_of_the_places_and_another_failure_none() {
        let mut pace = EndpointPace::default();
        pace.finish_try(&effect(StatusMeaning::Failed, None), Timestamp(0));
        assert_eq!(pace.places(), 16);
        let timeout = TryEffect { is_timeout: true, ..effect(StatusMeaning::Failed, None) };
        for places in [8, 4, 2, 1, 1] {
            pace.finish_try(&timeout, Timestamp(0));
            assert_eq!(pace.places(), places);
        }
    }
}
