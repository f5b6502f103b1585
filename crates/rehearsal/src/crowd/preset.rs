//! Whole drops with a name: a sale and the crowd that comes to it.

use super::manners::{Manners, Share};
use super::{Arrival, Settings};
use std::time::Duration;

/// A drop with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Preset {
    /// Small and over in half a minute: does everything work?
    Smoke,
    /// Few units, one a person, everyone in the same seconds, bots among them.
    SneakerDrop,
    /// Many units, several a person, a crowd that comes for a while and takes its time.
    TicketOnSale,
}

/// A drop: what is sold, and who comes.
#[derive(Clone, Debug)]
pub struct Drop {
    /// The sale.
    pub sale: Sale,
    /// The crowd.
    pub crowd: Settings,
    /// How long one of them waits before giving up.
    pub patience: Duration,
}

/// What is sold, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sale {
    /// Units.
    pub quantity: u32,
    /// Units that one buyer may have.
    pub limit_per_buyer: u32,
    /// Seconds that a hold lasts; 0 sells at once.
    pub hold_s: u32,
    /// Who may buy.
    pub admission: sale::Admission,
}

impl Preset {
    /// The drop of this name, with seed 1.
    #[must_use]
    pub fn drop(self) -> Drop {
        match self {
            Self::Smoke => smoke(),
            Self::SneakerDrop => sneaker_drop(),
            Self::TicketOnSale => ticket_on_sale(),
        }
    }
}

fn smoke() -> Drop {
    Drop {
        sale: Sale {
            quantity: 50,
            limit_per_buyer: 1,
            hold_s: 3,
            admission: sale::Admission::Fifo {
                per_second: 25,
                checkout_s: 3,
                line_opens_s: 2,
                extension_s: 0,
            },
        },
        crowd: Settings {
            people: 300,
            arrival: Arrival::Spike,
            over: Duration::from_secs(1),
            lead: Duration::from_secs(3),
            manners: Manners {
                double_click: Share::percent(10),
                two_tabs: Share::percent(10),
                abandon: Share::percent(10),
                declined: Share::percent(5),
                late_pay: Share::percent(5),
                cancel: Share::percent(3),
                leave: Share::percent(3),
                lost_reply: Share::percent(10),
                hammer: Share::percent(2),
                one_account_many_addresses: Share::percent(5),
                many_accounts_one_address: Share::percent(5),
            },
            units_max: 1,
            seed: 1,
        },
        patience: Duration::from_secs(60),
    }
}

fn sneaker_drop() -> Drop {
    Drop {
        sale: Sale {
            quantity: 500,
            limit_per_buyer: 1,
            hold_s: 10,
            admission: sale::Admission::Fifo {
                per_second: 100,
                checkout_s: 10,
                line_opens_s: 5,
                extension_s: 0,
            },
        },
        crowd: Settings {
            people: 10_000,
            arrival: Arrival::Spike,
            over: Duration::from_secs(2),
            lead: Duration::from_secs(8),
            manners: Manners {
                double_click: Share::percent(10),
                two_tabs: Share::percent(15),
                abandon: Share::percent(8),
                declined: Share::percent(5),
                late_pay: Share::percent(2),
                cancel: Share::percent(2),
                leave: Share::percent(3),
                lost_reply: Share::percent(2),
                hammer: Share::percent(2),
                one_account_many_addresses: Share::percent(2),
                many_accounts_one_address: Share::percent(10),
            },
            units_max: 1,
            seed: 1,
        },
        patience: Duration::from_secs(120),
    }
}

fn ticket_on_sale() -> Drop {
    Drop {
        sale: Sale {
            quantity: 4_000,
            limit_per_buyer: 4,
            hold_s: 20,
            admission: sale::Admission::Fifo {
                per_second: 100,
                checkout_s: 20,
                line_opens_s: 5,
                extension_s: 0,
            },
        },
        crowd: Settings {
            people: 4_000,
            arrival: Arrival::Poisson,
            over: Duration::from_secs(20),
            lead: Duration::from_secs(8),
            manners: Manners {
                double_click: Share::percent(5),
                two_tabs: Share::percent(25),
                abandon: Share::percent(12),
                declined: Share::percent(6),
                late_pay: Share::percent(4),
                cancel: Share::percent(3),
                leave: Share::percent(5),
                lost_reply: Share::percent(2),
                hammer: Share::percent(0),
                one_account_many_addresses: Share::percent(1),
                many_accounts_one_address: Share::percent(5),
            },
            units_max: 4,
            seed: 1,
        },
        patience: Duration::from_secs(180),
    }
}
