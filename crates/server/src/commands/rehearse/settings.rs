//! The settings of `rehearse`: a preset, and flags that change parts of it. It never runs anything.

mod report_rows;

use crate::commands::CommandError;
use crate::commands::database::DatabaseUrl;
use crate::commands::settings::duration;
use anyhow::Context;
use clap::{Args, ValueEnum};
use rehearsal::context::WatchMode;
use rehearsal::crowd::preset::{self, DropPlan};
use rehearsal::crowd::{ArrivalCurve, CrowdShare};
use rehearsal::dialects::{DialectPlan, RehearsedDialect};
use rehearsal::merchant::AdminLogin;
use rehearsal::run::FaultPlan;
use sale::AdmissionMode;
use std::fs::File;
use std::path::PathBuf;
use std::time::Duration;
use uuid::Uuid;

/// People of a crowd at most: each costs about four kilobytes while the drop lasts.
const PEOPLE_MAX: i64 = 2_000_000;

/// Plays a whole drop.
#[derive(Debug, Clone, Args)]
pub struct RehearseSettings {
    /// A whole drop with a name: what is sold, and who comes. Every other flag changes one thing of it.
    #[arg(long, env = "DOORBUSTER_PRESET", value_enum, default_value = "smoke")]
    pub preset: PresetChoice,
    /// Address of a running instance. Without it, a private one is started and thrown away.
    #[arg(long, env = "DOORBUSTER_URL", value_name = "URL")]
    pub url: Option<String>,
    /// E-mail address of the running instance's admin.
    #[arg(long, env = "DOORBUSTER_ADMIN_EMAIL", value_name = "ADDRESS")]
    pub admin_email: Option<String>,
    /// Password of the running instance's admin.
    #[arg(long, env = "DOORBUSTER_ADMIN_PASSWORD", hide_env_values = true, value_name = "PASSWORD")]
    pub admin_password: Option<String>,
    /// The running instance's token key: buyers then need not sign up, which takes it 20 ms each.
    #[arg(long, env = "DOORBUSTER_TOKEN_KEY", value_name = "FILE")]
    pub token_key: Option<PathBuf>,
    /// PostgreSQL of the running instance, or of all instances behind its address: ledger and tables are then read there and not
    /// over the API. Give it by its variable if there is a password in it.
    #[arg(long, env = "DOORBUSTER_DATABASE", hide_env_values = true, value_name = "URL")]
    pub database: Option<DatabaseUrl>,
    /// Rehearses with quantity, limit, hold and admission of this sale of the running instance, on a copy of it.
    #[arg(long, env = "DOORBUSTER_LIKE", value_name = "SLUG")]
    pub like: Option<String>,
    /// Run even while a sale with real buyers is live on the instance.
    #[arg(long, env = "DOORBUSTER_I_KNOW_THIS_IS_LIVE", value_parser = clap::builder::BoolishValueParser::new())]
    pub i_know_this_is_live: bool,

    /// Dialect whose calls the buyers make, on a sale in the form that the dialect sells. Without it they make the native calls.
    #[arg(long, env = "DOORBUSTER_DIALECT", value_enum, value_name = "NAME")]
    pub dialect: Option<DialectChoice>,
    /// Address of the running instance's dialect, by default URL/dialects/NAME.
    #[arg(long, env = "DOORBUSTER_DIALECT_URL", value_name = "URL")]
    pub dialect_url: Option<String>,

    /// Also collects the events, with a webhook receiver of its own, and judges them. A running instance must be on this machine and
    /// started with --public-url, --webhooks-allow-http and --webhooks-allow-private 127.0.0.0/8.
    #[arg(long, env = "DOORBUSTER_EVENTS", value_parser = clap::builder::BoolishValueParser::new())]
    pub events: bool,

