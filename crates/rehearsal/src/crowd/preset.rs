//! Whole drops with a name: a sale and the crowd that comes to it.

use super::behaviour::{BehaviourShares, CrowdShare};
use super::{ArrivalCurve, CrowdSettings};
use std::time::Duration;

/// A drop with a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DropPreset {
    /// Small and over in half a minute: does everything work?
    Smoke,
    /// Few units, one a person, all arrivals in the same seconds, bots among them.
    SneakerDrop,
    /// Many units, several a person, a crowd that comes for a while and takes its time.
    TicketOnSale,
}

/// A drop: what is sold, and who comes.
#[derive(Clone, Debug)]
pub struct DropPlan {
    pub sale: SalePlan,
    pub crowd: CrowdSettings,
    /// How long one of them waits before giving up.
    pub give_up_after: Duration,
}

/// What is sold, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SalePlan {
    /// Units.
    pub quantity: u32,
    /// Units that one buyer may have.
    pub limit_per_buyer: u32,
    /// Seconds that a hold lasts; 0 sells at once.
    pub hold_s: u32,
    pub admission: sale::AdmissionMode,
}

impl DropPreset {
    /// The drop of this name, with seed 1.
    #[must_use]
    pub fn plan(self) -> DropPlan {
        match self {
            Self::Smoke => smoke(),
            Self::SneakerDrop => sneaker_drop(),
            Self::TicketOnSale => ticket_on_sale(),
        }
    }
}

fn smoke() -> DropPlan {
    DropPlan {
        sale: SalePlan {
            quantity: 50,
            limit_per_buyer: 1,
            hold_s: 3,
            admission: sale::AdmissionMode::Fifo {
                per_second: 25,
                checkout_s: 3,
                line_opens_s: 2,
                extension_s: 0,
            },
        },
        crowd: CrowdSettings {
            people: 300,
            arrival: ArrivalCurve::Spike,
            over: Duration::from_secs(1),
            lead: Duration::from_secs(3),
            behaviour: BehaviourShares {
                double_click: CrowdShare::percent(10),
                two_tabs: CrowdShare::percent(10),
                abandon: CrowdShare::percent(10),
                declined: CrowdShare::percent(5),
                late_pay: CrowdShare::percent(5),
                cancel: CrowdShare::percent(3),
                leave: CrowdShare::percent(3),
                lost_reply: CrowdShare::percent(10),
                hammer: CrowdShare::percent(2),
                one_account_many_addresses: CrowdShare::percent(5),
                many_accounts_one_address: CrowdShare::percent(5),
            },
            units_max: 1,
            seed: 1,
        },
        give_up_after: Duration::from_secs(60),
    }
}

fn sneaker_drop() -> DropPlan {
    DropPlan {
        sale: SalePlan {
            quantity: 500,
            limit_per_buyer: 1,
            hold_s: 10,
            admission: sale::AdmissionMode::Fifo {
                per_second: 100,
                checkout_s: 10,
                line_opens_s: 5,
                extension_s: 0,
            },
        },
        crowd: CrowdSettings {
            people: 10_000,
            arrival: ArrivalCurve::Spike,
            over: Duration::from_secs(2),
            lead: Duration::from_secs(8),
            behaviour: BehaviourShares {
                double_click: CrowdShare::percent(10),
                two_tabs: CrowdShare::percent(15),
                abandon: CrowdShare::percent(8),
                declined: CrowdShare::percent(5),
                late_pay: CrowdShare::percent(2),
                cancel: CrowdShare::percent(2),
                leave: CrowdShare::percent(3),
                lost_reply: CrowdShare::percent(2),
                hammer: CrowdShare::percent(2),
                one_account_many_addresses: CrowdShare::percent(2),
                many_accounts_one_address: CrowdShare::percent(10),
            },
            units_max: 1,
            seed: 1,
        },
        give_up_after: Duration::from_secs(120),
    }
}

fn ticket_on_sale() -> DropPlan {
    DropPlan {
        sale: SalePlan {
            quantity: 4_000,
            limit_per_buyer: 4,
            hold_s: 20,
            admission: sale::AdmissionMode::Fifo {
                per_second: 100,
                checkout_s: 20,
                line_opens_s: 5,
                extension_s: 0,
            },
        },
        crowd: CrowdSettings {
            people: 4_000,
            arrival: ArrivalCurve::Poisson,
            over: Duration::from_secs(20),
            lead: Duration::from_secs(8),
            behaviour: BehaviourShares {
                double_click: CrowdShare::percent(5),
                two_tabs: CrowdShare::percent(25),
                abandon: CrowdShare::percent(12),
                declined: CrowdShare::percent(6),
                late_pay: CrowdShare::percent(4),
                cancel: CrowdShare::percent(3),
                leave: CrowdShare::percent(5),
                lost_reply: CrowdShare::percent(2),
                hammer: CrowdShare::percent(0),
                one_account_many_addresses: CrowdShare::percent(1),
                many_accounts_one_address: CrowdShare::percent(5),
            },
            units_max: 4,
            seed: 1,
        },
        give_up_after: Duration::from_secs(180),
    }
}
