//! The admission mode in the body of a sale: `{"type": "open"}`, or `{"type": "fifo", …}` with the settings of its line.

use super::rules::in_range;
use crate::http::valid_json::fields::{self, required};
use garde::Validate;
use sale::policy::{ADMISSIONS_PER_SECOND_MAX, EXTENSION_S_MAX, WINDOW_S_MAX};
use sale::{AdmissionMode, PolicyProblem};
use serde::de::{Deserialize, Deserializer, Error};

#[derive(Clone, Copy, Debug, serde::Deserialize, Validate)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(super) struct AdmissionBody {
    #[serde(default, deserialize_with = "admission_type")]
    #[garde(custom(required))]
    r#type: Option<AdmissionType>,
    #[serde(default, deserialize_with = "fields::count")]
    #[garde(
        custom(require_for_fifo(self.r#type)),
        custom(in_range(1..=ADMISSIONS_PER_SECOND_MAX, PolicyProblem::PerSecond))
    )]
    per_second: Option<u32>,
    #[serde(default, deserialize_with = "fields::count")]
    #[garde(
        custom(require_for_fifo(self.r#type)),
        custom(in_range(1..=WINDOW_S_MAX, PolicyProblem::Checkout))
    )]
    checkout_seconds: Option<u32>,
    #[serde(default, deserialize_with = "fields::count")]
    #[garde(custom(reject_unless_fifo(self.r#type)))]
    line_opens_seconds_before: Option<u32>,
    #[serde(default, deserialize_with = "fields::count")]
    #[garde(
        custom(reject_unless_fifo(self.r#type)),
        custom(in_range(0..=EXTENSION_S_MAX, PolicyProblem::Extension))
    )]
    extension_seconds: Option<u32>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
enum AdmissionType {
    Open,
    Fifo,
}

impl AdmissionBody {
    pub(super) fn into_mode(self) -> Option<AdmissionMode> {
        Some(match self.r#type? {
            AdmissionType::Open => AdmissionMode::Open,
            AdmissionType::Fifo => AdmissionMode::Fifo {
                per_second: self.per_second?,
                checkout_s: self.checkout_seconds?,
                line_opens_s: self.line_opens_seconds_before.unwrap_or(0),
                extension_s: self.extension_seconds.unwrap_or(0),
            },
        })
    }
}

fn admission_type<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<AdmissionType>, D::Error> {
    AdmissionType::deserialize(deserializer).map(Some).map_err(|_| D::Error::custom("must be open or fifo"))
}

fn reject_unless_fifo(r#type: Option<AdmissionType>) -> impl FnOnce(&Option<u32>, &()) -> garde::Result {
    move |field, ()| match (r#type, field) {
        (Some(AdmissionType::Open), Some(_)) => Err(garde::Error::new("is not a field here")),
        _ => Ok(()),
    }
}

fn require_for_fifo(r#type: Option<AdmissionType>) -> impl FnOnce(&Option<u32>, &()) -> garde::Result {
    move |field, ()| match r#type {
        Some(AdmissionType::Fifo) => required(field, &()),
        _ => reject_unless_fifo(r#type)(field, &()),
    }
}