    /// People who come.
    #[arg(long, env = "DOORBUSTER_BUYERS", value_parser = clap::value_parser!(u32).range(1..=PEOPLE_MAX), value_name = "COUNT")]
    pub buyers: Option<u32>,
    /// Units on sale.
    #[arg(long, env = "DOORBUSTER_UNITS", value_parser = clap::value_parser!(u32).range(1..=10_000_000), value_name = "COUNT")]
    pub units: Option<u32>,
    /// Units that one buyer may have.
    #[arg(long, env = "DOORBUSTER_LIMIT_PER_BUYER", value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub limit_per_buyer: Option<u32>,
    /// Time that a hold lasts, in whole seconds; 0s sells at once.
    #[arg(long, env = "DOORBUSTER_HOLD", value_parser = seconds, value_name = "TIME")]
    pub hold: Option<u32>,
    /// Whether there is a line.
    #[arg(long, env = "DOORBUSTER_ADMISSION", value_enum)]
    pub admission: Option<AdmissionKind>,
    /// Admissions a second, where there is a line.
    #[arg(long, env = "DOORBUSTER_PER_SECOND", value_parser = clap::value_parser!(u32).range(1..=100_000), value_name = "COUNT")]
    pub per_second: Option<u32>,
    /// Time that an admission lasts, in whole seconds, where there is a line.
    #[arg(long, env = "DOORBUSTER_CHECKOUT", value_parser = seconds, value_name = "TIME")]
    pub checkout: Option<u32>,

    /// Arrival curve: spike, ramp, poisson, or a CSV file of seconds and arrivals.
    #[arg(long, env = "DOORBUSTER_ARRIVAL", value_name = "CURVE")]
    pub arrival: Option<String>,
    /// Time from the first to the last of them; a CSV file has its own.
    #[arg(long, env = "DOORBUSTER_OVER", value_parser = duration, value_name = "TIME")]
    pub over: Option<Duration>,
    /// The page is opened at most this long before the button is pressed.
    #[arg(long, env = "DOORBUSTER_LEAD", value_parser = duration, value_name = "TIME")]
    pub lead: Option<Duration>,
    /// Time after which a waiting buyer gives up.
    #[arg(long, env = "DOORBUSTER_PATIENCE", value_parser = duration, value_name = "TIME")]
    pub patience: Option<Duration>,
    /// How those in line watch their place: they poll it, compute it each second from the line's feed, or have it sent to a socket
    /// each.
    #[arg(long, env = "DOORBUSTER_WATCH", value_enum, default_value = "poll", value_name = "WAY")]
    pub watch: WatchChoice,
    /// Seed of all random choices: the same seed makes the same crowd. Random when not given.
    #[arg(long, env = "DOORBUSTER_SEED", value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// Share who click each button twice.
    #[arg(long, env = "DOORBUSTER_DOUBLE_CLICK", value_name = "SHARE")]
    pub double_click: Option<CrowdShare>,
    /// Share who have two tabs open.
    #[arg(long, env = "DOORBUSTER_TWO_TABS", value_name = "SHARE")]
    pub two_tabs: Option<CrowdShare>,
    /// Share who let their hold run out.
    #[arg(long, env = "DOORBUSTER_ABANDON", value_name = "SHARE")]
    pub abandon: Option<CrowdShare>,
    /// Share whose card is declined.
    #[arg(long, env = "DOORBUSTER_DECLINED", value_name = "SHARE")]
    pub declined: Option<CrowdShare>,
    /// Share who pay when their hold is over.
    #[arg(long, env = "DOORBUSTER_LATE_PAY", value_name = "SHARE")]
    pub late_pay: Option<CrowdShare>,
    /// Share who give their hold back.
    #[arg(long, env = "DOORBUSTER_CANCEL", value_name = "SHARE")]
    pub cancel: Option<CrowdShare>,
    /// Share who leave the line.
    #[arg(long, env = "DOORBUSTER_LEAVE", value_name = "SHARE")]
    pub leave: Option<CrowdShare>,
    /// Share who lose the reply to an important request, and repeat it with the same key.
    #[arg(long, env = "DOORBUSTER_LOST_REPLY", value_name = "SHARE")]
    pub lost_reply: Option<CrowdShare>,
    /// Share who repeat requests without waiting.
    #[arg(long, env = "DOORBUSTER_HAMMER", value_name = "SHARE")]
    pub hammer: Option<CrowdShare>,
    /// Share who act for an account that others act for too, each from an address of their own.
    #[arg(long, env = "DOORBUSTER_ONE_ACCOUNT_MANY_ADDRESSES", value_name = "SHARE")]
    pub one_account_many_addresses: Option<CrowdShare>,
    /// Share who come from an address that other accounts come from too.
    #[arg(long, env = "DOORBUSTER_MANY_ACCOUNTS_ONE_ADDRESS", value_name = "SHARE")]
    pub many_accounts_one_address: Option<CrowdShare>,

