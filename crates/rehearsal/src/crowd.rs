//! The crowd: who comes, when, and how they behave. Drawn from a seed before anything starts, so that the same seed and
//! settings make the same crowd. It never sends anything.

pub mod arrival;
pub mod manners;

pub mod preset;

pub use arrival::Arrival;
pub use manners::{Manners, Share};

use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use std::time::Duration;

/// People of one bot's account, or of one address, where they share one.
pub const FARM_LEN: u32 = 20;

/// What a crowd is drawn from.
#[derive(Clone, Debug)]
pub struct Settings {
    /// People.
    pub people: u32,
    /// How they come.
    pub arrival: Arrival,
    /// From the first to the last of them.
    pub over: Duration,
    /// The page is opened at most this long before the button is pressed.
    pub lead: Duration,
    /// How they behave.
    pub manners: Manners,
    /// Units that one of them wants, at most.
    pub units_max: u32,
    /// Everything that is drawn comes from it.
    pub seed: u64,
}

/// One who comes: a person at a browser, or one of a bot's many hands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Person {
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
    pub pays: Pays,
    /// What else is odd.
    pub habits: Habits,
    /// Everything that is drawn later comes from it.
    pub seed: u64,
}

/// What a person does with a hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pays {
    /// Pays.
    Promptly,
    /// Pays with a card that is declined.
    Declined,
    /// Closes the page.
    Never,
    /// Pays when the hold is over.
    Late,
    /// Gives it back.
    Cancels,
}

/// What a person does besides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(clippy::struct_excessive_bools, reason = "each is a habit of its own, and any of them go together")]
pub struct Habits {
    /// Clicks each button twice.
    pub double_clicks: bool,
    /// Has two tabs open.
    pub two_tabs: bool,
    /// Leaves the line after a while.
    pub leaves: bool,
    /// Loses the reply to what matters, and asks again with the same key.
    pub loses_replies: bool,
    /// Hammers without waiting.
    pub hammers: bool,
}

/// Everyone, in the order in which they open the page.
#[derive(Clone, Debug)]
pub struct Crowd {
    /// The people.
    pub people: Vec<Person>,
    /// Their accounts.
    pub accounts: u32,
    /// Their addresses.
    pub addresses: u32,
}

impl Crowd {
    /// Draws a crowd.
    #[must_use]
    pub fn draw(settings: &Settings) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(settings.seed);
        let mut presses = settings.arrival.draw(settings.people, settings.over, &mut rng);
        // Who comes when says nothing about how they behave.
        presses.shuffle(&mut rng);
        let mut farms = Farms::default();
        let mut people: Vec<Person> = presses
            .into_iter()
            .map(|presses_us| person(settings, presses_us, &mut farms, &mut rng))
            .collect();
        people.sort_by_key(|person| (person.opens_us, person.seed));
        Self { people, accounts: farms.accounts, addresses: farms.addresses }
    }

    /// How many people have this property.
    #[must_use]
    pub fn count(&self, property: impl Fn(&Person) -> bool) -> u64 {
        self.people.iter().filter(|person| property(person)).count() as u64
    }
}

fn person(settings: &Settings, presses_us: i64, farms: &mut Farms, rng: &mut ChaCha8Rng) -> Person {
    let manners = &settings.manners;
    let lead_us = i64::try_from(settings.lead.as_micros()).unwrap_or(i64::MAX);
    let opens_us = presses_us - rng.random_range(0..=lead_us);
    let (account, address) = farms.place(manners, rng);
    Person {
        opens_us,
        presses_us,
        account,
        address,
        units: rng.random_range(1..=settings.units_max.max(1)),
        pays: manners.pays(rng),
        habits: Habits {
            double_clicks: manners.double_click.draw(rng),
            two_tabs: manners.two_tabs.draw(rng),
            leaves: manners.leave.draw(rng),
            loses_replies: manners.lost_reply.draw(rng),
            hammers: manners.hammer.draw(rng),
        },
        seed: rng.random(),
    }
}

/// Accounts and addresses, as they are given out.
#[derive(Debug, Default)]
struct Farms {
    accounts: u32,
    addresses: u32,
    /// The account that the hands of a bot share now, and how many do.
    shared_account: Option<(u32, u32)>,
    /// The address that accounts of a bot share now, and how many do.
    shared_address: Option<(u32, u32)>,
}

impl Farms {
    fn place(&mut self, manners: &Manners, rng: &mut ChaCha8Rng) -> (u32, u32) {
        let account = if manners.one_account_many_addresses.draw(rng) {
            shared(&mut self.shared_account, &mut self.accounts)
        } else {
            next(&mut self.accounts)
        };
        let address = if manners.many_accounts_one_address.draw(rng) {
            shared(&mut self.shared_address, &mut self.addresses)
        } else {
            next(&mut self.addresses)
        };
        (account, address)
    }
}

fn next(count: &mut u32) -> u32 {
    *count += 1;
    *count - 1
}

/// The same one for [`FARM_LEN`] in turn, then a new one.
fn shared(current: &mut Option<(u32, u32)>, count: &mut u32) -> u32 {
    let (it, used) = match *current {
        Some((it, used)) if used < FARM_LEN => (it, used + 1),
        _ => (next(count), 1),
    };
    *current = Some((it, used));
    it
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(seed: u64) -> Settings {
        let preset = preset::Preset::SneakerDrop.drop();
        Settings { people: 5_000, seed, ..preset.crowd }
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
        settings.manners.hammer = Share::percent(10);
        let crowd = Crowd::draw(&settings);
        let hammers = crowd.count(|person| person.habits.hammers);
        assert!((400..600).contains(&hammers), "10 % of 5,000 is about 500, not {hammers}");
        settings.manners.hammer = Share::percent(0);
        assert_eq!(Crowd::draw(&settings).count(|person| person.habits.hammers), 0);
    }

    #[test]
    fn a_bots_hands_share_an_account_and_all_others_have_their_own() {
        let mut settings = settings(3);
        settings.manners.one_account_many_addresses = Share::percent(100);
        assert_eq!(Crowd::draw(&settings).accounts, 5_000 / FARM_LEN);
        settings.manners.one_account_many_addresses = Share::percent(0);
        assert_eq!(Crowd::draw(&settings).accounts, 5_000);
    }
}
