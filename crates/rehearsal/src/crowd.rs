//! The crowd: who comes, when, and how they behave. Drawn from a seed before anything starts, so that the same seed and
//! settings make the same crowd. It never sends anything.

pub mod arrival;
pub mod behaviour;

pub mod preset;

pub use arrival::ArrivalCurve;
pub use behaviour::{BehaviourShares, CrowdShare};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// People of one bot's account, or of one address, where they share one.
pub const BOT_GROUP_LEN: u32 = 20;

/// What a crowd is drawn from.
#[derive(Clone, Debug)]
pub struct CrowdSettings {
    pub people: u32,
    pub arrival: ArrivalCurve,
    /// From the first to the last of them.
    pub over: Duration,
    /// The page is opened at most this long before the button is pressed.
    pub lead: Duration,
    pub behaviour: BehaviourShares,
    /// Units that one of them wants, at most.
    pub units_max: u32,
    /// Everything that is drawn comes from it.
    pub seed: u64,
}

/// One simulated client: a person at a browser, or one of a bot's many connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CrowdMember {
    /// When the page is opened, counted from the start of the sale; negative before.
    pub opens_us: i64,
    /// When the button is pressed.
    pub presses_us: i64,
    /// The account, counted from 0.
    pub account: u32,
    /// The address, counted from 0.
    pub address: u32,
    /// Units wanted.
    pub units: u32,
    /// What becomes of a hold.
    pub payment: PaymentBehaviour,
    /// What else is odd.
    pub habits: BuyerHabits,
    /// Everything that is drawn later comes from it.
    pub seed: u64,
}

/// What a person does with a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PaymentBehaviour {
    Promptly,
    /// Pays with a card that is declined.
    Declined,
    Never,
    /// Pays when the hold is over.
    Late,
    Cancels,
}

/// What a person does besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own, and any of them go together")]
pub struct BuyerHabits {
    /// Clicks each button twice.
    pub double_clicks: bool,
    /// Has two tabs open.
    pub two_tabs: bool,
    /// Leaves the line after a while.
    pub leaves: bool,
    /// Loses the reply to an important request, and repeats it with the same key.
    pub loses_replies: bool,
    pub hammers: bool,
}

/// All people, in the order in which they open the page.
#[derive(Clone, Debug)]
pub struct Crowd {
    pub people: Vec<CrowdMember>,
    pub accounts: u32,
    pub addresses: u32,
}

impl Crowd {
    #[must_use]
    pub fn draw(settings: &CrowdSettings) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut presses = settings.arrival.draw(settings.people, settings.over, &mut rng);
        // The arrival order is independent of the behaviour.
        presses.shuffle(&mut rng);
        let mut farms = IdentityAllocator::default();
        let mut people: Vec<CrowdMember> = presses
            .into_iter()
            .map(|presses_us| draw_member(settings, presses_us, &mut farms, &mut rng))
            .collect();
        people.sort_by_key(|person| (person.opens_us, person.seed));
        Self { people, accounts: farms.accounts, addresses: farms.addresses }
    }

    /// How many people have this property.
    #[must_use]
    pub fn count(&self, property: impl Fn(&CrowdMember) -> bool) -> u64 {
        self.people.iter().filter(|person| property(person)).count() as u64
    }
}

fn draw_member(
    settings: &CrowdSettings,
    presses_us: i64,
    farms: &mut IdentityAllocator,
    rng: &mut ChaCha8Rng,
) -> CrowdMember {
    let behaviour = &settings.behaviour;
    let lead_us = i64::try_from(settings.lead.as_micros()).unwrap_or(i64::MAX);
    let opens_us = presses_us - rng.random_range(0..=lead_us);
    let (account, address) = farms.assign_identity(behaviour, rng);
    CrowdMember {
        opens_us,
        presses_us,
        account,
        address,
        units: rng.random_range(1..=settings.units_max.max(1)),
        payment: behaviour.draw_payment(rng),
        habits: BuyerHabits {
            double_clicks: behaviour.double_click.draw(rng),
            two_tabs: behaviour.two_tabs.draw(rng),
            leaves: behaviour.leave.draw(rng),
            loses_replies: behaviour.lost_reply.draw(rng),
            hammers: behaviour.hammer.draw(rng),
        },
        seed: rng.random(),
    }
}

/// Accounts and addresses, as they are given out.
#[derive(Debug, Default)]
struct IdentityAllocator {
    accounts: u32,
    addresses: u32,
    /// The account that the hands of a bot share now, and how many do.
    shared_account: Option<(u32, u32)>,
    /// The address that accounts of a bot share now, and how many do.
    shared_address: Option<(u32, u32)>,
}

impl IdentityAllocator {
    fn assign_identity(&mut self, behaviour: &BehaviourShares, rng: &mut ChaCha8Rng) -> (u32, u32) {
        let account = if behaviour.one_account_many_addresses.draw(rng) {
            next_shared_index(&mut self.shared_account, &mut self.accounts)
        } else {
            next_index(&mut self.accounts)
        };
        let address = if behaviour.many_accounts_one_address.draw(rng) {
            next_shared_index(&mut self.shared_address, &mut self.addresses)
        } else {
            next_index(&mut self.addresses)
        };
        (account, address)
    }
}

fn next_index(count: &mut u32) -> u32 {
    *count += 1;
    *count - 1
}

/// The same one for [`BOT_GROUP_LEN`] in turn, then a new one.
fn next_shared_index(current: &mut Option<(u32, u32)>, count: &mut u32) -> u32 {
    let (it, used) = match *current {
        Some((it, used)) if used < BOT_GROUP_LEN => (it, used + 1),
        _ => (next_index(count), 1),
    };
    *current = Some((it, used));
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seed: u64) -> CrowdSettings {
        let preset = preset::DropPreset::SneakerDrop.plan();
        CrowdSettings { people: 5_000, seed, ..preset.crowd }
    }

    #[test]
    fn the_same_seed_makes_the_same_crowd_and_another_seed_another() {
        let crowd = Crowd::draw(&settings(7)).people;
        assert_eq!(crowd, Crowd::draw(&settings(7)).people);
        assert_ne!(crowd, Crowd::draw(&settings(8)).people);
    }

    #[test]
    fn everyone_opens_the_page_a_while_before_pressing() {
        let settings = settings(1);
        let lead_us = i64::try_from(settings.lead.as_micros()).expect("short");
        for person in Crowd::draw(&settings).people {
            assert!((0..=lead_us).contains(&(person.presses_us - person.opens_us)), "{person:?}");
        }
    }

    #[test]
    fn shares_are_what_they_say() {
        let mut settings = settings(3);
        settings.behaviour.hammer = CrowdShare::percent(10);
        let crowd = Crowd::draw(&settings);
        let hammers = crowd.count(|person| person.habits.hammers);
        assert!((400..600).contains(&hammers), "10 % of 5,000 is about 500, not {hammers}");
        settings.behaviour.hammer = CrowdShare::percent(0);
        assert_eq!(Crowd::draw(&settings).count(|person| person.habits.hammers), 0);
    }

    #[test]
    fn a_bots_hands_share_an_account_and_all_others_have_their_own() {
        let mut settings = settings(3);
        settings.behaviour.one_account_many_addresses = CrowdShare::percent(100);
        assert_eq!(Crowd::draw(&settings).accounts, 5_000 / BOT_GROUP_LEN);
        settings.behaviour.one_account_many_addresses = CrowdShare::percent(0);
        assert_eq!(Crowd::draw(&settings).accounts, 5_000);
    }
}