    /// Kills the private instance and starts it again, each time this long after the last, from the start of the sale on.
    #[arg(long, env = "DOORBUSTER_CRASH_EVERY", value_parser = duration, value_name = "TIME")]
    pub crash_every: Option<Duration>,
    /// Fills the private instance's disk at this time of the sale.
    #[arg(long, env = "DOORBUSTER_DISK_FULL_AT", value_parser = duration, value_name = "TIME")]
    pub disk_full_at: Option<Duration>,
    /// Time that its disk stays full.
    #[arg(long, env = "DOORBUSTER_DISK_FULL_FOR", value_parser = duration, default_value = "3s", value_name = "TIME")]
    pub disk_full_for: Duration,
    /// Makes the private instance's clock jump, forwards or (with -) backwards.
    #[arg(long, env = "DOORBUSTER_CLOCK_JUMP", value_parser = jump, allow_hyphen_values = true, value_name = "TIME")]
    pub clock_jump: Option<i64>,
    /// Time of the sale at which it jumps.
    #[arg(long, env = "DOORBUSTER_CLOCK_JUMP_AT", value_parser = duration, default_value = "2s", value_name = "TIME")]
    pub clock_jump_at: Duration,

    /// Connections at a time, which the crowd shares; by default 1000, or one for each if they are fewer.
    #[arg(long, env = "DOORBUSTER_CONNECTIONS", value_parser = clap::value_parser!(u32).range(1..=1_000_000), value_name = "COUNT")]
    pub connections: Option<u32>,
    /// Folder for the report; made if there is none.
    #[arg(long, env = "DOORBUSTER_REPORT", default_value = "./rehearsals", value_name = "FOLDER")]
    pub report: PathBuf,
}

/// A drop with a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum PresetChoice {
    /// 300 people, 50 units, half a minute: does everything work?
    Smoke,
    /// 10,000 people within two seconds, 500 units, one each, bots among them.
    SneakerDrop,
    /// 4,000 people over 20 seconds, 4,000 units, up to four each.
    TicketOnSale,
}

/// A dialect.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum DialectChoice {
    /// Purchases under a key, acknowledged as jobs; sold at once.
    Turnstile,
    /// Attempts of accounts; sold at once.
    Attempts,
    /// A line, a hold and its confirmation, by e-mail address.
    Holds,
    /// Purchases by any text; sold at once.
    Drop,
}

impl DialectChoice {
    pub fn rehearsed(self) -> RehearsedDialect {
        match self {
            Self::Turnstile => RehearsedDialect::Turnstile,
            Self::Attempts => RehearsedDialect::Attempts,
            Self::Holds => RehearsedDialect::Holds,
            Self::Drop => RehearsedDialect::Drop,
        }
    }
}

/// How those in line watch their place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WatchChoice {
    /// Each asks for it, rarer far back.
    Poll,
    /// Each computes it from the line's feed, which caches may serve.
    Feed,
    /// Each has a socket.
    Socket,
}

/// Whether there is a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum AdmissionKind {
    /// Anyone may buy.
    Open,
    /// A line, first come, first served.
    Fifo,
}

impl PresetChoice {
    fn plan(self) -> DropPlan {
        match self {
            Self::Smoke => preset::DropPreset::Smoke,
            Self::SneakerDrop => preset::DropPreset::SneakerDrop,
            Self::TicketOnSale => preset::DropPreset::TicketOnSale,
        }
        .plan()
    }
}

