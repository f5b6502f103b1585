//! What the clock does to a sale: its start and its end are published when they are reached, each once for each moment. A closed sale
//! starts and ends no more.

use super::{EventOrigin, EventPublisher, PublishedEvent, SaleFold};
use documents::EventType;
use documents::published_event::{EventData, ended_id, started_id};
use sale::{SaleId, Timestamp};

/// What the clock does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SaleMoment {
    Start,
    End,
}

impl SaleFold {
    /// The first moment that is reached at `now` and not published.
    #[must_use]
    pub fn next_moment(&self, now: Timestamp) -> Option<(SaleMoment, Timestamp)> {
        let policy = self.policy().filter(|_| !self.is_closed())?;
        let (started_at, ended_at) = self.published_moments();
        let is_new = |published: Option<Timestamp>, moment| moment <= now && published != Some(moment);
        if is_new(started_at, policy.starts_at) {
            Some((SaleMoment::Start, policy.starts_at))
        } else if is_new(ended_at, policy.ends_at) {
            Some((SaleMoment::End, policy.ends_at))
        } else {
            None
        }
    }

    pub(super) fn mark_published(&mut self, moment: SaleMoment) {
        let Some((starts_at, ends_at)) = self.policy().map(|policy| (policy.starts_at, policy.ends_at))
        else {
            return;
        };
        match moment {
            SaleMoment::Start => self.set_started(starts_at),
            SaleMoment::End => self.set_ended(ends_at),
        }
    }
}

impl EventPublisher {
    /// Appends what the clock has done to a sale by `now`.
    pub fn publish_moments(
        &self,
        fold: &mut SaleFold,
        sale: SaleId,
        now: Timestamp,
        into: &mut Vec<PublishedEvent>,
    ) {
        while let Some((moment, at)) = fold.next_moment(now) {
            fold.mark_published(moment);
            let Some(policy) = fold.policy() else { return };
            let data = EventData::Sale(self.sale_data(fold, policy, sale, at));
            let (event_type, id) = match moment {
                SaleMoment::Start => (EventType::SaleStarted, started_id(sale, at)),
                SaleMoment::End => (EventType::SaleEnded, ended_id(sale, at)),
            };
            let document = self.addresses.document(event_type, id, at, data);
            into.push(PublishedEvent { document, sale, origin: EventOrigin::Clock, makes_order: false });
        }
    }
}
