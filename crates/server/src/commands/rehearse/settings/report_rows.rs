//! The settings as the report shows them: a row for each, and the command that repeats the rehearsal. Secrets are left out.

use super::{RehearseSettings, WatchChoice};
use rehearsal::crowd::ArrivalCurve;
use rehearsal::crowd::preset::DropPlan;
use rehearsal::report::SettingRow;
use sale::AdmissionMode;

/// Variables that the report leaves out: secrets, and the seed, which has a row of its own.
const HIDDEN_VARIABLES: [&str; 4] =
    ["DOORBUSTER_ADMIN_PASSWORD", "DOORBUSTER_DATABASE", "DOORBUSTER_SEED", "DOORBUSTER_VALKEY"];

/// The flags of these variables.
const HIDDEN_FLAGS: [&str; 3] = ["--admin-password", "--database", "--seed"];

impl RehearseSettings {
    /// The settings as the report shows them.
    pub fn setting_rows(&self, drop: &DropPlan, connections: usize) -> Vec<SettingRow> {
        let (sale, crowd, behaviour) = (&drop.sale, &drop.crowd, &drop.crowd.behaviour);
        let admission = match sale.admission {
            AdmissionMode::Open => "open".to_owned(),
            AdmissionMode::Fifo { per_second, checkout_s, line_opens_s, .. } => format!(
                "a line: {per_second} admissions a second, {checkout_s} s to check out, opens {line_opens_s} s before"
            ),
        };
        let arrival = match &crowd.arrival {
            ArrivalCurve::Spike => format!("spike over {:?}", crowd.over),
            ArrivalCurve::Ramp => format!("ramp over {:?}", crowd.over),
            ArrivalCurve::Poisson => format!("Poisson, over {:?} on average", crowd.over),
            ArrivalCurve::Recorded(curve) => format!("recorded, {} rows", curve.len()),
        };
        let hold =
            if sale.hold_s == 0 { "none, sold at once".to_owned() } else { format!("{} s", sale.hold_s) };
        let calls = self.dialect.map_or("native", |dialect| dialect.rehearsed().name());
        let watch = match self.watch {
            WatchChoice::Poll => "by polls",
            WatchChoice::Feed => "by the line's feed",
            WatchChoice::Socket => "by sockets",
        };
        let rows = [
            ("calls", calls.to_owned()),
            ("units", sale.quantity.to_string()),
            ("units per buyer", sale.limit_per_buyer.to_string()),
            ("hold", hold),
            ("admission", admission),
            ("people", crowd.people.to_string()),
            ("arrival", arrival),
            ("open the page at most", format!("{:?} before", crowd.lead)),
            ("patience", format!("{:?}", drop.give_up_after)),
            ("watch the place", watch.to_owned()),
            ("click twice", behaviour.double_click.to_string()),
            ("two tabs", behaviour.two_tabs.to_string()),
            ("let the hold run out", behaviour.abandon.to_string()),
            ("card declined", behaviour.declined.to_string()),
            ("pay late", behaviour.late_pay.to_string()),
            ("cancel", behaviour.cancel.to_string()),
            ("leave the line", behaviour.leave.to_string()),
            ("lose replies", behaviour.lost_reply.to_string()),
            ("hammer", behaviour.hammer.to_string()),
            ("one account, many addresses", behaviour.one_account_many_addresses.to_string()),
            ("many accounts, one address", behaviour.many_accounts_one_address.to_string()),
            ("connections", connections.to_string()),
        ];
        rows.into_iter().map(|(name, value)| SettingRow { name: name.to_owned(), value }).collect()
    }

    /// The command that repeats it: as it was typed, with the variables that were set, and the seed. A password is left out.
    pub fn repeat_command(&self, drop: &DropPlan) -> String {
        let mut words: Vec<String> = std::env::vars_os()
            .map(|(name, value)| (name.to_string_lossy().into_owned(), value.to_string_lossy().into_owned()))
            .filter(|(name, _)| name.starts_with("DOORBUSTER_") && !HIDDEN_VARIABLES.contains(&name.as_str()))
            .map(|(name, value)| format!("{name}={}", quote_for_shell(value)))
            .collect();
        words.push("doorbuster".to_owned());
        let mut typed = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = typed.next() {
            let flag = word.split_once('=').map_or(word.as_str(), |(flag, _)| flag);
            if HIDDEN_FLAGS.contains(&flag) {
                let _value = if flag == word { typed.next() } else { None };
            } else {
                words.push(quote_for_shell(word));
            }
        }
        words.push(format!("--seed {}", drop.crowd.seed));
        words.join(" ")
    }
}

/// Quotes a word for a shell.
fn quote_for_shell(word: String) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%=@,+".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_quoted_for_a_shell() {
        assert_eq!(quote_for_shell("--units=7".to_owned()), "--units=7");
        assert_eq!(quote_for_shell("it's".to_owned()), r"'it'\''s'");
    }
}