impl RehearseSettings {
    /// Whether these flags go together.
    ///
    /// # Errors
    /// Usage when they do not.
    pub fn check(&self) -> Result<(), CommandError> {
        let usage = |sentence: &str| Err(CommandError::Usage(sentence.to_owned()));
        if self.url.is_some() {
            for (flag, is_set) in [
                ("--crash-every", self.crash_every.is_some()),
                ("--disk-full-at", self.disk_full_at.is_some()),
                ("--clock-jump", self.clock_jump.is_some()),
            ] {
                if is_set {
                    return usage(&format!("{flag}: only a private instance may be harmed; leave --url out"));
                }
            }
        } else {
            // The variables of admin and database may be meant for `serve`, and are passed over; a sale to copy can be meant for nothing else.
            if self.like.is_some() {
                return usage("--like: name the instance that has this sale with --url");
            }
            if self.database.is_some() && std::env::var_os("DOORBUSTER_DATABASE").is_none() {
                return usage("--database: a private instance has none; name the running one with --url");
            }
        }
        if let Some(reason) = self.find_dialect_problem() {
            return usage(&reason);
        }
        // It becomes part of an address.
        let is_slug =
            |text: &String| !text.is_empty() && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
        if !self.like.as_ref().is_none_or(is_slug) {
            return usage("--like: a sale's name in addresses has only letters, digits and -");
        }
        Ok(())
    }

    /// What of the flags does not fit the dialect.
    fn find_dialect_problem(&self) -> Option<String> {
        let Some(dialect) = self.dialect else {
            // The variable is passed over, as those of the instance are.
            let is_flag = self.dialect_url.is_some() && std::env::var_os("DOORBUSTER_DIALECT_URL").is_none();
            return is_flag.then(|| "--dialect-url: name the dialect with --dialect".to_owned());
        };
        let dialect = dialect.rehearsed();
        let name = dialect.name();
        if self.watch != WatchChoice::Poll {
            return Some(format!("--watch: the clients of {name} poll"));
        }
        if self.dialect_url.is_some() && self.url.is_none() {
            return Some("--dialect-url: name the instance of this dialect with --url".to_owned());
        }
        if self.limit_per_buyer.is_some_and(|limit| limit != 1) {
            return Some(format!("--limit-per-buyer: {name} sells one unit to a buyer"));
        }
        let has_line = self.admission.map(|kind| kind == AdmissionKind::Fifo);
        if has_line.is_some_and(|has_line| has_line != dialect.has_line()) {
            let needed = if dialect.has_line() { "through a line" } else { "without a line" };
            return Some(format!("--admission: {name} sells {needed}"));
        }
        if !dialect.has_line() && self.hold.is_some_and(|hold_s| hold_s > 0) {
            return Some(format!("--hold: {name} sells at once"));
        }
        None
    }

    /// How buyers watch their place.
    pub fn watch_mode(&self) -> WatchMode {
        match self.watch {
            WatchChoice::Poll => WatchMode::Poll,
            WatchChoice::Feed => WatchMode::Feed,
            WatchChoice::Socket => WatchMode::Socket,
        }
    }

    /// The dialect to play in.
    pub fn dialect_plan(&self) -> Option<DialectPlan> {
        let dialect = self.dialect?.rehearsed();
        Some(DialectPlan { dialect, url: self.dialect_url.clone() })
    }

    /// The drop that these flags describe.
    ///
    /// # Errors
    /// Usage when a curve cannot be read or shares are more than all.
    pub fn plan_drop(&self) -> Result<DropPlan, CommandError> {
        let mut drop = self.preset.plan();
        override_with(&mut drop.crowd.people, self.buyers);
        override_with(&mut drop.crowd.over, self.over);
        override_with(&mut drop.crowd.lead, self.lead);
        override_with(&mut drop.give_up_after, self.patience);
        if let Some(curve) = &self.arrival {
            drop.crowd.arrival = parse_arrival(curve)?;
        }
        let behaviour = &mut drop.crowd.behaviour;
        for (share, wanted) in [
            (&mut behaviour.double_click, self.double_click),
            (&mut behaviour.two_tabs, self.two_tabs),
            (&mut behaviour.abandon, self.abandon),
            (&mut behaviour.declined, self.declined),
            (&mut behaviour.late_pay, self.late_pay),
            (&mut behaviour.cancel, self.cancel),
            (&mut behaviour.leave, self.leave),
            (&mut behaviour.lost_reply, self.lost_reply),
            (&mut behaviour.hammer, self.hammer),
            (&mut behaviour.one_account_many_addresses, self.one_account_many_addresses),
            (&mut behaviour.many_accounts_one_address, self.many_accounts_one_address),
        ] {
            override_with(share, wanted);
        }
        behaviour.check().map_err(CommandError::Usage)?;
        // A seed that a person can read out: the numbers need not be many, only different.
        drop.crowd.seed = self.seed.unwrap_or_else(|| u64::from(Uuid::new_v4().as_fields().0));
        let sale = drop.sale;
        Ok(self.with_sale_plan(drop, sale))
    }

