//! The expressions in which the two databases differ: types, moments, money and JSON.

use std::collections::BTreeMap;
use std::sync::LazyLock;

/// Whose SQL a view is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SqlFlavour {
    Sqlite,
    Postgres,
}

/// A view: its columns in order, and where they come from.
#[derive(Clone, Debug)]
pub(super) struct ViewDefinition {
    pub(super) schema: &'static str,
    pub(super) name: &'static str,
    /// Names with their expressions.
    pub(super) columns: Vec<(&'static str, String)>,
    /// From `FROM` on.
    pub(super) source: String,
}

/// Currencies whose minor unit is not a hundredth, as a list of SQL, by the decimals of an amount.
static UNUSUAL_DECIMALS: LazyLock<BTreeMap<u16, String>> = LazyLock::new(|| {
    let mut lists: BTreeMap<u16, String> = BTreeMap::new();
    for code in currency_codes() {
        let Some(currency) = iso_currency::Currency::from_code(&code) else { continue };
        let decimals = currency.exponent().unwrap_or(0);
        if decimals != 2 {
            let list = lists.entry(decimals).or_default();
            let comma = if list.is_empty() { "" } else { ", " };
            list.push_str(&format!("{comma}'{code}'"));
        }
    }
    lists
});

/// Every text of three capital letters, in order.
fn currency_codes() -> impl Iterator<Item = String> {
    ('A'..='Z').flat_map(|first| {
        ('A'..='Z')
            .flat_map(move |second| ('A'..='Z').map(move |third| [first, second, third].iter().collect()))
    })
}

impl SqlFlavour {
    /// A UUID from a text.
    pub(super) fn uuid(self, text: &str) -> String {
        self.cast(text, "uuid")
    }

    pub(super) fn varchar(self, text: &str) -> String {
        self.cast(text, "varchar")
    }

    pub(super) fn text(self, text: &str) -> String {
        self.cast(text, "text")
    }

    pub(super) fn bigint(self, number: &str) -> String {
        self.cast(number, "bigint")
    }

    /// A number that fits 32 bits.
    pub(super) fn int(self, number: &str) -> String {
        self.cast(number, "integer")
    }

    /// The smaller of two numbers.
    pub(super) fn least(self, numbers: &[&str]) -> String {
        let name = match self {
            Self::Sqlite => "MIN",
            Self::Postgres => "LEAST",
        };
        format!("{name}({})", numbers.join(", "))
    }

    fn cast(self, expression: &str, name: &str) -> String {
        match self {
            Self::Sqlite => expression.to_owned(),
            Self::Postgres => format!("CAST({expression} AS {name})"),
        }
    }

    /// A moment without a time zone, in UTC, from milliseconds since 1970.
    pub(super) fn timestamp(self, ms: &str) -> String {
        match self {
            Self::Sqlite => self.rfc3339(ms),
            Self::Postgres => format!("(TIMESTAMP 'epoch' + ({ms}) * INTERVAL '1 millisecond')"),
        }
    }

    /// A moment with a time zone.
    pub(super) fn timestamptz(self, ms: &str) -> String {
        match self {
            Self::Sqlite => self.rfc3339(ms),
            Self::Postgres => format!("(TIMESTAMPTZ 'epoch' + ({ms}) * INTERVAL '1 millisecond')"),
        }
    }

    /// A moment as RFC 3339 in UTC, with milliseconds.
    pub(super) fn rfc3339(self, ms: &str) -> String {
        match self {
            Self::Sqlite => format!(
                "(strftime('%Y-%m-%dT%H:%M:%S', ({ms}) / 1000, 'unixepoch') || printf('.%03dZ', ({ms}) % 1000))"
            ),
            Self::Postgres => format!("to_char({}, 'YYYY-MM-DD\"T\"HH24:MI:SS.MS\"Z\"')", self.timestamp(ms)),
        }
    }

    /// The time of the query, in milliseconds since 1970.
    pub(super) fn now_ms(self) -> &'static str {
        match self {
            Self::Sqlite => {
                "(CAST(strftime('%s', 'now') AS INTEGER) * 1000 + CAST(substr(strftime('%f', 'now'), 4, 3) AS INTEGER))"
            }
            Self::Postgres => "CAST(extract(epoch FROM now()) * 1000 AS bigint)",
        }
    }

    /// An amount in whole units of its currency, exact: a text with the decimals of the currency in SQLite.
    pub(super) fn amount(self, minor: &str, currency: &str) -> String {
        let mut cases = String::new();
        for (decimals, currencies) in UNUSUAL_DECIMALS.iter() {
            let amount = self.scale(minor, *decimals);
            cases.push_str(&format!("WHEN {currency} IN ({currencies}) THEN {amount} "));
        }
        format!("(CASE {cases}ELSE {} END)", self.scale(minor, 2))
    }

    fn scale(self, minor: &str, decimals: u16) -> String {
        match (self, decimals) {
            (Self::Sqlite, 0) => format!("printf('%d', {minor})"),
            (Self::Sqlite, _) => {
                let unit = 10_u32.pow(u32::from(decimals));
                format!("printf('%d.%0{decimals}d', ({minor}) / {unit}, ({minor}) % {unit})")
            }
            // A product is exact, where a division chooses its decimals.
            (Self::Postgres, 0) => format!("CAST({minor} AS numeric)"),
            (Self::Postgres, _) => {
                let unit = format!("0.{}1", "0".repeat(usize::from(decimals) - 1));
                format!("CAST({minor} AS numeric) * {unit}")
            }
        }
    }

    /// The larger of two numbers.
    pub(super) fn greatest(self, numbers: &[&str]) -> String {
        let name = match self {
            Self::Sqlite => "MAX",
            Self::Postgres => "GREATEST",
        };
        format!("{name}({})", numbers.join(", "))
    }

    /// A JSON object of texts.
    pub(super) fn json_object(self, members: &[(&str, String)]) -> String {
        let members: Vec<String> = members.iter().map(|(name, text)| format!("'{name}', {text}")).collect();
        let name = match self {
            Self::Sqlite => "json_object",
            Self::Postgres => "jsonb_build_object",
        };
        format!("{name}({})", members.join(", "))
    }

    pub(super) fn empty_json(self) -> &'static str {
        match self {
            Self::Sqlite => "'{}'",
            Self::Postgres => "CAST('{}' AS jsonb)",
        }
    }

    /// The last digits of a UUID: a number as 12 hexadecimal digits.
    pub(super) fn hex12(self, number: &str) -> String {
        match self {
            Self::Sqlite => format!("printf('%012x', {number})"),
            Self::Postgres => format!("lpad(to_hex({number}), 12, '0')"),
        }
    }
}

/// The phase of a sale at the time of the query, from its row `counters` in `sale_counters`.
pub(super) fn sale_phase(flavour: SqlFlavour) -> String {
    let now = flavour.now_ms();
    format!(
        "CASE WHEN counters.closed_at IS NOT NULL THEN 'closed' WHEN {now} >= counters.ends_at THEN 'ended' \
         WHEN {now} < counters.starts_at THEN 'upcoming' WHEN counters.paused_at IS NOT NULL THEN 'paused' ELSE 'active' END"
    )
}

/// The listed sales, with their counters as `counters`.
pub(super) const LISTED_SALES: &str = "
FROM sales
JOIN sale_counters AS counters ON counters.sale_id = sales.id
WHERE sales.announced_at IS NOT NULL AND sales.deleted_at IS NULL";