    /// The drop with this sale's rules, changed by the flags.
    pub fn with_sale_plan(&self, mut drop: DropPlan, mut sale: preset::SalePlan) -> DropPlan {
        override_with(&mut sale.quantity, self.units);
        override_with(&mut sale.limit_per_buyer, self.limit_per_buyer);
        override_with(&mut sale.hold_s, self.hold);
        let (mut per_second, mut checkout_s, line_opens_s, extension_s) = match sale.admission {
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s } => {
                (per_second, checkout_s, line_opens_s, extension_s)
            }
            AdmissionMode::Open => (100, 10, 5, 0),
        };
        override_with(&mut per_second, self.per_second);
        override_with(&mut checkout_s, self.checkout.map(|seconds| seconds.max(1)));
        let has_line = match self.admission {
            Some(kind) => kind == AdmissionKind::Fifo,
            None => matches!(sale.admission, AdmissionMode::Fifo { .. }),
        };
        sale.admission = if has_line {
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, extension_s }
        } else {
            AdmissionMode::Open
        };
        drop.crowd.units_max = drop.crowd.units_max.min(sale.limit_per_buyer);
        drop.sale = sale;
        match self.dialect {
            Some(dialect) => dialect.rehearsed().adapt_plan(drop),
            None => drop,
        }
    }

    /// The faults that are injected into the private instance.
    pub fn fault_plan(&self) -> FaultPlan {
        FaultPlan {
            crash_every: self.crash_every,
            disk_full: self.disk_full_at.map(|at| (at, self.disk_full_for)),
            clock_jump: self.clock_jump.map(|ms| (self.clock_jump_at, ms)),
        }
    }

    /// The running instance's admin.
    ///
    /// # Errors
    /// Usage when the flags do not name one.
    pub fn admin(&self) -> Result<AdminLogin, CommandError> {
        let missing = |flag: &str| {
            CommandError::Usage(format!(
                "{flag}: a rehearsal on a running instance makes a sale of its own there and reads its ledger, so name an admin"
            ))
        };
        Ok(AdminLogin {
            email: self.admin_email.clone().ok_or_else(|| missing("--admin-email"))?,
            password: self.admin_password.clone().ok_or_else(|| missing("--admin-password"))?,
        })
    }
}

fn override_with<T>(place: &mut T, wanted: Option<T>) {
    if let Some(wanted) = wanted {
        *place = wanted;
    }
}

fn parse_arrival(curve: &str) -> Result<ArrivalCurve, CommandError> {
    match curve {
        "spike" => Ok(ArrivalCurve::Spike),
        "ramp" => Ok(ArrivalCurve::Ramp),
        "poisson" => Ok(ArrivalCurve::Poisson),
        path => {
            let wrong = |error: anyhow::Error| {
                CommandError::Usage(format!(
                    "--arrival: spike, ramp, poisson or a CSV file; {path}: {error:#}"
                ))
            };
            let file = File::open(path).context("cannot be read").map_err(wrong)?;
            ArrivalCurve::from_csv(file).map_err(|error| wrong(error.into()))
        }
    }
}

/// Whole seconds; `0s` is allowed.
fn seconds(text: &str) -> Result<u32, String> {
    if text == "0s" {
        return Ok(0);
    }
    let time = duration(text)?;
    let seconds = u32::try_from(time.as_secs()).ok().filter(|_| time.subsec_millis() == 0);
    seconds
        .filter(|s| *s <= sale::policy::WINDOW_S_MAX)
        .ok_or_else(|| "whole seconds, one day at most".to_owned())
}

/// `1h`, `+1h` or `-1h`, in milliseconds.
fn jump(text: &str) -> Result<i64, String> {
    let (sign, time) = match text.strip_prefix('-') {
        Some(time) => (-1, time),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    i64::try_from(duration(time)?.as_millis()).map(|ms| sign * ms).map_err(|_| "too long".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::shop::guests::{DialectGuest, GuestOrigin};
    use clap::Parser;

    #[derive(Parser)]
    struct RehearseCli {
        #[command(flatten)]
        rehearse: RehearseSettings,
    }

    fn parse_flags(flags: &[&str]) -> RehearseSettings {
        RehearseCli::try_parse_from(std::iter::once("rehearse").chain(flags.iter().copied()))
            .expect("flags")
            .rehearse
    }

    #[test]
    fn a_flag_changes_one_thing_of_a_preset() {
        let plain = parse_flags(&["--preset", "sneaker-drop", "--seed", "1"]).plan_drop().expect("a drop");
        let changed =
            parse_flags(&["--preset", "sneaker-drop", "--seed", "1", "--units", "7", "--hammer", "0%"]);
        let changed = changed.plan_drop().expect("a drop");
        assert_eq!(changed.sale, preset::SalePlan { quantity: 7, ..plain.sale });
        assert_eq!(changed.crowd.people, plain.crowd.people);
        assert_eq!(changed.crowd.behaviour.hammer, CrowdShare::percent(0));
        let open = parse_flags(&["--admission", "open", "--hold", "0s"]).plan_drop().expect("a drop");
        assert_eq!((open.sale.admission, open.sale.hold_s), (AdmissionMode::Open, 0));
    }

    #[test]
    fn a_running_instance_is_never_harmed() {
        for flags in [["--crash-every", "5s"], ["--disk-full-at", "1s"], ["--clock-jump", "-1h"]] {
            let mut all = vec!["--url", "http://127.0.0.1:1"];
            all.extend(flags);
            let refused = parse_flags(&all).check().expect_err("harm").to_string();
            assert!(refused.starts_with(flags[0]), "{refused}");
        }
    }

    #[test]
    fn a_sale_to_copy_has_a_name_that_can_stand_in_an_address() {
        let like = |slug| parse_flags(&["--url", "http://127.0.0.1:1", "--like", slug]).check();
        assert!(like("spring-drop-2").is_ok());
        for wrong in ["", "spring drop", "../admin", "a?b"] {
            let refused = like(wrong).expect_err(wrong).to_string();
            assert!(refused.starts_with("--like: a sale's name"), "{refused}");
        }
    }

    #[test]
    fn the_drop_of_a_dialect_is_what_the_dialect_sells() {
        let flags = parse_flags(&["--dialect", "drop", "--preset", "ticket-on-sale"]);
        assert!(flags.check().is_ok());
        let drop = flags.plan_drop().expect("a drop");
        assert_eq!((drop.sale.limit_per_buyer, drop.sale.hold_s), (1, 0));
        assert_eq!(drop.sale.admission, AdmissionMode::Open);
        for (flags, sentence) in [
            (["--dialect", "drop", "--hold", "3s"], "--hold: drop sells at once"),
            (["--dialect", "holds", "--admission", "open"], "--admission: holds sells through a line"),
            (["--dialect", "attempts", "--admission", "fifo"], "--admission: attempts sells without a line"),
            (["--dialect", "turnstile", "--limit-per-buyer", "2"], "--limit-per-buyer: turnstile sells one"),
            (
                ["--dialect", "drop", "--dialect-url", "http://127.0.0.1:1"],
                "--dialect-url: name the instance",
            ),
        ] {
            let refused = parse_flags(&flags).check().expect_err(sentence).to_string();
            assert!(refused.starts_with(sentence), "{refused}");
        }
    }

    #[test]
    fn a_guest_is_derived_as_the_server_derives_it() {
        let pairs = [
            (RehearsedDialect::Turnstile, GuestOrigin::Turnstile),
            (RehearsedDialect::Holds, GuestOrigin::Holds),
            (RehearsedDialect::Drop, GuestOrigin::Drop),
        ];
        for (dialect, origin) in pairs {
            for name in ["ann", "Ann@Example.com", "r0123456789-7", "\u{1F600} b"] {
                let guest = DialectGuest::new(origin, name).expect("a guest");
                assert_eq!(dialect.derive_guest(name), guest.buyer(), "{} {name}", dialect.name());
            }
        }
    }

    #[test]
    fn a_jump_has_a_sign() {
        assert_eq!(jump("1h"), Ok(3_600_000));
        assert_eq!(jump("+10s"), Ok(10_000));
        assert_eq!(jump("-500ms"), Ok(-500));
        assert!(jump("--1h").is_err() && jump("soon").is_err());
    }
}
